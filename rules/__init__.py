"""The rulebook: what the challenge allows, who said so, and since when."""
