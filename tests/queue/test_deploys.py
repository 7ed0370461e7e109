"""Routes that wait for whole deploys: the dispatcher between a queue and S3, of which the wire alone is simulated.

Time is told, and passes at once: what the queue delays is handed out when its time has come.
"""

from __future__ import annotations

import itertools
import json
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from kit.s3 import S3
from kit.scripted_provider import Scripted, Seen, accept
from kit.stage import lines

from multicdn import dispatcher, handover
from multicdn.aws.s3 import Objects
from multicdn.config import Config
from multicdn.config.settings import Retrying
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.dispatcher import Dispatcher
from multicdn.errors import RetryLater
from multicdn.events.envelopes import decode
from multicdn.plugins.discovery import Plugins
from multicdn.queue.sender import RetryQueue
from multicdn.routing.route import Route
from multicdn.routing.settle import Settle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.model import Receipt

pytestmark = pytest.mark.slow

OWN = "https://sqs.eu-west-1.amazonaws.com/123456789012/work"
DLQ = "https://sqs.eu-west-1.amazonaws.com/123456789012/work-dlq"
ARN = "arn:aws:sqs:eu-west-1:123456789012:work"
BEGIN = 1_790_000_000.0

SETTLING = {"prefix": "site/", "settle": Settle(quiet="20s", most="10m")}
LAST = {"prefix": "site/", "after": "deploy/done.json"}


class Killed(BaseException):
    """The process ends here."""


class World:
    """A bucket, the queue before the function, and a provider that accepts all; with a clock that is told."""

    def __init__(self, s3: S3, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
        self.s3, self.objects = s3, objects
        self.now = BEGIN
        self.failures: list[Exception] = []
        self.cdn = Scripted(answer=self._answer)
        self.ids = itertools.count(1)
        self.queue: dict[str, tuple[float, float, str]] = {}  # when it shows, when it was sent, and its text, by id
        self.dead: list[dict[str, Any]] = []
        self.sent: list[dict[str, Any]] = []
        self.kill_at = ""
        clock = SimpleNamespace(time=lambda: self.now, monotonic=time.monotonic, strftime=time.strftime)
        for module in (dispatcher, handover):
            monkeypatch.setattr(module, "time", clock)
        self.most = 1000  # messages of a batch
        self.start(SETTLING)

    def start(self, *routes: dict[str, Any], give_up_after: str = "6h", queue: bool = True) -> None:
        """A new process, with these routes."""
        own = {"bucket": "acme-site", "urls": ("https://www.acme.com/{key}",), "purge": ("acme",)}
        config = Config(
            "multicdn.config.yml",
            {"acme": self.cdn},
            {"acme": "scripted"},
            tuple(Route(**{**own, **route}) for route in routes),
            delivery=Retrying(give_up_after=give_up_after),
        )
        way = (lambda: RetryQueue(self, OWN, DLQ)) if queue else None  # type: ignore[arg-type]
        self.dispatcher = Dispatcher(config, Plugins(), Delivery(config.providers, Terms(tries=1)), way, OWN)
        self.dispatcher._objects = self.objects
        deliver = self.dispatcher._delivery.deliver

        def killed_or_delivered(*args: Any) -> Any:
            self._maybe_killed("before its calls")
            return deliver(*args)

        self.dispatcher._delivery.deliver = killed_or_delivered  # type: ignore[method-assign]

    def send_message_batch(self, QueueUrl: str, Entries: Sequence[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        for entry in Entries:
            if QueueUrl == DLQ:
                self.dead.append(entry)
            else:
                self.sent.append(entry)
                self._put(entry["MessageBody"], entry["DelaySeconds"])
        return {"Successful": [{"Id": entry["Id"], "MessageId": f"s{next(self.ids)}"} for entry in Entries]}

    def _put(self, body: str, delay: float = 0.0) -> None:
        self.queue[f"m{next(self.ids)}"] = self.now + delay, self.now, body

    def change(self, *keys: str, kind: str = "ObjectCreated:Put", times: int = 1) -> None:
        """Objects change now, and S3 tells of it in a message, or several of the same."""
        moment = datetime.fromtimestamp(self.now, UTC)
        for key in keys:
            self.s3.objects.pop(f"acme-site/{key}", None)
            if kind.startswith("ObjectCreated"):
                self.s3.put(f"acme-site/{key}")
                self.s3.times[f"acme-site/{key}"] = moment.replace(microsecond=0)
        stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        records = [
            {
                "eventSource": "aws:s3",
                "eventName": kind,
                "eventTime": stamp,
                "s3": {"bucket": {"name": "acme-site"}, "object": {"key": key, "sequencer": f"{int(self.now):X}"}},
            }
            for key in keys
        ]
        for _ in range(times):
            self._put(json.dumps({"Records": records}))

    def invoke(self) -> int:
        """One invocation with what shows now; return how many messages it got."""
        shown = [name for name, (shows, _, _) in self.queue.items() if shows <= self.now][: self.most]
        if not shown:
            return 0
        records = [
            {
                "messageId": name,
                "eventSource": "aws:sqs",
                "eventSourceARN": ARN,
                "attributes": {"SentTimestamp": str(int(self.queue[name][1] * 1000))},
                "body": self.queue[name][2],
            }
            for name in shown
        ]
        try:
            reply = self.dispatcher.dispatch({"Records": records}, 30)
            self._maybe_killed("after its calls")
        except Killed:
            left = set(shown)
        else:
            left = {item["itemIdentifier"] for item in reply["batchItemFailures"]}
        for name in shown:
            _, sent, body = self.queue.pop(name)
            if name in left:
                self.queue[name] = self.now + 60, sent, body
        return len(shown)

    def _answer(self, seen: Seen) -> Receipt:
        if self.failures:
            raise self.failures.pop()
        return accept(seen)

    def _maybe_killed(self, where: str) -> None:
        if self.kill_at == where:
            self.kill_at = ""
            raise Killed

    def until(self, seconds: float) -> None:
        """Let time pass until so many seconds after the beginning, and all happen that happens meanwhile."""
        end = BEGIN + seconds
        while True:
            while self.invoke():
                pass
            shows = min((shows for shows, _, _ in self.queue.values()), default=end)
            if shows > end or not self.queue:
                break
            self.now = max(self.now, shows)
        self.now = end

    @property
    def plans(self) -> list[int]:
        """How many URLs each call purged."""
        return [len(seen.targets) for seen in self.cdn.calls]

    @property
    def purged(self) -> list[str]:
        """Keys that were purged, repetitions included."""
        return sorted(url.removeprefix("https://www.acme.com/") for seen in self.cdn.calls for url in seen.targets)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self.now - BEGIN

    def listed(self) -> int:
        """How often S3 was asked."""
        return len(self.s3.requests)


@pytest.fixture(scope="module")
def bucket() -> Iterator[tuple[S3, Objects]]:
    with pytest.MonkeyPatch.context() as environment, S3(environment) as s3:
        yield s3, Objects()


@pytest.fixture
def world(bucket: tuple[S3, Objects], monkeypatch: pytest.MonkeyPatch) -> World:
    s3, objects = bucket
    for kept in (s3.objects, s3.times, s3.statuses, s3.requests):
        kept.clear()
    return World(s3, objects, monkeypatch)


def keys(count: int, start: int = 0) -> list[str]:
    return [f"site/{number:03}.html" for number in range(start, start + count)]


def deploy(world: World) -> None:
    """300 objects in 30 messages, in a minute."""
    for part in range(30):
        world.until(2.0 * part)
        world.change(*keys(10, 10 * part))


def test_a_deploy_is_one_plan_after_it_is_quiet_and_none_before(world: World) -> None:
    deploy(world)
    world.until(77.0)
    assert world.plans == []
    world.until(90.0)
    assert (world.plans, world.purged) == ([100, 100, 100], keys(300))
    assert world.queue == {}
    assert world.listed() < 40


def test_a_single_upload_waits_no_longer_than_it_must(world: World) -> None:
    world.change("site/a.html")
    world.until(19.0)
    assert world.plans == []
    world.until(25.0)
    assert world.plans == [1]
    assert len(world.sent) == 1
    [entry] = world.sent
    shown = {name: value["StringValue"] for name, value in entry["MessageAttributes"].items()}
    assert shown["status"] == "held"
    assert shown["attempts"] == "0"
    assert json.loads(entry["MessageBody"])["multicdnWaiting"]["attempt"] == 0


def test_two_invocations_at_once_have_one_plan(world: World) -> None:
    """Each gets a part of what comes back; then they meet."""
    world.most = 1
    for part in range(6):
        world.change(*keys(10, 10 * part))
    world.until(19.0)
    assert len(world.queue) == 6
    world.most = 3
    world.until(24.0)
    assert (world.plans, len(world.queue)) == ([], 2)
    world.most = 1000
    world.until(40.0)
    assert (world.plans, world.purged) == ([60], keys(60))


def test_what_s3_has_that_no_message_tells_of_yet_is_waited_for(world: World) -> None:
    world.change("site/a.html")
    world.until(15.0)
    world.s3.put("acme-site/site/late.html")
    world.s3.times["acme-site/site/late.html"] = datetime.fromtimestamp(world.now, UTC)
    world.until(34.0)
    assert world.plans == []
    world.until(40.0)
    assert world.plans == [1]


@pytest.mark.parametrize("other", ["other/b.html", "site/b.map"])
def test_objects_of_no_concern_to_the_route_are_not_waited_for(world: World, other: str) -> None:
    world.start({**SETTLING, "exclude": ("*.map",)})
    world.change("site/a.html")
    world.until(15.0)
    world.change(other)
    world.until(26.0)
    assert world.plans == [1]


def test_only_what_was_uploaded_lately_is_kept_in_mind(world: World) -> None:
    world.change("site/a.html")
    world.now += 1
    world.change("site/b.html")
    assert world.objects.changed_since("acme-site", "site/", world.now) == ({"site/b.html": world.now}, True)


def test_where_s3_can_not_be_listed_the_changes_at_hand_decide_and_the_log_says_so(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.s3.statuses["acme-site"] = 403
    for part in range(5):
        world.until(8.0 * part)
        world.change(*keys(2, 2 * part))
    world.until(80.0)
    assert world.purged == keys(10)
    assert '"not-listed"' in caplog.text
    assert "ListObjectsV2 of s3://acme-site/site/: AccessDenied" in caplog.text


def test_removals_are_waited_for_by_what_is_at_hand(world: World) -> None:
    world.change("site/a.html", kind="ObjectRemoved:Delete")
    world.until(10.0)
    world.change("site/b.html", kind="ObjectRemoved:Delete")
    world.until(60.0)
    assert world.purged == ["site/a.html", "site/b.html"]


def test_uploads_without_end_are_purged_after_the_longest_wait(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.start({**SETTLING, "settle": Settle(quiet="20s", most="2m")})
    for part in range(20):
        world.until(10.0 * part)
        world.change(f"site/{part:03}.html")
    world.until(119.0)
    for part in range(20):
        world.until(200.0 + 10.0 * part)
    assert world.purged == keys(20)
    assert world.plans[0] >= 10, "all that had come back"
    assert len(world.plans) <= 3
    assert "the deploy may go on" in caplog.text


@pytest.mark.parametrize("where", ["before its calls", "after its calls"])
@pytest.mark.parametrize("when", [3, 11, 12])
@pytest.mark.parametrize("route", [SETTLING, LAST], ids=["settle", "after"])
def test_a_kill_at_any_step_loses_nothing(world: World, where: str, when: int, route: dict[str, Any]) -> None:
    """The messages of an invocation that was killed come back a minute later, whatever it has sent and purged."""
    world.start(route)
    for part in range(10):
        world.kill_at = where if part == when else ""
        world.until(6.0 * part)
        world.change(*keys(2, 2 * part))
    world.change("deploy/done.json")
    for part in range(10, 16):
        world.kill_at = where if part == when else ""
        world.until(60.0 + 5.0 * (part - 10))
    world.until(250.0)
    assert sorted(set(world.purged)) == keys(20)
    assert max(map(world.purged.count, world.purged)) <= 2
    assert world.queue == {}


def test_duplicates_are_purged_once_where_they_meet(world: World) -> None:
    world.change("site/a.html", times=3)
    world.until(5.0)
    world.change("site/a.html", times=2)
    world.until(60.0)
    assert world.plans == [1]


def test_a_late_duplicate_takes_no_deploy_along(world: World) -> None:
    world.change("site/a.html")
    late = next(iter(world.queue.values()))
    world.until(1000.0)
    assert world.plans == [1]
    world.change("site/b.html")
    world.until(1002.0)
    world.queue["late"] = (world.now, late[1], late[2])
    world.until(1019.0)
    assert world.purged == ["site/a.html", "site/a.html"]
    world.until(1040.0)
    assert world.purged == ["site/a.html", "site/a.html", "site/b.html"]


def test_what_was_removed_in_between_is_dropped_on_a_soft_route(world: World) -> None:
    world.start({**SETTLING, "soft": True})
    world.change("site/a.html", "site/b.html")
    world.until(3.0)
    world.change("site/a.html", kind="ObjectRemoved:Delete")
    world.until(6.0)
    world.change("site/a.html", "site/b.html")
    world.until(60.0)
    assert sorted((seen.targets[0][-6:], seen.call.soft) for seen in world.cdn.calls) == [
        ("a.html", False), ("b.html", True),
    ]  # fmt: skip


def test_two_routes_of_which_one_settles(world: World) -> None:
    world.start(SETTLING, {"urls": ("https://img.acme.com/{key}",)})
    world.change("site/a.html")
    world.until(1.0)
    assert [seen.targets for seen in world.cdn.calls] == [("https://img.acme.com/site/a.html",)]
    world.until(60.0)
    assert [seen.targets for seen in world.cdn.calls[1:]] == [("https://www.acme.com/site/a.html",)]


def test_tags_are_read_when_the_deploy_is_over(world: World) -> None:
    world.start({**SETTLING, "tags_from": "cache-tag"})
    world.change("site/a.html")
    world.s3.put("acme-site/site/a.html", cache_tag="old")
    world.s3.times["acme-site/site/a.html"] = datetime.fromtimestamp(world.now, UTC)
    world.until(5.0)
    assert world.listed() == 0
    world.s3.objects["acme-site/site/a.html"] = {"x-amz-meta-cache-tag": "new"}
    world.until(60.0)
    assert [seen.targets for seen in world.cdn.calls] == [("https://www.acme.com/site/a.html",), ("new",)]


def test_what_fails_after_its_deploy_is_given_up_as_anything_else(world: World) -> None:
    """And isn't taken each time for what has just waited: else it would come back for ever, and nobody would know."""
    world.start({**SETTLING, "tags_from": "cache-tag"}, give_up_after="1h")
    world.change("site/a.html")
    world.s3.statuses["acme-site/site/a.html"] = 403
    world.until(3600.0)
    assert (len(world.dead), len(world.queue)) == (0, 1), "counted from the end of its deploy"
    world.until(7200.0)
    assert (len(world.dead), len(world.queue)) == (1, 0)


def test_a_route_that_settles_no_longer_purges_what_was_held_for_it(world: World) -> None:
    world.change("site/a.html")
    world.until(5.0)
    world.start({"prefix": "site/"})
    world.until(60.0)
    assert world.purged == ["site/a.html"]


# For the object that comes last


def test_a_deploy_is_one_plan_after_its_last_object(world: World) -> None:
    world.start(LAST)
    deploy(world)
    world.until(82.0)
    assert world.plans == []
    world.change("deploy/done.json")
    world.until(96.0)
    assert (world.plans, world.purged) == ([100, 100, 100], keys(300))
    assert world.queue == {}


def test_a_last_object_that_the_route_is_about_is_purged_with_the_others(world: World) -> None:
    world.start({**LAST, "after": "site/done.json"})
    world.change("site/a.html", "site/done.json")
    world.until(30.0)
    assert world.purged == ["site/a.html", "site/done.json"]


def test_the_last_object_of_the_last_deploy_ends_no_other(world: World) -> None:
    world.start(LAST)
    world.change("deploy/done.json")
    world.until(10.0)
    world.change("site/a.html")
    world.until(200.0)
    assert world.plans == []
    world.change("deploy/done.json")
    world.until(220.0)
    assert world.purged == ["site/a.html"]


def test_a_deploy_that_never_ends_is_given_up_and_never_purged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.start(LAST, give_up_after="2m")
    world.change("site/a.html", "site/b.html")
    world.until(110.0)
    world.change("deploy/done.json", kind="ObjectRemoved:Delete")
    world.until(119.0)
    assert world.dead == []
    world.until(130.0)
    assert (world.plans, world.queue) == ([], {})
    [letter] = world.dead
    shown = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert shown["status"] == "held"
    assert "the deploy never ended: s3://acme-site/deploy/done.json was not uploaded since" in shown["reason"]
    assert [change.key for change in decode(letter["MessageBody"]).changes] == ["site/a.html", "site/b.html"]
    dead = [line for line in lines(caplog) if line["event"] == "held" and line["state"] == "dead"]
    assert [line["changes"] for line in dead] == [2]


def test_where_s3_does_not_answer_nothing_is_purged_before_it_does(world: World) -> None:
    world.start(LAST)
    world.s3.statuses["acme-site/deploy/done.json"] = 403
    world.change("site/a.html")
    world.until(5.0)
    world.change("deploy/done.json")
    world.until(100.0)
    assert world.plans == []
    assert "403" in world.sent[-1]["MessageAttributes"]["reason"]["StringValue"]
    del world.s3.statuses["acme-site/deploy/done.json"]
    world.until(120.0)
    assert world.purged == ["site/a.html"]


def test_a_last_object_that_is_removed_at_once_has_ended_the_deploy_that_meets_its_event(world: World) -> None:
    world.start(LAST)
    world.change("site/a.html")
    world.until(9.0)
    world.change("deploy/done.json")
    world.s3.objects.pop("acme-site/deploy/done.json")
    world.now = BEGIN + 10.0
    world.until(20.0)
    assert world.purged == ["site/a.html"]


# What the log and the metrics say


def test_more_objects_than_are_worth_the_time_are_told_and_the_first_are_looked_at(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "multicdn")
    monkeypatch.setattr("multicdn.aws.s3._MOST_PAGES", 2)
    monkeypatch.setattr(world.s3, "page", 3)
    world.change(*keys(10))
    world.until(19.0)
    world.s3.times["acme-site/site/000.html"] = datetime.fromtimestamp(world.now, UTC)
    world.until(30.0)
    assert world.plans == []
    world.until(60.0)
    assert world.plans == [10]
    told = [line["reason"] for line in lines(caplog) if line["event"] == "not-listed"]
    assert "more objects than are worth the time" in told[0]


def test_what_a_template_lacks_is_told_once_and_not_at_each_look(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.start({**LAST, "urls": ("https://www.acme.com/{segment3}", "https://www.acme.com/{key}")})
    world.change("site/a.html")
    world.until(50.0)
    assert world.queue
    assert '"untargeted"' not in caplog.text
    world.change("deploy/done.json")
    world.until(70.0)
    assert caplog.text.count('"untargeted"') == 1


def test_waiting_is_no_trouble(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "multicdn")
    measured: list[Any] = []
    world.dispatcher.on_measured = lambda found, _: measured.append(found)
    world.change("site/a.html")
    world.until(60.0)
    told = lines(caplog)
    assert {record.levelname for record in caplog.records} == {"INFO"}
    assert [line["event"] for line in told] == ["held", "invocation", "deployed", "accepted", "invocation"]
    held, deployed = told[0], told[2]
    assert held == {
        "event": "held", "state": "requeued", "changes": 1, "first": ["s3://acme-site/site/a.html"],
        "messages": ["m1"], "delay": 20,
        "reason": "the last change came 0 s ago, and the route waits until none came for 20 s",
    }  # fmt: skip
    assert (deployed["changes"], deployed["seconds"], deployed["reason"]) == (1, 20.0, "no change came for 20 s")
    assert all("OldestIncompleteSeconds" not in found.function for found in measured)


def test_a_purge_is_late_from_the_end_of_its_deploy_on(world: World) -> None:
    """Else the first failure after a long deploy would ring an alarm, and the purge be given up early."""
    measured: list[Any] = []
    world.start(LAST)
    world.dispatcher.on_measured = lambda found, _: measured.append(found)
    world.change("site/a.html")
    world.until(325.0)
    world.failures.append(RetryLater("503"))
    world.change("deploy/done.json")
    world.until(331.0)
    assert world.plans == [1]
    assert measured[-1].providers["acme"]["OldestUndeliveredSeconds"] < 31.0
    assert json.loads(world.sent[-1]["MessageBody"])["since"] == BEGIN + 330.0
    world.until(420.0)
    assert measured[-1].providers["acme"]["UploadToAcceptedSeconds"]
    assert world.queue == {}


def test_what_the_queue_does_not_take_goes_back_to_aws(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(world, "send_message_batch", fails)
    world.change("site/a.html")
    world.invoke()
    assert world.plans == []
    assert len(world.queue) == 1
    monkeypatch.undo()


def test_without_a_queue_it_is_purged_at_once_and_the_log_says_so(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.start(SETTLING, queue=False)
    entity = {"bucket": {"name": "acme-site"}, "object": {"key": "site/a"}}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": entity}
    world.dispatcher.dispatch({"Records": [record]}, 30)
    assert world.purged == ["site/a"]
    assert "MULTICDN_QUEUE_URL names no queue" in caplog.text
