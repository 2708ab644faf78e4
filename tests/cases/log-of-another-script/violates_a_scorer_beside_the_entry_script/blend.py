"""Scores the checkpoint again with a cache; nothing that the entry script runs comes here."""

import sys


def blended(path):
    """A stand-in for a scorer: this case is about who prints the claimed line."""
    return 1.0 + len(path) / 100.0


if __name__ == "__main__":
    print(f"final agreement_cache val_bpb:{blended(sys.argv[1]):.8f}")
