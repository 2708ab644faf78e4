"""Checkers of kind ``runtime``: one module a rule, named as its slug with underscores."""
