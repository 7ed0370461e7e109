"""How to go on after a purge or a preload by hand: what to type for the rest, and where to follow what was sent."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from multicdn.cli._group import WORDS
from multicdn.cli.render import counted
from multicdn.model import Status, TargetKind
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.model import Outcome
    from multicdn.oncall.manual import ManualRequest
    from multicdn.queue.message import QueuedJob

# Characters of a command that a person may want to type again.
_LONGEST = 400

# Targets that are named of those that were sent.
_NAMED = 10

_LATER = {Status.RETRY, Status.PACED}


def undelivered(outcomes: Iterable[Outcome], unfinished: Sequence[str] = ()) -> Iterator[str]:
    """What to type for all that may succeed later; what a vendor has accepted is asked for again by no other one.

    Args:
        outcomes: of all.
        unfinished: names of the providers that have to finish before, since the rest fetches from them.
    """
    instances = sorted({outcome.job.instance for outcome in outcomes if outcome.status in _LATER})
    if instances:
        have = "has" if len(unfinished) == 1 else "have"
        when = f", once {' and '.join(unfinished)} {have} finished" if unfinished else ""
        yield redact(f"To go on{when}: {again(click.get_current_context().meta.get(WORDS, ()), instances)}")
        yield "With --queue or --stack the deployed function does it, and keeps trying."


def again(words: Sequence[str], instances: Sequence[str]) -> str:
    """A command once more, for some providers alone."""
    chosen = [word for name in instances for word in ("--provider", name)]
    kept = list(_without_providers(words))
    end = kept.index("--") if "--" in kept else len(kept)  # what follows is no option
    command = shlex.join(["multicdn", *kept[:end], *chosen, *kept[end:]])
    if len(command) > _LONGEST:
        command = f"the same command with {shlex.join(chosen)} alone"
    return f"{command}, with the same list on standard input" if "-" in words else command


def sent(
    jobs: Sequence[QueuedJob], messages: int, queue_url: str, request: ManualRequest, options: Sequence[str]
) -> Iterator[str]:
    """What was sent to a queue, and the commands that follow it, with these options."""
    instances = sorted({queued.job.instance for queued in jobs})
    targets = list(dict.fromkeys(target for queued in jobs for target in queued.job.described))
    yield f"{counted(messages, 'message')} sent to {queue_url}"
    yield f"{request.action} of {counted(len(targets), 'target')} at {', '.join(instances)}; request {request.id}"
    yield from (f"  {target}" for target in targets[:_NAMED])
    if len(targets) > _NAMED:
        yield f"  and {len(targets) - _NAMED:,} more"
    chosen = [word for name in instances for word in ("--provider", name)]
    yield f"follow it: {shlex.join(['multicdn', 'logs', '--follow', *chosen, *options])}"
    if subject := _subject(request):
        yield f"what became of it: {shlex.join(['multicdn', 'history', subject, *options])}"


def _subject(request: ManualRequest) -> str:
    """The first object or URL that a request is about; empty where it is about none."""
    urls = (target.value for target in request.targets if target.kind is TargetKind.URL)
    return next((f"s3://{item.bucket}/{item.key}" for item in request.objects), next(urls, ""))


def _without_providers(words: Sequence[str]) -> Iterator[str]:
    skip, ended = False, False
    for word in words:
        ended = ended or (word == "--" and not skip)
        if ended:
            yield word
        elif skip or word.startswith("--provider="):
            skip = False
        elif word == "--provider":
            skip = True
        else:
            yield word
