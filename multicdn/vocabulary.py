"""The words of the log and of the metrics: every event and field that is written, each with a sentence.

Pure data, which nothing imports that runs in Lambda: the reference of the log and its JSON Schema are made from it, and
tests hold it against what is written. Words are added; one that changes its meaning gets another name.
"""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """A member of a record.

    Attributes:
        type: ``text``, ``number``, ``integer``, ``boolean``, ``texts`` (a list of them), ``counts`` (an object of
            integers), or ``providers`` (an object of counts).
        says: what it says, in a sentence.
        unit: of a number, where it has one.
        words: all that a text may be; empty where it is free.
    """

    type: str
    says: str
    unit: str = ""
    words: tuple[str, ...] = ()


class Event(NamedTuple):
    """A kind of record.

    Attributes:
        levels: at which it is written.
        says: when, in a sentence.
        always: fields that each has.
        sometimes: fields that are absent where they would be empty.
        own: fields that mean something else here than they do elsewhere.
    """

    levels: tuple[str, ...]
    says: str
    always: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()
    own: dict[str, Field] = {}  # noqa: RUF012 - of a NamedTuple, and never changed


class Metric(NamedTuple):
    """A number in CloudWatch.

    Attributes:
        unit: CloudWatch's.
        of: the dimension that it has besides the function's name; empty for none.
        says: what it counts or measures, in a sentence.
    """

    unit: str
    of: str
    says: str


#: What became of targets.
STATES = (
    *("accepted", "requeued", "dead", "returned", "dropped"),
    *("finished", "fresh", "purged", "unknown", "superseded", "released"),
)

FIELDS = {
    "event": Field("text", "what the record is about"),
    "provider": Field("text", "the provider, as the config calls it; after a slash what it was found to stand for"),
    "action": Field("text", "what the vendor was to do", words=("purge", "preload")),
    "kind": Field("text", "what the targets are", words=("url", "prefix", "tag", "host", "everything")),
    "soft": Field("boolean", "whether to mark as stale rather than to drop"),
    "state": Field(
        "text",
        "what became of the targets: `accepted` by the vendor; `requeued` to be tried again; `dead`, so among the dead "
        "letters; `returned`, so AWS brings the messages back that asked for them; `dropped`: a preload that has no "
        "queue to wait in; `finished` by the vendor, or `fresh` at the edge; `purged` again; `unknown` whether they "
        "are fresh; `superseded` by a newer change; `released` to be done",
        words=STATES,
    ),
    "targets": Field("integer", "how many targets it is about"),
    "first": Field("texts", "the first of what it is about: targets, or objects as S3 URIs; 5 at most"),
    "bucket": Field("text", "the bucket of the first object behind it"),
    "keys": Field("texts", "keys of the first objects behind it, those of another bucket as S3 URIs; 5 at most"),
    "objects": Field("integer", "how many objects are behind it"),
    "routes": Field("texts", "file and line of the routes that made targets of them; 5 at most"),
    "messages": Field("texts", "ids of the messages that asked for it at first; 5 at most"),
    "principal": Field("text", "who changed the objects, as S3 says"),
    "source_ip": Field("text", "from where, if all came from one address"),
    "by": Field(
        "text", "who asked for it by hand: an identity of AWS, or `user@host`; of several, the first `and others`"
    ),
    "why": Field("text", "what for: their `--reason`"),
    "id": Field("text", "the vendor's id of the request, for its support desk"),
    "ids": Field("texts", "the same of several calls; 5 at most"),
    "note": Field("text", "what else the vendor said"),
    "calls": Field("integer", "how many calls it took"),
    "throttled": Field("integer", "how many of them the vendor answered by asking for a wait"),
    "attempt": Field("integer", "which invocation it was that tried, from 1"),
    "ms": Field("integer", "how long it took, waiting included; of several calls the longest", "milliseconds"),
    "age_seconds": Field(
        "number",
        "since the oldest upload behind it, or where none is known, since it was asked for",
        "seconds",
    ),
    "delay": Field("integer", "until it is tried again; of several jobs the shortest", "seconds"),
    "accepted_seconds": Field("number", "since the vendor had accepted it; of several calls the first", "seconds"),
    "basis": Field(
        "text",
        "how it is known to be finished: the vendor was `asked`; or the time was over that it has `published`",
        words=("asked", "published"),
    ),
    "purges": Field("integer", "how many purges there have been, the first included"),
    "urls": Field("texts", "URLs that were looked at, where the targets are no such; 5 at most"),
    "seen": Field("text", "by what the edge's answer was told, and its age; of several objects the first"),
    "expected": Field("text", "the same of the object in S3"),
    "pop": Field("text", "the place that answered, where it is known"),
    "reason": Field("text", "why, in a sentence; of several reasons that differ by the target alone, the first"),
    "changes": Field("integer", "how many objects changed"),
    "buckets": Field("counts", "how many of them in which bucket; the 5 with the most"),
    "no_route": Field("integer", "how many of them no route is about"),
    "not_on": Field("integer", "how many of them have a route that isn't `on` what happened"),
    "jobs": Field("integer", "how many jobs came back from the queue"),
    "looks": Field("integer", "how many accepted purges came from the queue to be looked at"),
    "unmatched": Field("integer", "how many changes no route acts on"),
    "unreadable": Field("integer", "how many messages, or parts of them, could not be read"),
    "providers": Field(
        "providers",
        "of each provider the targets by state, the `calls`, and those `throttled`; of accepted purges those `looked` "
        "at, and what was found out: `finished`, `fresh`, `stale`, `unknown`, `superseded`; what is 0 is absent",
    ),
    "records": Field("integer", "how many records were left out"),
    "of": Field("text", "their event, where they have one in common"),
    "parts": Field("integer", "how many parts of messages could not be read for this reason"),
    "events": Field("integer", "how many events"),
    "names": Field("counts", "how many of which name; 5 at most"),
    "store": Field("text", "whose events they are, where that isn't S3"),
    "template": Field("text", "the template that has no text for the keys"),
    "left": Field("integer", "how many targets are left"),
    "directories": Field("texts", "directories that are purged by prefix, as prefixes of keys; 5 at most"),
    "more": Field("integer", "how many directories there are besides"),
    "innocent": Field("integer", "how many unchanged objects that drops as well; absent where nobody counted"),
    "dollars": Field("number", "what that saves", "US dollars"),
    "queue": Field("text", "URL of the queue"),
    "destination": Field("text", "ARN of the event bus or of the topic"),
    "code": Field("text", "SQS's code for it; empty where it gave no answer"),
    "error": Field("text", "what was raised"),
    "trace": Field("text", "where it was raised, line by line"),
    "service": Field("text", "the service of AWS, as botocore calls it"),
    "secret": Field("text", "the secret, as the config refers to it"),
    "hook": Field("text", "the hook in which a plugin failed"),
    "prefix": Field("text", "the prefix by which the first of them is purged"),
    "failures": Field("integer", "how many calls have failed in a row"),
    "seconds": Field("number", "how long nothing is tried, or how long it has lasted", "seconds"),
    "warning": Field("text", "what is legal in the config and probably not meant, with file and line"),
    "batches": Field("integer", "how many batches are worked on at once"),
    "failed": Field("integer", "how many of its messages come back"),
    "signal": Field("text", "the signal that it was sent"),
}

#: Fields of each record of how jobs ended.
OF_JOB = ("provider", "action", "kind", "soft", "state", "targets", "first", "calls", "attempt", "ms")
_BEHIND = ("bucket", "keys", "objects", "routes", "messages", "principal", "source_ip", "by", "why", "age_seconds")
_FAILED = (*_BEHIND, "throttled", "delay", "reason")

#: Fields of each record of a purge that is followed, and of those whose edges were seen.
OF_LOOK = ("provider", "action", "kind", "soft", "state", "targets", "first")
_FOLLOWED = (*_BEHIND, "accepted_seconds", "reason")
_SEEN = (*_FOLLOWED, "urls", "seen", "expected", "pop")
_LOOKED_AT = {"objects": Field("integer", "how many objects were looked at")}

_MESSAGES = Field("integer", "how many messages")

EVENTS = {
    "accepted": Event(
        ("INFO",), "A vendor accepted what it was asked.", OF_JOB, (*_BEHIND, "throttled", "id", "ids", "note")
    ),
    "retry": Event(
        ("WARNING", "ERROR"), "It may succeed later: no answer, a failure, too many calls.", OF_JOB, _FAILED
    ),
    "paced": Event(("INFO", "ERROR"), "Not called yet: the vendor's rate allows it only later.", OF_JOB, _FAILED),
    "rejected": Event(("WARNING", "ERROR"), "The vendor will never take these targets.", OF_JOB, _FAILED),
    "refused": Event(("WARNING", "ERROR"), "Settings are wrong, and a person is needed.", OF_JOB, _FAILED),
    "unauthorized": Event(("WARNING", "ERROR"), "Credentials are wrong, or can't be read.", OF_JOB, _FAILED),
    "unasked": Event(
        ("WARNING", "ERROR"),
        "Not called, since the vendor had refused something else that stands for it.",
        OF_JOB,
        _FAILED,
    ),
    "finished": Event(
        ("INFO",),
        "A purge is done at all edges of its vendor: it says so, or its published time is over.",
        (*OF_LOOK, "basis"),
        (*_FOLLOWED, "id", "ids"),
    ),
    "fresh": Event(
        ("INFO",), "The edge was seen to serve the new bytes, or newer ones.", OF_LOOK, _SEEN, own=_LOOKED_AT
    ),
    "stale": Event(
        ("WARNING", "ERROR"),
        "An edge has old bytes though the purge is finished, or the vendor gave it up: `purged` again, or `dead`.",
        (*OF_LOOK, "purges"),
        (*_SEEN, "delay"),
        own={
            **_LOOKED_AT,
            "delay": Field("integer", "until it is purged again; of several jobs the shortest", "seconds"),
        },
    ),
    "unknown": Event(
        ("WARNING",),
        "It can't be told whether an edge is fresh: a login, a redirect, bytes that were transformed.",
        OF_LOOK,
        _SEEN,
        own=_LOOKED_AT,
    ),
    "superseded": Event(
        ("INFO",),
        "The object has changed again before its edge was fresh, and that change is looked at by itself.",
        OF_LOOK,
        _SEEN,
        own=_LOOKED_AT,
    ),
    "released": Event(
        ("WARNING",),
        "What fetches from another CDN is done though that one has not finished: it took too long, or was given up.",
        OF_LOOK,
        _FOLLOWED,
    ),
    "left-out": Event(
        ("INFO", "WARNING", "ERROR"),
        "There was more than a person reads: 20 records, the worst first, of a provider or an event in an invocation.",
        ("records",),
        ("provider", "of", "targets"),
    ),
    "invocation": Event(
        ("INFO",),
        "An invocation is over: the last record of each.",
        ("messages", "changes", "jobs", "unmatched", "unreadable", "ms", "providers"),
        ("looks",),
        own={"messages": _MESSAGES, "ms": Field("integer", "how long all of it took", "milliseconds")},
    ),
    "unreadable": Event(
        ("ERROR",),
        "Messages are no events, or damaged, or jobs that aren't taken from where they came.",
        ("parts", "messages", "reason"),
    ),
    "incomplete": Event(
        ("WARNING", "ERROR"),
        "Of some changes something could not be found out: a plugin failed on their URLs, S3 didn't answer for tags.",
        ("state", "changes", "first", "messages", "reason"),
        ("attempt", "delay"),
    ),
    "held": Event(
        ("INFO", "ERROR"),
        "Some changes wait for the rest of their deploy; or that never came, and they are dead letters.",
        ("state", "changes", "first", "messages", "reason"),
        ("delay",),
        own={"delay": Field("integer", "until it is looked whether the deploy is over", "seconds")},
    ),
    "deployed": Event(
        ("INFO", "WARNING"),
        "Changes that waited for the rest of their deploy are purged; a warning where the deploy may go on.",
        ("changes", "first", "seconds", "reason"),
        ("routes",),
        own={"seconds": Field("number", "since the first of the changes", "seconds")},
    ),
    "not-listed": Event(
        ("INFO", "WARNING"),
        "S3 didn't list all objects of a route that settles: the changes at hand decide without the others.",
        ("reason",),
    ),
    "unmatched": Event(
        ("INFO",),
        "No route acts on some changes: `no_route` shows a misspelled bucket or prefix; `multicdn explain` says why.",
        ("changes", "no_route", "not_on", "buckets", "first"),
    ),
    "untargeted": Event(
        ("WARNING",),
        "A template of a route has nothing for some keys: they lie in no folder, or the host isn't allowed.",
        ("bucket", "template", "objects", "first", "reason"),
        own={"reason": Field("text", "why the first of them has none"), "first": Field("texts", "keys; 5 at most")},
    ),
    "ignored": Event(("INFO",), "Events for which there is nothing to do.", ("events", "names")),
    "unknown-event": Event(("WARNING",), "Events that nobody knows.", ("events", "names"), ("store",)),
    "gone": Event(
        ("INFO",),
        "Preloads waited, and were dropped since their objects were removed meanwhile.",
        ("provider", "targets", "first"),
    ),
    "collapse": Event(
        ("INFO", "DEBUG"),
        "Why many URLs became prefixes, or why they didn't.",
        ("provider", "bucket", "targets", "left", "directories", "innocent", "dollars", "reason"),
        ("more",),
        own={
            "targets": Field("integer", "how many targets there were"),
            "innocent": Field("integer or null", "how many unchanged objects that drops as well; null: nobody counted"),
        },
    ),
    "not-counted": Event(("WARNING",), "Unchanged objects of a bucket could not be counted.", ("reason",)),
    "widened": Event(
        ("INFO",),
        "URLs are purged by wider prefixes, since the vendor has no other way.",
        ("provider", "targets", "first", "prefix"),
    ),
    "breaker": Event(
        ("INFO", "WARNING"),
        "A vendor was found sick, is tried again, or is well again.",
        ("provider", "state"),
        ("reason", "failures", "seconds"),
        own={
            "state": Field(
                "text", "whether it is called: not at all, for a try, or as ever", words=("open", "half-open", "closed")
            )
        },
    ),
    "requeue-failed": Event(
        ("ERROR",),
        "What was to wait in the queue could not be sent there.",
        ("reason",),
        ("queue", "messages", "code"),
        own={"messages": _MESSAGES},
    ),
    "requeue-refused": Event(
        ("ERROR",),
        "SQS refused what was to wait in the queue.",
        ("queue", "messages", "code", "reason"),
        own={"messages": _MESSAGES},
    ),
    "not-measured": Event(("ERROR",), "The metrics of an invocation could not be taken.", ("reason",)),
    "aws-data-unfit": Event(
        ("WARNING",),
        "A client of AWS was made from all data of botocore: what the bundle has won't do.",
        ("service", "reason"),
    ),
    "publish-failed": Event(
        ("WARNING",), "Other systems could not be told of outcomes.", ("reason",), ("destination", "events")
    ),
    "plugin-bug": Event(
        ("ERROR",), "A plugin failed, and its author has to look.", (), ("provider", "hook", "error", "trace", "reason")
    ),
    "secret-stale": Event(
        ("WARNING",),
        "A secret's source is out: what it said before is used on. Once for each outage.",
        ("secret", "reason"),
    ),
    "not-prepared": Event(
        ("WARNING",),
        "What a provider needs was not loaded while the function started: its first call does it, and takes longer.",
        ("reason",),
        ("provider",),
    ),
    "package-missing": Event(("ERROR",), "A provider needs a package that isn't here.", ("provider", "error")),
    "config": Event(("WARNING",), "What the config check warns of.", ("warning",)),
    "worker-started": Event(("INFO",), "A worker begins.", ("queue", "batches")),
    "worker-stopping": Event(
        ("INFO",),
        "It was sent a signal, and ends what it has begun: said every ten seconds.",
        ("signal", "batches", "seconds", "reason"),
        own={
            "batches": Field("integer", "how many batches are at hand"),
            "seconds": Field("integer", "how long they may take at most", "seconds"),
        },
    ),
    "worker-stopped": Event(("INFO",), "It has ended.", ("queue",)),
    "worker-batch": Event(("INFO",), "It has done a batch.", ("messages", "failed"), own={"messages": _MESSAGES}),
    "worker-busy": Event(
        ("INFO",),
        "A batch is not done yet: said every half minute.",
        ("messages", "seconds"),
        own={"messages": _MESSAGES},
    ),
    "worker-handler": Event(
        ("ERROR",), "A batch failed as a whole.", ("messages", "error", "trace"), own={"messages": _MESSAGES}
    ),
    "worker-receive": Event(("ERROR",), "Its queue could not be read.", ("queue", "reason", "seconds")),
    "worker-delete": Event(
        ("WARNING",),
        "Messages that are done could not be deleted.",
        ("messages", "reason"),
        own={"messages": Field("texts", "ids of the messages")},
    ),
    "worker-give-back": Event(
        ("WARNING",), "A message came too late, and others get it only later.", ("messages", "reason")
    ),
}

#: The metrics in CloudWatch. A count that is 0 isn't sent.
METRICS = {
    "Accepted": Metric("Count", "provider", "targets that the vendor has accepted"),
    "Requeued": Metric("Count", "provider", "targets that wait in the queue for another try, or for their turn"),
    "Dead": Metric("Count", "provider", "targets that were given up, and are dead letters"),
    "Refused": Metric("Count", "provider", "targets that the vendor refused, or was not asked for after a refusal"),
    "Calls": Metric("Count", "provider", "calls to the vendor"),
    "Throttled": Metric("Count", "provider", "calls that the vendor answered by asking for a wait"),
    "BreakerOpen": Metric("Count", "provider", "1 while the vendor's circuit breaker is open, else 0"),
    "OldestUndeliveredSeconds": Metric(
        "Seconds",
        "provider",
        "how old the oldest job that was not delivered will be at its next try, or was when it was given up; 0 where "
        "all was delivered or only waits for its turn at the vendor's pace",
    ),
    "UploadToAcceptedSeconds": Metric(
        "Seconds", "provider", "from the event in S3 until the vendor had accepted all purges for it"
    ),
    "UploadToFinishedSeconds": Metric(
        "Seconds",
        "provider",
        "from the event in S3 until the vendor said that it was done, or its published time was over",
    ),
    "UploadToFreshSeconds": Metric(
        "Seconds", "provider", "from the event in S3 until the edge was seen to serve the new bytes, or newer ones"
    ),
    "Fresh": Metric(
        "Count", "provider", "objects that the edge was seen to serve as they are in S3, or newer than that"
    ),
    "Stale": Metric("Count", "provider", "objects that an edge still had old bytes of when they were given up"),
    "PurgedAgain": Metric(
        "Count", "provider", "targets that were purged again, since an edge had old bytes, or the vendor gave them up"
    ),
    "Unknown": Metric("Count", "provider", "objects of which it could not be told whether the edge has the new bytes"),
    "PaidPaths": Metric("Count", "vendor", "targets that a vendor with a price has accepted for purging"),
    "Unrouted": Metric("Count", "", "changes that no route acts on"),
    "Unreadable": Metric("Count", "", "messages, or records of one, that could not be read"),
    "OldestIncompleteSeconds": Metric(
        "Seconds",
        "",
        "how old the oldest change will be at its next try of which something could not be found out: tags, or URLs "
        "that a plugin makes",
    ),
}
