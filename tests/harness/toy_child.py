"""A child without sandbox or façade, for scripts of our own: ``toy_child.py SCRIPT EVENTS COMMANDS VAL...``."""

from __future__ import annotations

import os
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from harness import probes  # noqa: E402


def main() -> None:
    script, events, commands, *shards = sys.argv[1:]
    sys.argv = [script]
    config = probes.ProbeConfig(int(events), int(commands), os.getcwd(), tuple(shards))
    installed = probes.install(config)
    error = ""
    try:
        with open(script) as source:
            code = compile(source.read(), script, "exec")
        exec(code, {"__name__": "__main__", "__file__": script})
    except SystemExit:
        pass
    except BaseException:
        error = traceback.format_exc().strip().splitlines()[-1]
        traceback.print_exc()
    installed.finish(error)


main()
