"""Experiments on a run: vary the validation tokens and look whether the score stays a code length."""
