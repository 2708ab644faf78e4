"""Checkers turn facts, traces and evidence into findings, and findings into verdicts."""
