"""Objects that are written again and again, and edges that show some of what S3 says: no false alarm."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import formatdate
from hashlib import md5
from typing import NamedTuple

import pytest

from multicdn.aws.s3 import StoredObject
from multicdn.proof.identity import judge
from multicdn.sequel import Subject
from multicdn.terms import Seen


class Write(NamedTuple):
    at: float
    etag: str
    version: str


def writes(dice: random.Random) -> list[Write]:
    versioned, at, found = dice.random() < 0.5, 1_800_000_000 + dice.random(), []
    for number in range(dice.randint(2, 6)):
        at += dice.choice((0.05, 0.3, 0.9, 2, 30))
        body = dice.choice(("same", "other", str(number)))
        found.append(Write(at, md5(body.encode()).hexdigest(), f"v{number}" if versioned else ""))
    return found


def answer(dice: random.Random, write: Write) -> Seen:
    headers = {
        "etag": dice.choice((f'"{write.etag}"', f'W/"{write.etag}-gzip"', '"own"', "")),
        "last-modified": dice.choice((formatdate(int(write.at), usegmt=True), "")),
        "x-amz-version-id": dice.choice((write.version, "")),
    }
    shown = {name: value for name, value in headers.items() if value}
    return Seen(status=200, headers=shown, md5=dice.choice((write.etag, "")))


@pytest.mark.parametrize("part", range(4))
def test_what_is_as_new_as_its_event_is_never_stale(part: int) -> None:
    for seed in range(part * 250, part * 250 + 250):
        dice = random.Random(seed)
        every = writes(dice)
        of_event = dice.randrange(len(every))
        in_s3 = dice.randrange(of_event, len(every))
        event, now = every[of_event], every[in_s3]
        served = every[dice.randint(of_event, in_s3)]
        time = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
        if not event.version and in_s3 > of_event and (event.etag, int(event.at)) == (now.etag, int(now.at)):
            continue  # the same bytes again within a second: nothing says that others were there in between
        verdict = judge(
            Subject("https://e.org/a", "b", "a", time=time, etag=event.etag, version=event.version),
            StoredObject(now.etag, now.version, 9, float(int(now.at)), md5=now.etag),
            answer(dice, served),
            identity="auto",
            purged=event.at + 0.2,
            now=now.at + 1,
        )
        assert verdict.state != "stale", (seed, verdict)
