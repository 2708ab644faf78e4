"""``python -m reports.site --out DIR``: build the site, check its links, fail on a broken one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reports.site import build, links


def main(arguments: list[str]) -> int:
    """Build into ``--out``; exit code 1 and one line a fault if a link or anchor leads nowhere."""
    parser = argparse.ArgumentParser(prog="python -m reports.site", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write; made if need be")
    out: Path = parser.parse_args(arguments).out
    written = build.build(out)
    broken = links.broken(out)
    for fault in broken:
        print(fault)
    print(f"{len(written)} pages in {out}, {len(broken)} broken links")
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
