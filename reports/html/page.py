"""What every page of ours shares: its style and script inline, and a policy that allows nothing else."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path

from markupsafe import Markup

from reports.text import ruling_url

__all__ = ["assets", "policy", "read", "ruling_url"]

_TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


@lru_cache(maxsize=16)
def read(name: str) -> str:
    """A file of the templates folder."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def assets(style: str, script: str, images: str = "data:") -> dict[str, Markup | str]:
    """The variables ``css``, ``js`` and ``csp`` of a page. Both files are ours, so they are markup."""
    css, js = read("base.css") + read(style), read(script)
    return {"css": Markup(css), "js": Markup(js), "csp": policy(css, js, images)}


def policy(css: str, js: str, images: str = "data:") -> str:
    """A Content-Security-Policy under which exactly this style and this script run, and no request."""
    return (
        f"default-src 'none'; style-src '{_hash(css)}'; script-src '{_hash(js)}'; "
        f"img-src {images}; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
