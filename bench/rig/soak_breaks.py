"""Deliberate breaks of what the workers run: the soak is worth something if it notices them.

Each is Python that is run in the process of a command, be it a worker or ``dlq redrive``, before it starts. Those that
ask ``here(provider)`` can be limited to one vendor, "preload lost @ edgecast", so that several in one soak have a sign
each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_HERE = """
def here(provider):
    return {vendor!r} in ("", provider.partition("/")[0])
"""


def code(name: str) -> str:
    """The Python of a break.

    Args:
        name: of ``BREAKS``; with " @ " and a vendor's name, if it is to be limited to this vendor.

    Raises:
        ValueError: this break can't be limited to a vendor.
    """
    name, _, vendor = name.partition(" @ ")
    if vendor and "here(" not in BREAKS[name]:
        raise ValueError(f"{name!r} concerns all vendors")
    return _HERE.format(vendor=vendor) + BREAKS[name]


# Preloads that are asked for together with their purges, rather than once these have finished.
_AT_ONCE = """
from multicdn.model import Action
from multicdn.routing import sequels
waits = sequels.Sequels._waits
sequels.Sequels._waits = lambda self, orders: {
    place: found for place, found in waits(self, orders).items() if orders[place].demand.action is Action.PURGE}
"""

#: What is broken, and the code that breaks it.
BREAKS: Mapping[str, str] = {
    "requeued messages thrown away": """
from multicdn.queue import sender
from multicdn.queue.retry import DeadLetter
whole = sender.RetryQueue.carry_out
def is_kept(decision):
    return isinstance(decision, DeadLetter) or not here(decision.queued.job.provider)
sender.RetryQueue.carry_out = lambda self, decisions, seconds=60.0: whole(
    self, [each for each in decisions if is_kept(each)], seconds)
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
    if not here(queued.job.provider):
        return whole(queued, *rest)
    job = msgspec.structs.replace(queued.job, targets=queued.job.targets[1:] or queued.job.targets)
    return whole(msgspec.structs.replace(queued, job=job), *rest)
sender.encode = short
""",
    "dead letter not sent": """
from multicdn.queue import sender
from multicdn.queue.retry import Requeue
whole = sender.RetryQueue.carry_out
def is_kept(decision):
    return isinstance(decision, Requeue) or not here(decision.queued.job.provider)
sender.RetryQueue.carry_out = lambda self, decisions, seconds=60.0: whole(
    self, [each for each in decisions if is_kept(each)], seconds)
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
        if here(job.provider):
            return Receipt()
        raise
lane.Lane._call = trusting
""",
    "preload lost": """
from multicdn.delivery import lane
whole = lane.Lane.preload
lane.Lane.preload = lambda self, unpurged: None if here(self._name) else whole(self, unpurged)
""",
    "constant CallerReference": """
from multicdn.planning import jobs
whole = jobs.JobMaker._reference
jobs.JobMaker._reference = lambda self, batch: "always" if here(self._of[0]) else whole(self, batch)
""",
    "halves of a batch with its CallerReference": """
import msgspec
from multicdn import model
whole = model.Job._part
def part(self, places):
    made = whole(self, places)
    return msgspec.structs.replace(made, reference=self.reference) if here(self.provider) else made
model.Job._part = part
""",
    "preload first": _AT_ONCE
    + """
from multicdn.delivery import lane
purge, preload = lane.Lane.purge, lane.Lane.preload
def eager(self):
    preload(self, ())
    self.preloads = []
    purge(self)
lane.Lane.purge = eager
""",
    "preload though its purge has failed": _AT_ONCE
    + """
from multicdn.delivery import lane
whole = lane.Lane.preload
lane.Lane.preload = lambda self, unpurged: whole(self, ())
""",
    "removal marked stale": """
from multicdn.model import ChangeKind
from multicdn.routing import router
whole = router._Demands._demand
def stale(self, matcher, provider, action, soft):
    is_soft_else = (provider, action, True) in matcher.orders(ChangeKind.CREATED)
    return whole(self, matcher, provider, action, soft or (is_soft_else and here(provider)))
router._Demands._demand = stale
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
from multicdn.oncall import message_queue
whole = message_queue.MessageQueue.redrive
def early(self, messages, queue_url, progress):
    drop = self.drop
    self.drop = lambda sent: len(sent)
    for message in messages:
        drop([message])
        whole(self, [message], queue_url, progress)
    return len(messages)
message_queue.MessageQueue.redrive = early
""",
    "dead letter sent back to whoever answers 200": """
from multicdn.aws import sqs
sqs.is_confirmed = lambda answer: True
""",
    "look not sent": """
from multicdn.queue import sender
whole = sender.RetryQueue.carry_out
sender.RetryQueue.carry_out = lambda self, decisions, seconds=60.0: whole(
    self, [each for each in decisions if not (each.queued.look and here(each.queued.job.provider))], seconds)
""",
    "follower released before finished": """
import msgspec
from multicdn.proof import followed
whole = followed.Follow.accepted
def eager(self, *rest):
    for step in whole(self, *rest):
        job = step.queued.job
        if step.queued.look:
            yield from followed.released(
                (then for one in job.sequels if one for then in one.then if then.action == "purge"), step.queued, "now")
            sequels = tuple(one and msgspec.structs.replace(
                one, then=tuple(then for then in one.then if then.action != "purge")) for one in job.sequels)
            job = msgspec.structs.replace(job, sequels=sequels)
            step = msgspec.structs.replace(step, queued=msgspec.structs.replace(step.queued, job=job))
        yield step
followed.Follow.accepted = eager
""",
    "stale taken for fresh": """
import msgspec
from multicdn.proof import look
whole = look.judge
def mild(*rest, **named):
    verdict = whole(*rest, **named)
    return msgspec.structs.replace(verdict, state="fresh") if verdict.state == "stale" else verdict
look.judge = mild
""",
    "superseded dropped although newer never came": """
import msgspec
from multicdn.proof import look
whole = look.judge
def evasive(*rest, **named):
    verdict = whole(*rest, **named)
    return msgspec.structs.replace(verdict, state="superseded") if verdict.state == "stale" else verdict
look.judge = evasive
""",
}
