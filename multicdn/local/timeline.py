"""Changes of objects, and how far each has come at each provider. No clock, no network and no thread in here."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from multicdn.local.state import ProviderProgress, UploadState
from multicdn.model import Action, ChangeKind, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from multicdn.model import Job, Outcome
    from multicdn.proof.identity import Verdict
    from multicdn.proof.ladder import Note
    from multicdn.sequel import Subject

MOST_UPLOADS = 50

# States of what a vendor has accepted, and nothing more was found out about.
_LOOKED_AT = ("accepted", "finished", "stale")

# Messages of which it is remembered what they are about.
_MOST_MESSAGES = 20_000

# A target of a job that was not delivered yet.
_Target = tuple[Action, str, str]


@dataclass
class _AtProvider:
    """A change at one provider: what has to be done, and what is left of it."""

    decides: Action
    state: str = "waiting"
    accepted: float | None = None
    fresh: float | None = None
    attempts: int = 0
    reason: str = ""
    pending: set[_Target] = field(default_factory=set)
    verified: bool = False
    finished: float | None = None
    asked: bool = False
    purges: int = 1
    followed: set[_Target] = field(default_factory=set)

    def end(self, state: str, reason: str = "") -> None:
        """Nothing more is looked at."""
        self.state, self.reason = state, reason
        self.followed.clear()


@dataclass
class _FollowedUpload:
    id: str
    bucket: str
    key: str
    version: int
    at: float
    kind: str
    etag: str
    sequencer: str
    providers: dict[str, _AtProvider]


class Timeline:
    """The last changes. Not safe for threads: its owner locks."""

    def __init__(self) -> None:
        self._uploads: OrderedDict[str, _FollowedUpload] = OrderedDict()
        self._by_message: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._keys_of_message: dict[str, frozenset[_Target]] = {}
        self._ids = itertools.count(1)

    def add(
        self,
        bucket: str,
        key: str,
        kind: str,
        version: int,
        at: float,
        actions: Mapping[str, frozenset[Action]],
        etag: str,
        verified: Collection[str] = (),
        inner: Mapping[str, str] | None = None,
    ) -> str:
        """Add a change; return its id.

        Args:
            bucket: of the object.
            key: of the object.
            kind: created or removed.
            version: that it has now.
            at: seconds since 1970.
            actions: what each provider is asked to do for it. A purge decides, where there is one.
            etag: of the new bytes, by which the event is found that tells of it.
            verified: the providers at whose edge multicdn itself looks for the new bytes.
            inner: by the names of providers, those that they fetch from, and wait for.
        """
        providers = {
            name: _AtProvider(
                Action.PURGE if Action.PURGE in asked else Action.PRELOAD,
                verified=name in verified and Action.PURGE in asked,
                reason=f"until {waited_for} is done" if (waited_for := (inner or {}).get(name)) in actions else "",
            )
            for name, asked in actions.items()
        }
        upload = _FollowedUpload(f"u{next(self._ids)}", bucket, key, version, at, kind, etag, "", providers)
        self._uploads[upload.id] = upload
        while len(self._uploads) > MOST_UPLOADS:
            self._uploads.popitem(last=False)
        return upload.id

    def forget(self, upload: str) -> None:
        """Take a change back that did not happen."""
        self._uploads.pop(upload, None)

    def find(self, bucket: str, key: str, kind: str, etag: str, sequencer: str) -> str | None:
        """The id of the change that an event tells of, if it is known: again, or since we made it ourselves."""
        for upload in self._uploads.values():
            if (upload.bucket, upload.key, upload.kind) == (bucket, key, kind):
                again = bool(sequencer) and upload.sequencer == sequencer
                if again or (not upload.sequencer and upload.etag == etag):
                    return upload.id
        return None

    def received(self, message: str, upload: str, sequencer: str) -> None:
        """A message with the event of a change has come to the handler."""
        if upload in self._uploads:
            self._uploads[upload].sequencer = sequencer
            self._remember(message, (*self._by_message.get(message, ()), upload))

    def returned(self, message: str, job: Job) -> None:
        """A job has come back from the queue, or from the dead letters."""
        targets = frozenset(_targets(job))
        found = [id_ for id_, at in self._at(job.instance) if not targets.isdisjoint(at.pending | at.followed)]
        self._remember(message, tuple(found), targets)

    def calling(self, job: Job) -> None:
        """A vendor is called for a job, for the first time in this invocation or again."""
        for _, _, _, at in self._asked(job):
            if at.state in ("waiting", "requeued", "dead"):
                if at.state == "dead":  # it begins anew
                    at.finished, at.purges = None, 1
                at.state = "calling"
                at.attempts += 1

    def ended(self, outcome: Outcome, now: float) -> None:
        """A job has been accepted; of others ``put_off`` tells."""
        job = outcome.job
        if outcome.status is not Status.ACCEPTED:
            return
        for target, message, upload, at in self._asked(job):
            # What waits is spelled as the routes do, and what was called as the vendor does.
            at.pending -= {target} if target in at.pending else self._keys_of_message.get(message, frozenset())
            if not at.pending and at.accepted is None:
                at.state, at.reason = "accepted" if at.fresh is None else "fresh", ""
                at.accepted = round(max(0.0, now - upload.at), 3)

    def put_off(self, job: Job, reason: str, *, dead: bool) -> None:
        """It was decided what becomes of a job that was not accepted."""
        for target, _, _, at in self._asked(job):
            at.pending.add(target)
            if dead or at.state != "stale":  # one that is stale was accepted before
                at.state, at.accepted, at.reason = "dead" if dead else "requeued", None, reason

    def follow(self, job: Job) -> None:
        """Something follows what was accepted: it is looked at, or made once more, or others are asked only now."""
        for target, _, _, at in self._asked(job):
            (at.pending if at.accepted is None else at.followed).add(target)

    def found(self, note: Note, now: float) -> None:
        """Something was found out about a purge that is followed."""
        if note.event == "finished":
            for _, _, upload, at in self._asked(note.queued.job):
                if at.accepted is not None and at.finished is None:
                    at.finished, at.asked = round(max(at.accepted, now - upload.at), 3), note.asked
                    at.state = "finished" if at.state == "accepted" else at.state
        for subject, verdict in note.subjects:
            self._found_of(note, subject, verdict, now)

    def _found_of(self, note: Note, subject: Subject, verdict: Verdict, now: float) -> None:
        before: list[_AtProvider] = []
        for upload in self._uploads.values():
            at = upload.providers.get(note.queued.job.instance)
            if at is None or (upload.bucket, upload.key) != (subject.bucket, subject.key):
                continue
            if upload.sequencer != subject.sequencer:
                before.append(at)
                continue
            _tell(at, upload, note, verdict, now)
            for older in before:
                if older.verified and older.state in _LOOKED_AT:
                    older.end("superseded", "a newer version answers for it")
            return

    def over(self, messages: Iterable[str]) -> None:
        """An invocation has ended: what is still open of its messages waits for the next one."""
        for upload in itertools.chain.from_iterable(map(self._of_message, messages)):
            for at in upload.providers.values():
                if at.state == "calling":
                    at.state = "requeued" if at.pending else "waiting"

    def observe(self, is_fresh: Callable[[str, str, str], bool | None], now: float) -> None:
        """Look which changes have reached the clients, where multicdn itself doesn't.

        Args:
            is_fresh: by provider, bucket and key, whether clients get what is current; None where nobody can tell.
            now: seconds since 1970.
        """
        for upload in self._uploads.values():
            for name, at in upload.providers.items():
                if at.verified or at.accepted is None or at.fresh is not None or at.state not in _LOOKED_AT:
                    continue
                fresh = is_fresh(name, upload.bucket, upload.key)
                if fresh:
                    at.state, at.fresh = "fresh", round(max(at.accepted, now - upload.at), 3)
                elif fresh is False:
                    at.state = "stale"

    @property
    def open(self) -> bool:
        """Whether any change is on its way that only we look for."""
        every = (at for upload in self._uploads.values() for at in upload.providers.values())
        return any(at.fresh is None and not at.verified for at in every)

    def objects(self) -> list[tuple[str, str, str]]:
        """Bucket, key and kind of the last changes, newest first, each object once."""
        found = {(upload.bucket, upload.key): upload.kind for upload in self._uploads.values()}
        return [(bucket, key, kind) for (bucket, key), kind in reversed(found.items())]

    def uploads(self) -> tuple[UploadState, ...]:
        """The last changes, newest first."""
        return tuple(
            UploadState(
                each.id,
                each.bucket,
                each.key,
                each.version,
                each.at,
                each.kind,
                {name: _shown(at) for name, at in each.providers.items()},
            )
            for each in reversed(self._uploads.values())
        )

    def _asked(self, job: Job) -> Iterator[tuple[_Target, str, _FollowedUpload, _AtProvider]]:
        """Each target of a job, with the messages and uploads that it counts for."""
        for target, causes in zip(_targets(job), job.causes, strict=True):
            for message in causes:
                for upload in self._of_message(message):
                    at = upload.providers.get(job.instance)
                    if at is not None and at.decides is job.action:
                        yield target, message, upload, at

    def _at(self, instance: str) -> Iterator[tuple[str, _AtProvider]]:
        for upload in self._uploads.values():
            if instance in upload.providers:
                yield upload.id, upload.providers[instance]

    def _of_message(self, message: str) -> Iterator[_FollowedUpload]:
        for id_ in self._by_message.get(message, ()):
            if id_ in self._uploads:
                yield self._uploads[id_]

    def _remember(self, message: str, uploads: tuple[str, ...], targets: frozenset[_Target] = frozenset()) -> None:
        self._by_message[message] = tuple(dict.fromkeys(uploads))
        if targets:
            self._keys_of_message[message] = targets
        while len(self._by_message) > _MOST_MESSAGES:
            forgotten, _ = self._by_message.popitem(last=False)
            self._keys_of_message.pop(forgotten, None)


def _targets(job: Job) -> Iterator[_Target]:
    return ((job.action, job.kind, target) for target in job.targets)


def _shown(at: _AtProvider) -> ProviderProgress:
    return ProviderProgress(
        at.state,
        at.accepted,
        at.fresh,
        at.attempts,
        at.reason,
        at.finished,
        at.asked,
        at.purges,
        at.verified,
    )


def _tell(at: _AtProvider, upload: _FollowedUpload, note: Note, verdict: Verdict, now: float) -> None:
    """Take what was seen of a change at an edge."""
    if note.event == "fresh":
        at.fresh = round(max(at.accepted or 0.0, now - upload.at), 3)
        at.end("fresh")
    elif note.event in ("unknown", "superseded"):
        at.end(note.event, verdict.reason)
    elif note.event == "stale" and note.state == "purged":
        at.state, at.purges = "stale", note.purges + 1
        at.reason = verdict.seen or verdict.reason


def word(kind: ChangeKind) -> str:
    """The kind of a change as the timeline has it: what is no longer there is removed."""
    return "removed" if kind is ChangeKind.REMOVED else "created"
