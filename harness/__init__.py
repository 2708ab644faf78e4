"""Everything that touches a submission: loading, unpacking, reading logs, running it in a sandbox."""
