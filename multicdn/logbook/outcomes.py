"""What can be asked of the log by name: events, and what becomes of targets."""

from __future__ import annotations

from multicdn.vocabulary import EVENTS, STATES

#: Each once.
KNOWN = tuple(sorted({*EVENTS, *STATES}))
