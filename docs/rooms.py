"""The rooms of the package and the arrows between them, read from the imports. Type-only imports count."""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import grimp

from multicdn.installer.bundle.rooms import in_lambda

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[1]

PACKAGE = "multicdn"
PROVIDERS = "multicdn_providers"


def arrows() -> dict[str, set[str]]:
    """For each room the rooms that it imports from."""
    graph = grimp.build_graph(PACKAGE, PROVIDERS, cache_dir=None)
    found: dict[str, set[str]] = defaultdict(set)
    for module in graph.modules - {PACKAGE, f"{PACKAGE}.__main__"}:
        room = room_of(module)
        found[room] |= {room_of(other) for other in graph.find_modules_directly_imported_by(module)} - {room, PACKAGE}
    return dict(found)


def room_of(module: str) -> str:
    """The folder or file directly below the package that a module is in; all providers are one room."""
    parts = module.split(".")
    return parts[0] if parts[0] == PROVIDERS or len(parts) == 1 else parts[1]


def in_order(imports: Mapping[str, set[str]]) -> list[str]:
    """The rooms, lowest first.

    Raises:
        graphlib.CycleError: two rooms import each other.
    """
    sorter = TopologicalSorter({room: sorted(lower) for room, lower in sorted(imports.items())})
    sorter.prepare()
    rooms: list[str] = []
    while sorter.is_active():
        floor = sorted(sorter.get_ready())
        rooms += floor
        sorter.done(*floor)
    return rooms


def needed(imports: Mapping[str, set[str]]) -> Iterator[tuple[str, str]]:
    """The arrows without those that a longer way says already."""
    for room, lower in sorted(imports.items()):
        for other in sorted(lower):
            if not any(other in _below(between, imports) for between in lower - {other}):
                yield room, other


def _below(room: str, imports: Mapping[str, set[str]]) -> set[str]:
    return {other for lower in imports.get(room, ()) for other in (lower, *_below(lower, imports))}


def picture() -> str:
    """A Mermaid diagram: what runs in Lambda, and what only people use."""
    imports = arrows()
    rooms = in_order(imports)[::-1]
    lambda_rooms = in_lambda(ROOT / PACKAGE) | {PROVIDERS}
    lines = ["flowchart TD"]
    for title, inside in (("for people, never in Lambda", False), ("in Lambda", True)):
        lines += [f'  subgraph {"lambda" if inside else "people"}["{title}"]']
        lines += [f"    {room}" for room in rooms if (room in lambda_rooms) is inside]
        lines += ["  end"]
    lines += [f"  {room} --> {other}" for room, other in needed(imports)]
    return "\n".join(lines) + "\n"


def figures() -> str:
    """How large the house is: files, rooms, arrows, floors, and how long its functions are."""
    imports = arrows()
    folders = [folder for folder in ROOT.glob("multicdn/*") if (folder / "__init__.py").exists()]
    modules = [*ROOT.glob("multicdn/**/*.py"), *ROOT.glob("providers/**/*.py")]
    lengths = sorted(length for module in modules for length in _function_lengths(module))
    median, tenth = lengths[len(lengths) // 2], lengths[len(lengths) * 9 // 10]
    files = len(list(ROOT.glob("multicdn/*.py")))
    return (
        f"files at the top {files}, folders {len(folders)}, modules {len(modules)}\n"
        f"rooms {len(imports)}, arrows {sum(map(len, imports.values()))}, floors {max(_floors(imports).values())}\n"
        f"lines a function: median {median}, p90 {tenth}, most {lengths[-1]}"
    )


def _floors(imports: Mapping[str, set[str]]) -> dict[str, int]:
    floors: dict[str, int] = {}
    for room in in_order(imports):
        floors[room] = 1 + max((floors[lower] for lower in imports.get(room, ())), default=0)
    return floors


def _function_lengths(module: Path) -> Iterator[int]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


if __name__ == "__main__":
    print(figures())
