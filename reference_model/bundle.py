"""Join the package into one script that contains only what one configuration reaches.

Three passes over the syntax trees: fold every switch of the configuration into a constant and drop
the branches not taken; keep the top-level definitions reachable from ``main``; print imports,
settings and definitions in order of dependence. Numbers stay readable from the environment.
"""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

from reference_model.config import Config
from reference_model.fold import fold_switches, is_config

PACKAGE = "reference_model"
ROOT = Path(__file__).parent
ENTRY = "reference_model.pipeline"
OPEN_STRINGS = {"data_path", "tokenizer_path", "run_id", "artifact_path"}
FROZEN_NUMBERS = {"z_loss", "mtp_weight", "prune_to_bytes"}


def frozen_fields(config: Config) -> dict[str, object]:
    """Return the switches: flags, names of techniques, and weights that turn a technique on."""
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, bool)
        or name in FROZEN_NUMBERS
        or (isinstance(value, str) and name not in OPEN_STRINGS)
    }


def module_path(module: str) -> Path:
    """Return the source file of a module of this package."""
    relative = Path(*module.split(".")[1:])
    plain = ROOT / relative.with_suffix(".py") if relative.parts else ROOT / "__init__.py"
    return plain if plain.exists() else ROOT / relative / "__init__.py"


def internal_imports(tree: ast.Module) -> list[str]:
    """Return the modules of this package that a tree imports, in order."""
    return [
        node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == PACKAGE
    ]


def modules_in_order(entry: str, frozen: dict[str, object]) -> dict[str, ast.Module]:
    """Return the folded trees of all modules behind ``entry``, dependencies first."""
    done: dict[str, ast.Module] = {}
    pending: set[str] = set()

    def visit(module: str) -> None:
        if module in done or module in pending:
            return
        pending.add(module)
        tree = fold_switches(ast.parse(module_path(module).read_text(encoding="utf-8")), frozen)
        for dependency in internal_imports(tree):
            visit(dependency)
        done[module] = tree

    visit(entry)
    return done


def defined_names(node: ast.stmt) -> list[str]:
    """Return the names that a top-level statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        targets = (child for target in node.targets for child in ast.walk(target))
        return [target.id for target in targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def used_names(node: ast.AST) -> set[str]:
    """Return every plain name that occurs below ``node``."""
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}


def collect_definitions(trees: dict[str, ast.Module]) -> dict[str, ast.stmt]:
    """Return all top-level definitions by name; raises ValueError if two modules share a name."""
    found: dict[str, ast.stmt] = {}
    for module, tree in trees.items():
        for node in tree.body:
            for name in defined_names(node):
                if name in found and ast.dump(found[name]) != ast.dump(node):
                    raise ValueError(f"{name} is defined twice, again in {module}")
                found[name] = node
    return found


def reachable_names(definitions: dict[str, ast.stmt], start: str) -> set[str]:
    """Return the names of all definitions that ``start`` needs, directly or not."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name in definitions and name not in seen:
            seen.add(name)
            todo.extend(used_names(definitions[name]))
    return seen


def external_imports(trees: dict[str, ast.Module], used: set[str]) -> list[str]:
    """Return the import lines, sorted, that bring in the used names from outside the package."""
    lines: set[str] = set()
    for tree in trees.values():
        for node in tree.body:
            if isinstance(node, ast.Import):
                aliases = [a for a in node.names if (a.asname or a.name.split(".")[0]) in used]
                lines.update(ast.unparse(ast.Import([alias])) for alias in aliases)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith(PACKAGE):
                chosen = [
                    a for a in node.names if (a.asname or a.name) in used and node.module != "__future__"
                ]
                lines.update(ast.unparse(ast.ImportFrom(node.module, [a], 0)) for a in chosen)
    return sorted(lines, key=lambda line: (line.startswith("from"), line))


def settings_class(config: Config, read_fields: set[str]) -> str:
    """Return the source of ``class Config`` whose fields read the environment when it is imported."""
    lines = ["class Config:", '    """Settings; each may be set from the environment by its name."""', ""]
    names = (field.name for field in dataclasses.fields(config) if field.name in read_fields)
    lines.extend(f"    {name} = {environment_read(name, getattr(config, name))}" for name in names)
    return "\n".join(lines)


def environment_read(name: str, value: object) -> str:
    """Return the expression that reads one setting with its default."""
    read = f"os.environ.get({name.upper()!r}, {value!r})"
    return read if isinstance(value, str) else f"{type(value).__name__}({read})"


def fields_read(nodes: list[ast.stmt]) -> set[str]:
    """Return the attribute names that occur as ``config.<name>`` or ``<x>.config.<name>``."""
    return {
        child.attr
        for node in nodes
        for child in ast.walk(node)
        if isinstance(child, ast.Attribute) and is_config(child.value)
    }


def bundle(config: Config, title: str) -> str:
    """Return the source of a single-file script that runs ``config``; ``title`` is its docstring."""
    trees = modules_in_order(ENTRY, frozen_fields(config))
    definitions = collect_definitions(trees)
    for name in ("Config", "DEFAULT", "config_from_env", "convert", "tiny"):
        definitions.pop(name, None)
    names = reachable_names(definitions, "main")
    chosen = [node for tree in trees.values() for node in tree.body if names & set(defined_names(node))]
    used = set().union(*(used_names(node) for node in chosen)) | {"os"}
    imports = ["from __future__ import annotations", "", *external_imports(trees, used)]
    if "import os" not in imports:
        imports.insert(2, "import os")
    settings = settings_class(config, fields_read(chosen))
    body = "\n\n\n".join(ast.unparse(node) for node in drop_repeats(chosen))
    body = body.replace("config_from_env()", "Config()")
    parts = [f'"""{title}"""', "\n".join(imports), settings, body, 'if __name__ == "__main__":\n    main()\n']
    return "\n\n\n".join(parts)


def drop_repeats(nodes: list[ast.stmt]) -> list[ast.stmt]:
    """Drop definitions that an earlier module made in the same words (type aliases)."""
    seen: set[str] = set()
    kept: list[ast.stmt] = []
    for node in nodes:
        text = ast.dump(node)
        if text not in seen:
            seen.add(text)
            kept.append(node)
    return kept
