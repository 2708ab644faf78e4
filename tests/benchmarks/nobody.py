"""Whether a head that did not run can be run by anybody: by its text and its imports, not by ours.

Three facts say that nobody can: its script is no Python of any version, none of its code has a word for a
bit, or it imports a module, at top level and without a guard, that is nowhere to be had. A module is to be
had where the repository of the head has a file or folder of its name, the standard library or this machine
has it, or `PACKAGES` names it.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator

import libcst

from harness.selection import BITS

PACKAGES = frozenset(
    """
    apex causal_conv1d cupy cut_cross_entropy datasets deepspeed einops fla flash_attn flash_attn_3
    flash_attn_interface hnet huggingface_hub kernels liger_kernel lightning mamba_ssm mlx muon ninja numba
    peft pyarrow pybind11 safetensors sentencepiece tiktoken tokenizers torchao tqdm transformer_engine
    transformers triton wandb xformers zstandard
    """.split()  # noqa: SIM905 - a list of as many quoted words reads worse
)
"""Import names of packages that PyPI has, or their authors' own source: somebody else could install them."""

_MISSING = re.compile(r"missing (?:kernel )?package: (\w+)")
_NO_SCORE = re.compile(r"ended without a val_bpb\b")
_NO_PYTHON = re.compile(r"(?:Syntax|Indentation|Tab)Error\b")


def why(blocker: str | None, script: str, texts: Iterable[str], files: Iterable[str]) -> str | None:
    """What keeps everybody from running a head, or None.

    ``blocker`` is what stopped our run; ``script`` the text of the entry script and ``texts`` those of all
    its layers, in this interpreter's syntax; ``files`` the paths of the head's whole tree.
    """
    if _NO_PYTHON.match(blocker or ""):
        return "its script is not Python" if not _is_python(script) else None
    if _NO_SCORE.match(blocker or ""):
        return None if any(BITS.search(text.encode()) for text in texts) else "computes no bits per byte"
    found = _MISSING.match(blocker or "")
    if found is None:
        return None
    name = found[1]
    if _is_known(name) or _is_in(name, files) or not any(name in set(_imported(text)) for text in texts):
        return None
    return f"imports {name}"


def _is_python(script: str) -> bool:
    """Whether a text is Python here, or by a grammar that knows newer versions.

    What is parsed and yet not compiled (``return`` outside of a function) is refused by every version.
    """
    try:
        tree = ast.parse(script)
    except (SyntaxError, ValueError):
        return _has_grammar(script)
    try:
        compile(tree, "<script>", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _has_grammar(script: str) -> bool:
    try:
        libcst.parse_module(script)
    except libcst.ParserSyntaxError:
        return False
    return True


def _imported(text: str) -> Iterator[str]:
    """First names of modules that a text imports as it is loaded, in no ``try`` and on no condition.

    What the handler of a failed import falls back to is not guarded either.
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return
    handlers = [handler for node in body if isinstance(node, ast.Try) for handler in node.handlers]
    for node in (*body, *(inner for handler in handlers for inner in handler.body)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def _is_known(name: str) -> bool:
    if name in PACKAGES or name in sys.stdlib_module_names:
        return True
    return importlib.util.find_spec(name) is not None


def _is_in(name: str, files: Iterable[str]) -> bool:
    """Whether a tree has the module somewhere, so that a path could be set to it."""
    return any(name in path.removesuffix(".py").split("/") for path in files)
