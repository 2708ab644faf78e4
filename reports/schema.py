"""The published JSON Schema of a report: ``python -m reports.schema`` writes ``schema_v1.json``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from reports.shape_v1 import Audit

SCHEMA_PATH = Path(__file__).with_name("schema_v1.json")


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the public form."""
    made = msgspec.json.schema(Audit)
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, "title": "golf-audit report, version 1", **made}


def schema_text() -> str:
    """The text of ``schema_v1.json`` as it must be."""
    return json.dumps(schema(), indent=1, sort_keys=True) + "\n"


def main() -> int:
    """Write ``schema_v1.json`` anew, or with ``--check`` tell whether it has drifted."""
    if "--check" in sys.argv[1:]:
        return int(SCHEMA_PATH.read_text(encoding="utf-8") != schema_text())
    SCHEMA_PATH.write_text(schema_text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
