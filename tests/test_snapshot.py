"""What a copy of a process takes over of its secrets, where a plugin has read some before the first event."""

from __future__ import annotations

import ssl
from collections.abc import Iterator  # noqa: TC003 - resolved where the class is made
from dataclasses import dataclass

import pytest
from kit.sample_plugins import Plain
from kit.stage import lines

from multicdn import snapshot
from multicdn.provider import Secret, option


@dataclass(frozen=True, kw_only=True)
class Hasty(Plain):
    """A vendor whose plugin reads its secret at once."""

    token: Secret = option(help="API token")

    def prepare(self) -> None:
        """Do what no plugin should."""
        self.token.reveal()


@dataclass(frozen=True, kw_only=True)
class Unlisted(Plain):
    """A vendor whose plugin can't say what its secrets are."""

    error: BaseException

    def secrets(self) -> Iterator[Secret]:
        """Fail."""
        raise self.error


@pytest.mark.parametrize("error", [OSError("no"), SystemExit("no")])
def test_a_secret_that_was_read_is_read_again_whatever_other_plugins_do(
    error: BaseException, logged: pytest.LogCaptureFixture
) -> None:
    values = iter(("before", "rotated"))
    hasty = Hasty(token=Secret("${file:token}", lambda: next(values)))
    hasty.prepare()
    snapshot.renew({"odd": Unlisted(error=error), "hasty": hasty})
    assert hasty.token.reveal() == "rotated"
    assert lines(logged) == [{"event": "plugin-bug", "provider": "odd", "error": f"{type(error).__name__}: no"}]


def test_the_chance_of_tls_is_stirred_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stirred: list[bytes] = []
    monkeypatch.setattr(ssl, "RAND_add", lambda entropy, bits: stirred.append(entropy))
    snapshot.renew({})
    snapshot.renew({})
    assert len({*stirred}) == 2


def test_elsewhere_than_in_lambda_no_hook_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    from snapshot_restore_py import get_after_restore

    for kind, hooks in (("on-demand", 0), ("snap-start", 1)):
        monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", kind)
        snapshot.prepare({})
        assert len(get_after_restore()) == hooks
    get_after_restore().clear()
