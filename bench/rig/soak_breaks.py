"""Deliberate breaks of what the workers run: the soak is worth something if it notices them.

Each is Python that is run in a worker's process before the worker starts.
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
}
