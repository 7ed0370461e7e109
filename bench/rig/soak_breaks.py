"""Deliberate breaks of what the workers run: the soak is worth something if it notices them.

Each is Python that is run in the process of a command, be it a worker or ``dlq redrive``, before it starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What is broken, and the code that breaks it.
BREAKS: Mapping[str, str] = {
    "requeued messages thrown away": """
from multicdn.queue import sender
sender.RetryQueue.carry_out = lambda self, decisions, seconds=0: []
""",
    "5 % of requeued messages thrown away": """
import random
from multicdn.queue import sender
whole = sender.RetryQueue._carry_out
sender.RetryQueue._carry_out = lambda self, decisions, url, until: whole(
    self, [each for each in decisions if random.random() > 0.05], url, until)
""",
    "requeued job short of a target": """
import msgspec
from multicdn.queue import sender
whole = sender.encode
def short(queued, *rest):
    job = msgspec.structs.replace(queued.job, targets=queued.job.targets[1:] or queued.job.targets)
    return whole(msgspec.structs.replace(queued, job=job), *rest)
sender.encode = short
""",
    "dead letter not sent": """
from multicdn.queue import sender
from multicdn.queue.retry import Requeue
whole = sender.RetryQueue.carry_out
sender.RetryQueue.carry_out = lambda self, decisions, seconds=60.0: whole(
    self, [each for each in decisions if isinstance(each, Requeue)], seconds)
""",
    "message deleted before it is handled": """
from multicdn.worker import worker
whole = worker.Worker._handle
def early(self, batch, context):
    self._delete(batch)
    whole(self, batch, context)
worker.Worker._handle = early
""",
    "lost answer counted as accepted": """
from multicdn.delivery import lane
from multicdn.provider import Receipt, RetryLater
whole = lane.Lane._call
def trusting(self, job, watched):
    try:
        return whole(self, job, watched)
    except RetryLater:
        return Receipt()
lane.Lane._call = trusting
""",
    "preload lost": """
from multicdn.delivery import lane
lane.Lane.preload = lambda self, unpurged: None
""",
    "constant CallerReference": """
from multicdn.planning import planner
planner._Located._reference = lambda self, *rest, **soft: "always"
""",
    "halves of a batch with its CallerReference": """
import msgspec
from multicdn import model
whole = model.Job._part
model.Job._part = lambda self, places: msgspec.structs.replace(whole(self, places), reference=self.reference)
""",
    "preload first": """
from multicdn.delivery import lane
purge, preload = lane.Lane.purge, lane.Lane.preload
def eager(self):
    preload(self, ())
    self.preloads = []
    purge(self)
lane.Lane.purge = eager
""",
    "preload though its purge has failed": """
from multicdn.delivery import lane
whole = lane.Lane.preload
lane.Lane.preload = lambda self, unpurged: whole(self, ())
""",
    "removal marked stale": """
from multicdn.routing import matcher, router
orders, changed = matcher.Matcher._for_kind, router._Demands.changed_by
matcher.Matcher._for_kind = lambda self, kind, soft: (
    (name, action, action == "purge" and soft[name]) for name, action, _ in orders(self, kind, soft))
router._Demands.changed_by = lambda self, matcher, kind, hard, **rest: changed(self, matcher, kind, hard=False, **rest)
""",
    "removal marked stale where its batch brings a newer upload": """
from multicdn.routing import router
whole = router._Demands.changed_by
router._Demands.changed_by = lambda self, matcher, kind, hard, **rest: whole(self, matcher, kind, hard=False, **rest)
""",
    "no second kept for the queue": """
from multicdn import handler
handler.RESERVE = 0.0
""",
    "dead letter sent once for each target": """
import msgspec
from multicdn.queue import sender
from multicdn.queue.retry import DeadLetter
whole = sender.RetryQueue.carry_out
given_up = set()
def new_part(decision):
    queued = decision.queued
    known = [target for target in queued.job.targets if (queued.job.provider, target) in given_up]
    given_up.update((queued.job.provider, target) for target in queued.job.targets)
    part = queued.job.without(known)
    return part and msgspec.structs.replace(decision, queued=msgspec.structs.replace(queued, job=part))
def once(self, decisions, seconds=60.0):
    kept = [new_part(each) if isinstance(each, DeadLetter) else each for each in decisions]
    return whole(self, [each for each in kept if each], seconds)
sender.RetryQueue.carry_out = once
""",
    "dead letter deleted before it is sent back": """
from multicdn.oncall import dead_letters
whole = dead_letters.DeadLetters.redrive
def early(self, messages, queue_url, progress):
    drop = self.drop
    self.drop = lambda sent: len(sent)
    for message in messages:
        drop([message])
        whole(self, [message], queue_url, progress)
    return len(messages)
dead_letters.DeadLetters.redrive = early
""",
    "dead letter sent back to whoever answers 200": """
from multicdn.aws import sqs
sqs.is_confirmed = lambda answer: True
""",
}
