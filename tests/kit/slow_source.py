"""A source of AWS's credentials that hangs until it is let go: a program, which nothing of ours limits."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

_PROFILE = """\
[profile slow]
region = us-east-1
credential_process = sh -c 'echo asked >> {folder}/asked; for _ in $(seq 600); do \
if [ -e {folder}/go ]; then break; fi; sleep 0.1; done; cat {folder}/answer'
"""


class SlowSource:
    """Gives the access key ``C``.

    Args:
        folder: of its own.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.profile = folder / "config"
        self.profile.write_text(_PROFILE.format(folder=folder))
        answer = {"Version": 1, "AccessKeyId": "C", "SecretAccessKey": "only-for-tests"}
        (folder / "answer").write_text(json.dumps(answer))

    @property
    def times_asked(self) -> int:
        return len((self._folder / "asked").read_text().splitlines())

    def go(self) -> None:
        """Answer from now on."""
        (self._folder / "go").touch()


@contextmanager
def slow_source(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowSource]:
    """Have all credentials of AWS come from such a source, and none of its threads left at the end."""
    source = SlowSource(folder)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(source.profile))
    monkeypatch.setenv("AWS_PROFILE", "slow")
    try:
        yield source
    finally:
        source.go()
        for thread in [each for each in threading.enumerate() if each.name == "multicdn-aws"]:
            thread.join()
