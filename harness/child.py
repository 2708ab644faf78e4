"""The process that runs a submission: façade, probes, then the script, in this order.

Started by ``harness.runner`` as ``python -m harness.child PLAN.json`` inside the sandbox. The plan::

    script      absolute path of the entry script, executed as __main__
    argv        its arguments
    run_dir     the folder the submission's files lie in
    paths       further folders in which it has modules
    layers      {sha256 of a source text: [layer name, lowered text]}
    constants   {dotted name: value} to set where the script assigns a literal
    facade      keyword arguments of FacadeConfig; with more than one rank this process forks the others
    seed        seeds random, numpy and torch
    status      file that tells the parent how the script ended
    probes      keyword arguments of harness.probes.ProbeConfig, or null
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import sysconfig
import traceback
import types
from pathlib import Path
from typing import Any

from harness import ranks
from harness.sought import Sought

HARNESS = os.path.dirname(os.path.abspath(__file__))
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")} | {"<frozen"})
"""Where packages and the standard library lie: a failure in them is named by the line that called them."""


def _seed(value: int) -> None:
    import numpy as np
    import torch

    from harness.facade import entropy

    entropy.install(value)
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def _book(plan: dict[str, Any]) -> Any:
    from harness.facade.sources import Known, SourceBook

    known = {key: Known(name, lowered) for key, (name, lowered) in plan.get("layers", {}).items()}
    return SourceBook(known, plan.get("constants", {}))


def _execute(plan: dict[str, Any], book: Any) -> None:
    """Run the entry script as ``__main__``; a twin under the name lets pickling and inspect find it."""
    script = plan["script"]
    code = book.compile(Path(script).read_bytes(), script)
    main = types.ModuleType("__main__")
    main.__file__ = script
    main.__dict__["__builtins__"] = __builtins__
    main.__spec__ = None
    sys.modules["__main__"] = main
    sys.argv = [script, *plan.get("argv", [])]
    sys.path[0] = os.path.dirname(script)
    sys.path += [plan["run_dir"], *plan.get("paths", [])]  # records import the repository's baseline
    exec(code, main.__dict__)  # running it is the purpose, and the sandbox is around us


_LACKS = re.compile(r"cannot import name '(\w+)' from (?:partially initialized module )?'([\w.]+)'")


def _absent(error: BaseException, run_dir: str) -> dict[str, str | None]:
    """The module that is ``missing``, or what one of this machine is ``lacking``.

    A name that a file of the submission lacks is neither: it is missing everywhere.
    """
    if not isinstance(error, ImportError):
        return {"missing": None}
    found = _LACKS.search(str(error))
    if found is None:
        return {"missing": error.name}
    file = getattr(sys.modules.get(found[2]), "__file__", None) or ""
    theirs = file.startswith(run_dir) or found[2] == "__main__"
    return {"missing": None, "lacking": None if theirs else f"{found[2]} has no {found[1]} here"}


def _describe(error: BaseException, run_dir: str) -> dict[str, Any]:
    """What ended the script, and whether the last frame was ours."""
    frames = traceback.extract_tb(error.__traceback__)
    outside = [f for f in frames if not f.filename.startswith(HARNESS)]
    last = frames[-1] if frames else None
    named = [f for f in outside if not f.filename.startswith(_INSTALLED)] or outside
    theirs = (named[-1].filename, named[-1].lineno) if named else None
    if isinstance(error, SyntaxError) and error.filename:
        theirs = (error.filename, error.lineno)
    told = "".join(traceback.format_exception_only(error)).strip()
    if not str(error) and named:
        told += f": {named[-1].line}"  # an assertion without words says what it asks for by its line
    return {
        "kind": type(error).__name__,
        "error": told[-1500:],
        "ours": bool(last and last.filename.startswith(HARNESS)),
        "where": f"{os.path.basename(theirs[0])}:{theirs[1]}" if theirs else "",
        **_absent(error, run_dir),
    }


def _run(plan: dict[str, Any]) -> dict[str, Any]:
    from harness.facade import FacadeConfig, files, install
    from harness.facade.sources import install as install_sources

    others = ranks.split(plan, plan["facade"].get("ranks", 1))
    _seed(plan["seed"])
    install(FacadeConfig(**plan["facade"]))
    files.Popen.plan = plan
    book = _book(plan)
    install_sources(book, plan["run_dir"])
    probes = _install_probes(plan)
    if probes is not None:
        book.rewrites.append(probes.scale_tables)
    ended: dict[str, Any] = {"kind": "end"}
    sought = Sought()
    sought.install()
    try:
        _execute(plan, book)
    except SystemExit as leaving:
        ended = {"kind": "exit", "error": str(leaving.code or 0)}
    except BaseException as error:  # whatever the script died of is what the parent asks
        traceback.print_exc()
        ended = {**_describe(error, plan["run_dir"]), "unfound": sought.unfound()[:8]}
    sys.stdout.flush()
    sys.stderr.flush()
    ended = ranks.gather(plan, ended, others)
    if probes is None or not probes.snapshots.worker:
        _report(plan, ended)
    if probes is not None:
        probes.finish("" if ended["kind"] in ("end", "exit") else ended["error"])
    return ended


def _install_probes(plan: dict[str, Any]) -> Any:
    wanted = plan.get("probes")
    if not wanted:
        return None
    from harness import probes

    wanted["validation_files"] = tuple(wanted["validation_files"])
    installed = probes.install(probes.ProbeConfig(**wanted))
    installed.relocate(plan)  # in the twin on other data, which works beside the first run
    return installed


def _report(plan: dict[str, Any], ended: dict[str, Any]) -> None:
    from harness.facade.patching import REPLACED

    ended["replaced"] = len(REPLACED)
    Path(plan["status"]).write_text(json.dumps(ended), encoding="utf-8")


def main() -> None:
    """Read the plan, run the script and leave without running the script's exit handlers' leftovers."""
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    ended = _run(plan)
    good = ended["kind"] == "end" or (ended["kind"] == "exit" and ended["error"] == "0")
    os._exit(0 if good else 1)


if __name__ == "__main__":
    main()
