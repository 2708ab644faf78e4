"""Checkers of kind ``evidence``: one module a rule, named as its slug with underscores."""
