"""Which arguments a class takes, read from its source: nothing is imported, and torch would take two seconds.

Where the source does not tell for sure (C, decorators, metaclasses, `**kwargs`), nothing is said.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

Definition = ast.ClassDef | ast.FunctionDef
_DYNAMIC = re.compile(r"\bglobals\(|\bsetattr\(|\bexec\(|def __getattr__")
_DEEPEST = 12


@dataclass(frozen=True)
class Signature:
    """What a class, or a function, is called with.

    Attributes:
        names: of its arguments, in order, without `self`.
        required: those of them that have no default.
    """

    names: tuple[str, ...]
    required: tuple[str, ...]


class NotThereError(Exception):
    """The module has no such name.

    Attributes:
        names: those that it has.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__(names)
        self.names = names


@lru_cache(maxsize=1000)
def signature(target: str) -> Signature | None:
    """The arguments of `package.module.Class`; None where its source does not tell.

    Raises:
        NotThereError: where its module has no such name.
    """
    try:
        found = _find(target, _DEEPEST)
        return _of(*found, _DEEPEST) if found else None
    except (OSError, SyntaxError, ValueError):
        return None


def _find(target: str, deepest: int) -> tuple[Definition, str] | None:
    """A definition and the module that it stands in."""
    module, _, name = target.rpartition(".")
    file = _file(module) if module else None
    if file is None or deepest == 0:
        return None
    source = file.read_text()
    names: dict[str, ast.stmt | str | None] = {}
    for statement in _statements(ast.parse(source)):
        names |= dict(_bound(statement, module, file.name == "__init__.py"))
    if name not in names:
        return _in_stars(target, names, deepest, is_certain=not _DYNAMIC.search(source) and not _file(target))
    bound = names[name]
    if isinstance(bound, ast.ClassDef | ast.FunctionDef):
        return bound, module
    return _find(bound, deepest - 1) if isinstance(bound, str) else None


def _in_stars(
    target: str, names: dict[str, ast.stmt | str | None], deepest: int, is_certain: bool
) -> tuple[Definition, str] | None:
    """Looks through the modules of which `target`'s takes everything."""
    known = sorted(name for name in names if name[:1] != "*")
    for star in [str(bound).removesuffix("*") for name, bound in names.items() if name[:1] == "*"]:
        try:
            found = _find(star + target.rpartition(".")[2], deepest - 1)
        except NotThereError as missing:
            known += missing.names
        else:
            return found
    if is_certain:
        raise NotThereError(known)
    return None


def _file(module: str) -> Path | None:
    """The source of a module; to find the spec of one within a package would import the package."""
    package, *rest = module.split(".")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin)
    for part in rest:
        path = path.parent / part if path.name == "__init__.py" else path.with_suffix("") / part
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path if path.suffix == ".py" and path.is_file() else None


def _statements(tree: ast.Module | ast.stmt) -> Iterator[ast.stmt]:
    """Those of a module, also under `if` and `try`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.stmt):
            yield node
        if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.ExceptHandler):
            yield from _statements(node)  # type: ignore[arg-type]


def _bound(statement: ast.stmt, module: str, is_package: bool) -> Iterator[tuple[str, ast.stmt | str | None]]:
    """The names that a statement gives: to a definition, to what is imported, or to what cannot be told."""
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        yield statement.name, statement
    elif isinstance(statement, ast.ImportFrom):
        parents = module.split(".")[: len(module.split(".")) - statement.level + is_package]
        origin = ".".join([*(parents if statement.level else []), *([statement.module] if statement.module else [])])
        for alias in statement.names:
            star = f"*{origin}" if alias.name == "*" else None  # of each module that all is taken from
            yield star or alias.asname or alias.name, f"{origin}.{alias.name}"
    elif isinstance(statement, ast.Import):
        yield from ((alias.asname or alias.name.split(".")[0], None) for alias in statement.names)
    else:
        names = [
            node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        ]
        yield from ((name, None) for name in names)


def _of(definition: Definition, module: str, deepest: int) -> Signature | None:
    if definition.decorator_list or deepest == 0:
        return None
    if isinstance(definition, ast.FunctionDef):
        return _arguments(definition, 0)
    methods = {part.name: part for part in definition.body if isinstance(part, ast.FunctionDef)}
    if definition.keywords or "__new__" in methods:
        return None
    if "__init__" in methods:
        return None if methods["__init__"].decorator_list else _arguments(methods["__init__"], 1)
    base = definition.bases[0] if len(definition.bases) == 1 else None
    found = _find(f"{module}.{base.id}", deepest) if isinstance(base, ast.Name) else None
    return _of(*found, deepest - 1) if found else None


def _arguments(function: ast.FunctionDef, first: int) -> Signature | None:
    given = function.args
    if given.vararg or given.kwarg or given.posonlyargs:
        return None
    plain = [argument.arg for argument in given.args]
    required = plain[first : len(plain) - len(given.defaults)]
    required += [arg.arg for arg, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None]
    return Signature((*plain[first:], *(argument.arg for argument in given.kwonlyargs)), tuple(required))
