"""What can be asked of the log by name: how a job ended, what became of it, and what else happens."""

from __future__ import annotations

from multicdn.model import Status

STATES = ("accepted", "requeued", "dead", "returned", "dropped")

#: Events and states, each once.
KNOWN = tuple(dict.fromkeys((*map(str, Status), *STATES)))
