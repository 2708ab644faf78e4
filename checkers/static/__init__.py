"""Checkers of kind ``static``: one module a rule, named as its slug with underscores."""
