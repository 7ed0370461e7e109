"""Preloads that waited in the queue, and whose objects have been removed meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from kit.sample_plugins import Plain, Warmer

from multicdn.model import Action, Change, ChangeKind, Job, TargetKind
from multicdn.planning.front import take_back
from multicdn.queue.message import QueuedJob
from multicdn.routing.route import Route
from multicdn.routing.router import Router

ROUTES = (
    Route(
        bucket="b", urls=("https://a.example/{key}",), purge=("plain",), preload=("warmer",), on=(ChangeKind.CREATED,)
    ),
    Route(bucket="c", urls=("https://c.example/{key}",), purge=("plain",)),
)
ROUTER = Router(ROUTES, {"plain": Plain(), "warmer": Warmer()})


def url(key: str) -> str:
    return f"https://a.example/{key}"


def job(*keys: str, action: Action = Action.PRELOAD, **members: Any) -> Job:
    causes = (frozenset(("m",)),) * len(keys)
    return Job("warmer", action, TargetKind.URL, tuple(map(url, keys)), causes, **members)


def removed(key: str, sequencer: str = "2", bucket: str = "b") -> Change:
    return Change(bucket, key, ChangeKind.REMOVED, sequencer=sequencer)


PURGE = job("a", action=Action.PURGE)


@pytest.mark.parametrize(
    ("waited", "changes", "jobs", "gone"),
    [
        pytest.param([job("a", "b")], [removed("a")], [job("b")], [job("a")], id="one of two"),
        pytest.param([job("a")], [removed("a")], [], [job("a")], id="all of it"),
        pytest.param(
            [job("a", purges=(PURGE,))], [removed("a")], [PURGE], [job("a", purges=(PURGE,))], id="its purge stays"
        ),
        pytest.param([job("a")], [removed("a"), Change("b", "a", sequencer="3")], [job("a")], [], id="it is back"),
        pytest.param([job("a")], [removed("a", bucket="c")], [job("a")], [], id="in another bucket"),
        pytest.param([job("a")], [Change("b", "a")], [job("a")], [], id="nothing removed"),
        pytest.param([PURGE], [removed("a")], [PURGE], [], id="a purge"),
        pytest.param([], [removed("a")], [], [], id="nothing waited"),
    ],
)
def test_preload_that_waited_loads_nothing_that_is_gone(
    waited: list[Job], changes: list[Change], jobs: list[Job], gone: list[Job]
) -> None:
    returned = take_back(ROUTER, lambda _: "", [QueuedJob(each, attempt=1, since=0.0) for each in waited], changes)
    assert (returned.jobs, returned.gone) == (jobs, gone)
