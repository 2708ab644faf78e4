"""A child without sandbox or façade, for scripts of our own: ``toy_child.py PLAN.json``."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from harness import probes


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    wanted = plan["probes"]
    wanted["validation_files"] = tuple(wanted["validation_files"])
    here = os.path.dirname(os.path.abspath(__file__))
    installed = probes.install(probes.ProbeConfig(**wanted, ours=(here,)))
    installed.relocate(plan)
    script, error = plan["script"], ""
    sys.argv = [script]
    try:
        code = compile(Path(script).read_text(), script, "exec")
        exec(code, {"__name__": "__main__", "__file__": script})
    except SystemExit:
        pass
    except BaseException:
        error = traceback.format_exc().strip().splitlines()[-1]
        traceback.print_exc()
    installed.finish(error)


main()
