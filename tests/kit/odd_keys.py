"""Object keys that break naive purgers: those of the conformance suite, as S3 has them, and a few more."""

from __future__ import annotations

from urllib.parse import unquote

from multicdn.testing._conformance.failure_cases import ODD_PATHS

ODD_KEYS = {
    **{name: unquote(path.removeprefix("/")) for name, path in ODD_PATHS.items() if name != "encoded plus"},
    "brackets and the like": "[a]{b}|\\^`<>.css",
    "marks": "&,;=$@:!().css",
    "line break": "a\nb.css",
    "1,024 bytes": "k" * 1024,
}
