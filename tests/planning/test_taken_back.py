"""What comes back from the queue: what is done, what is only looked at, and what no route could have asked for."""

from __future__ import annotations

import msgspec
from kit.sample_plugins import Plain

from multicdn.model import Action, Job, Status, TargetKind
from multicdn.planning.front import Returned, take_back
from multicdn.queue.message import Look, QueuedJob
from multicdn.routing.allowed import Allowed
from multicdn.routing.route import Route
from multicdn.routing.router import Router
from multicdn.sequel import Sequel, Subject

ROUTES = (Route(bucket="b", urls=("https://www.acme.com/{key}",), purge=("www",)),)
PROVIDERS = {"www": Plain()}
LOOK = Look(accepted=1e9, due=1e9)


def queued(name: str, attempt: int = 1, host: str = "www.acme.com", look: Look | None = None) -> QueuedJob:
    job = Job("www", Action.PURGE, TargetKind.URL, (f"https://{host}/{name}",), (frozenset((name,)),))
    return QueuedJob(job, attempt, since=1e9, look=look)


def looked_at(name: str, host: str) -> QueuedJob:
    """A purge that a route could have asked for, and that is looked at by a URL at a host."""
    message = queued(name, look=LOOK)
    sequels = (Sequel((Subject(f"https://{host}/{name}", "b", name),)),)
    return msgspec.structs.replace(message, job=msgspec.structs.replace(message.job, sequels=sequels))


def taken_back(*messages: QueuedJob) -> Returned:
    return take_back(Router(ROUTES, PROVIDERS), Allowed(ROUTES, PROVIDERS).refusal, messages, ())


def test_what_was_tried_least_is_done_first() -> None:
    often, once, twice = queued("a", 5), queued("b", 1), queued("c", 2)
    assert taken_back(often, once, twice).jobs == [once.job, twice.job, often.job]


def test_what_is_looked_at_is_not_done_and_keeps_its_order() -> None:
    later, sooner, job = queued("a", 5, look=LOOK), looked_at("b", "www.acme.com"), queued("c")
    returned = taken_back(later, sooner, job)
    assert (returned.looks, returned.jobs, returned.refused) == ([later, sooner], [job.job], [])


def test_neither_a_job_nor_a_look_may_ask_a_host_of_no_route() -> None:
    elsewhere = [queued("a", host="evil.example"), queued("b", host="evil.example", look=LOOK)]
    by_another_url = looked_at("c", "evil.example")
    returned = taken_back(*elsewhere, by_another_url)
    assert (returned.looks, returned.jobs) == ([], [])
    assert [outcome.job for outcome in returned.refused] == [each.job for each in (*elsewhere, by_another_url)]
    assert {(outcome.status, outcome.final) for outcome in returned.refused} == {(Status.REFUSED, True)}
    assert all(outcome.reason.startswith("not done, since it came from the queue: ") for outcome in returned.refused)
