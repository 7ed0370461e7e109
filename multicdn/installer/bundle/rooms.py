"""Which rooms of multicdn run in Lambda: those that the public modules import, themselves or through others.

A room is what stands directly in the package: a folder with all its files, or a single file.
"""

from __future__ import annotations

import ast
import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What Lambda calls, and what plugins import.
PUBLIC = (
    "handler",
    "provider",
    "http",
    "hooks",
    "errors",
    "model",
    "secrets",
    "config",
    "diagnosis",
    "through",
    "tls",
    "aws_clients",
    "proxies",
)

# Where the grammar has statements within a statement.
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def in_lambda(package: Path) -> frozenset[str]:
    """Follow the imports of the public modules from room to room.

    Imports within functions count. Those under ``if TYPE_CHECKING:`` don't, since they never run.

    Args:
        package: folder of multicdn.

    Returns:
        Names of the folders, and of the files without their suffix.
    """
    reached: set[str] = set()
    waiting = ["__init__", *PUBLIC]
    while waiting:
        room = waiting.pop()
        if room not in reached:
            reached.add(room)
            waiting += _imported_by(package, room)
    return frozenset(reached)


def _imported_by(package: Path, room: str) -> set[str]:
    folder = package / room
    files = folder.rglob("*.py") if folder.is_dir() else [folder.with_name(f"{room}.py")]
    modules: set[tuple[str, ...]] = set()
    for file in files:
        home = (package.name, *file.relative_to(package).parent.parts)
        modules |= _modules(file.read_bytes(), home)
    # The second part of a name is a room, unless it is something that the package itself defines.
    names = {module[1] for module in modules if module[0] == package.name and len(module) > 1}
    return {name for name in names if (package / name).is_dir() or (package / f"{name}.py").is_file()}


@functools.cache
def _modules(source: bytes, home: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    """The parts of every name that a source imports, relative imports resolved against the package that it is in."""
    return frozenset(_imports(ast.parse(source), home))


def _imports(tree: ast.AST, home: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = home[: len(home) - node.level + 1] if node.level else ()
            module = (*base, *(node.module.split(".") if node.module else ()))
            yield from ((*module, alias.name) for alias in node.names)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement below a node, but for what only type checkers see. No expressions: none of them imports."""
    for block in ("orelse",) if _is_for_type_checkers(node) else _BLOCKS:
        for child in getattr(node, block, ()):
            yield child
            yield from _executed(child)


def _is_for_type_checkers(node: ast.AST) -> bool:
    if not isinstance(node, ast.If) or not isinstance(node.test, (ast.Name, ast.Attribute)):
        return False
    return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
