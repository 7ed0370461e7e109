"""The one retry policy of the installer's calls: what passes is waited for, for a time that is said.

It is put under boto3's clients, so that no call can be forgotten, whoever makes it.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

from multicdn.installer.passing import Passing, is_gone, passing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Say = Callable[[str], None]

# Seconds from a call's first answer that passes, and from the making of something until everybody sees it.
PATIENCE = 120.0
# Nobody answers at all: most likely it is our side that isn't connected.
_UNREACHABLE = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0

_CONTEXT = "multicdn"
WAITED = "MulticdnWaited"


def aloud(line: str) -> None:
    """Say it on standard error, for commands that show no progress."""
    sys.stderr.write(f"{line}\n")


class CallRetries:
    """Decides for each answer whether the call is made again.

    Args:
        say: told what is waited for, once a call.
        patience: seconds of waiting at most.
    """

    def __init__(self, say: Say, patience: float = PATIENCE) -> None:
        self._say = say
        self._patience = patience
        self._made: dict[str, float] = {}

    def watch(self, client: Any) -> None:
        """Become the retry policy of a client, which must have none of its own."""
        service = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register(f"before-parameter-build.{service}", _remember)
        client.meta.events.register(f"needs-retry.{service}", self._pause)

    def _pause(
        self, response: Any, caught_exception: Any, operation: Any, attempts: int, request_dict: Any, **_: Any
    ) -> float | None:
        """Seconds until the same call is made again; None to let it be."""
        call: dict[str, Any] = request_dict["context"].setdefault(_CONTEXT, {})
        parsed = response[1] if response else {}
        self._note_made(operation.name, call, parsed)
        why, name = self._why(call, response, caught_exception)
        if why is None:
            return None
        limit = min(_UNREACHABLE, self._patience) if why is Passing.UNREACHABLE else self._patience
        since = call.setdefault("since", time.monotonic())
        if time.monotonic() - since >= limit:
            if "Error" in parsed:
                parsed["Error"][WAITED] = f"{why.value.format(thing=_thing(call))}, for {limit:.0f} s now"
            return None
        if why is not call.get("why"):
            call["why"] = why
            said = f"{why.value.format(thing=_thing(call))} ({operation.name}: {name})"
            self._say(f"waiting, for up to {limit:.0f} s: {said}")
        return min(_LONGEST_PAUSE, float(_FIRST_PAUSE * 2 ** min(attempts - 1, 10)))

    def _why(self, call: Mapping[str, Any], response: Any, exception: Any) -> tuple[Passing | None, str]:
        if exception is not None:
            return (Passing.UNREACHABLE if is_unreachable(exception) else None), type(exception).__name__
        http, parsed = response
        error = parsed.get("Error", {})
        code, message = str(error.get("Code", "")), str(error.get("Message", ""))
        if http.status_code < 300:
            return None, ""
        if is_gone(code, message) and self._is_young(call):
            return Passing.NOT_YET, code
        return passing(code, message, http.status_code), code

    def _note_made(self, operation: str, call: Mapping[str, Any], parsed: Mapping[str, Any]) -> None:
        """Remember what was made: a bucket by its name, a stack and its change set by their ids."""
        owned = parsed.get("Error", {}).get("Code") == "BucketAlreadyOwnedByYou"
        bucket = call.get("Bucket", "")
        if operation == "CreateBucket" and (owned or "Error" not in parsed):
            self._made[bucket] = time.monotonic()
        elif operation == "DeleteBucket" and "Error" not in parsed:
            self._made.pop(bucket, None)
        elif operation == "CreateChangeSet" and "Error" not in parsed:
            self._made |= dict.fromkeys((parsed.get("Id"), parsed.get("StackId")), time.monotonic())  # type: ignore[arg-type]

    def _is_young(self, call: Mapping[str, Any]) -> bool:
        now = time.monotonic()
        return any(now - self._made.get(call.get(name, ""), -PATIENCE) < PATIENCE for name in _THINGS)


def is_unreachable(exception: BaseException) -> bool:
    """Whether there was no answer, or half of one."""
    from botocore.exceptions import ConnectionError as NoConnectionError
    from botocore.exceptions import HTTPClientError, SSLError

    return isinstance(exception, NoConnectionError | HTTPClientError) and not isinstance(exception, SSLError)


# Parameter -> what it names.
_THINGS = {"Bucket": "the bucket", "StackName": "the stack", "ChangeSetName": "the stack", "QueueUrl": "the queue"}


def _remember(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
    """Keep what a call is about; the parameters are no longer seen when it is answered."""
    context[_CONTEXT] = {name: str(params[name]) for name in _THINGS if name in params}


def _thing(call: Mapping[str, Any]) -> str:
    for name, noun in _THINGS.items():
        if name in call:
            short = call[name].partition(":stack/")[2].partition("/")[0] if ":stack/" in call[name] else call[name]
            return noun if name == "ChangeSetName" else f"{noun} {short.rpartition('/')[2]}"
    return "the same thing"
