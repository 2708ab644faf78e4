"""The simulated run: the entry layer from its first statement, under the headline configuration."""

from __future__ import annotations

import ast
import sys
import traceback
from dataclasses import replace

from checkers.facts import lib_containers, lib_files, lib_python, lib_tensor, lib_training
from checkers.facts.library import Externals
from checkers.facts.proof import Printed, proven
from checkers.facts.settings import Known, Settings
from checkers.facts.source import Module
from checkers.facts.state import OutOfStepsError
from checkers.facts.values import RANK, UNKNOWN, Env, ModuleObj, Value, with_const

_RANKS = frozenset({"RANK", "LOCAL_RANK", "SLURM_PROCID", "NODE_RANK"})
_SWITCHES = {"True": 1, "False": 0, "enabled": 1, "disabled": 0}  # as logs print what was given as a number
_RECURSION = 30_000
_PROOFS = 2  # what a branch holds that the log proves shows which of its own branches were taken
# importing them fills the table of effects
EFFECTS = (lib_containers, lib_files, lib_python, lib_tensor, lib_training)


class Machine(Externals):
    """One simulated run over the modules of a submission."""

    def run(self) -> None:
        """Simulate the entry module; stops quietly when out of steps."""
        entries = [m for m in self.modules if m.layer.how == "entry"] or list(self.modules[:1])
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, _RECURSION))
        try:
            for module in entries:
                self._run_entry(module)
        except OutOfStepsError:
            self.complete = False
        except Exception:  # whatever a submission holds, what was seen until here stands
            self.complete = False
            self.failure = traceback.format_exc(limit=-8)
        finally:
            sys.setrecursionlimit(limit)
            self._let_go()

    def _let_go(self) -> None:
        """Drop what only a running simulation needs.

        A scope and the functions in it name each other: left alone, the whole submission stays until
        the garbage collector walks over it, which costs more than all else that frees it.
        """
        for env in self.enclosing:
            env.names = {}
        self.enclosing.clear()
        self.loaded.clear()
        self.frames.clear()
        self.remembered.clear()
        self.writes.clear()
        self.shapes.forget()

    def _run_entry(self, module: Module) -> None:
        env = Env(module, None)
        env.names["__name__"] = Value("__main__")
        env.names["__file__"] = Value(module.layer.path)
        self.loaded[module.layer.name] = env
        self.run_module(module, env)

    def run_payload(self, node: ast.AST) -> None:
        """``exec``: run the layers that were peeled out of the running one, in its name space."""
        for module in self.modules:
            layer = module.layer
            inner = layer.parent == self.module.layer.name and not layer.how.startswith(("import", "compile"))
            if inner and layer.name not in self.loaded:
                env = self.frames[-1].env
                self.loaded[layer.name] = env
                self.run_module(module, self._global(env, module))

    def run_loaded(self) -> None:
        """``loader.exec_module``: run the layer that was unpacked into the file being loaded."""
        here = self.module
        main = any(isinstance(n, ast.Constant) and n.value == "__main__" for n in here.parents)
        for module in self.modules:
            layer = module.layer
            unpacked = layer.parent == here.layer.name and layer.how.startswith("import:")
            if unpacked and layer.name not in self.loaded:
                env = self.loaded[layer.name] = Env(module, None)
                env.names["__name__"] = Value("__main__" if main else layer.name)
                env.names["__file__"] = Value(layer.path)
                self.run_module(module, env)

    def _global(self, env: Env, module: Module) -> Env:
        while env.parent is not None:
            env = env.parent
        payload = Env(module, None)
        payload.names = env.names
        return payload

    def import_layer(self, name: str, node: ast.AST) -> Env | None:
        """Run a layer of the submission that an import brings, once; None for a library."""
        stem = name.strip(".").rpartition(".")[2]
        for module in self.modules:
            file = module.layer.path.rpartition("/")[2]
            if module.layer.how == "import" and file == f"{stem}.py":
                return self._imported(module, stem)
        return None

    def _imported(self, module: Module, stem: str) -> Env:
        env = self.loaded.get(module.layer.name)
        if env is None:
            env = self.loaded[module.layer.name] = Env(module, None)
            env.names["__name__"] = Value(stem)
            env.names["__file__"] = Value(module.layer.path)
            self.run_module(module, env)
        return env

    def from_file(self, path: Value) -> Value | None:
        """``module_from_spec``: the layer that is loaded from a file, by the file's name where it is known.

        A path made of where the script lies is not known; then it is the one layer that came along
        with the running one and that none of its statements imports.
        """
        here = self.module
        brought = [m for m in self.modules if (m.layer.how, m.layer.parent) == ("import", here.layer.name)]
        if isinstance(path.const, str):
            wanted = [m for m in brought if m.stem == path.const.rpartition("/")[2].removesuffix(".py")]
        else:
            wanted = [m for m in brought if m.stem not in here.imported]
        if len(wanted) != 1:
            return None
        return Value(refs=(ModuleObj(self._imported(wanted[0], wanted[0].stem)),))

    def imported(self, name: str, node: ast.AST) -> Value:
        """``importlib.import_module(name)``."""
        env = self.import_layer(name, node)
        return Value(refs=(ModuleObj(env),)) if env else self.library(name)

    def setting(self, name: str, default: Value) -> Value:
        """An environment variable: set by the script, by the run, or the default."""
        if name in self.environment:
            return self.environment[name]
        bit = self.bits.bit(("setting", name))
        known = next((k for k in self.settings.env(name) if _fits(k.text, default.const)), None)
        if known is not None:
            self.sources[name] = known.source
            return with_const(_as_given(known.text, default.const), default.bits | bit)
        if name in _RANKS or name == "WORLD_SIZE":
            return Value(UNKNOWN, bit | (RANK if name != "WORLD_SIZE" else 0))
        if not default.known and not default.refs:
            self.open_settings |= bit
            return Value(UNKNOWN, default.bits | bit)
        self.sources.setdefault(name, "default in the code")
        return Value(default.const, default.bits | bit, default.refs)

    def switches(self, forced: dict[ast.AST, bool]) -> dict[str, str]:
        """Settings at their default whose other value the forced outcomes show, one alone behind a test."""
        turned = {}
        for test, outcome in forced.items():
            ways = self.ways.get(test)
            names = [k[1] for k in self.bits.names(ways.bits) if k[0] == "setting"] if ways else []
            if len(names) == 1 and self.sources.get(names[0]) == "default in the code":
                turned[names[0]] = str(int(outcome))
        return turned

    def option(self, name: str, default: Value, kind: Value | None) -> Value:
        """A command-line option: given by the run, or the default."""
        bit = self.bits.bit(("setting", f"--{name}"))
        known = next(iter(self.settings.option(name)), None)
        if known is None:
            self.sources.setdefault(f"--{name}", "default in the code")
            return Value(default.const, default.bits | bit, default.refs)
        self.sources[f"--{name}"] = known.source
        value = with_const(known.text, bit)
        if kind is not None and kind.refs:
            return self.call(kind, [value], {}, ast.Pass())
        return value


def _as_given(text: str, default: object) -> str:
    """A logged value as the environment would have held it: ``True`` where the default is ``"1"``."""
    if text in _SWITCHES and (isinstance(default, int) or str(default).isdigit()):
        return str(_SWITCHES[text])
    return text


def _fits(text: str, default: object) -> bool:
    """Whether a logged text can be the value of a setting with this default."""
    if text in ("None", "null", ""):
        return False
    if isinstance(default, (int, float)) or str(default).replace(".", "", 1).isdigit():
        return text in _SWITCHES or _is_number(text)
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def simulate(modules: tuple[Module, ...], settings: Settings, printed: Printed | None = None) -> Machine:
    """Run the simulation over parsed modules (at least one) and hand back what it saw.

    ``printed`` are lines of the logs. Where they prove that a branch was taken which the settings rule
    out, the simulation is repeated with the branch taken and the switch behind it turned.
    """
    machine = Machine(modules, settings)
    machine.run()
    forced: dict[ast.AST, bool] = {}
    for _ in range(_PROOFS if printed else 0):
        more = proven(modules, machine.ways, machine.seen, printed or Printed())
        if more.keys() <= forced.keys():
            break
        forced = {**more, **forced}
        turned = {name: Known(text, "the log") for name, text in machine.switches(more).items()}
        settings = replace(settings, environment={**settings.environment, **turned})
        machine = Machine(modules, settings)
        machine.forced = forced
        machine.run()
    return machine
