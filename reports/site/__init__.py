"""The documentation site, built from the Markdown in the repository and checked for broken links."""
