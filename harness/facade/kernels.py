"""Triton kernels on a CPU."""

from __future__ import annotations


def install() -> None:
    """Enter the emulation as ``triton``."""
