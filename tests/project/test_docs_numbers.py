"""Each number with a unit that people wrote into the documentation is the code's own, or named here as no limit."""

from __future__ import annotations

import re

import cold_start
import first_event
import pytest
from kit.docs_text import PAGES, prose
from multicdn_providers import fastly
from multicdn_providers.cloudfront import client as cloudfront
from rig import processor_share

from multicdn import bounds, log, preparation, provenance, publishing, records, secrets
from multicdn.aws import s3
from multicdn.cli import _delivering, history
from multicdn.config.settings import Install, Retrying
from multicdn.delivery import breaker, delivery, discovery, endings, stretches
from multicdn.delivery.invocation import Terms
from multicdn.events import envelopes
from multicdn.installer import bucket_check, cloudformation, permissions, quotas, retries, secret_store
from multicdn.installer.bundle import archive, cache
from multicdn.installer.template import alarms, stack
from multicdn.local import edges
from multicdn.logbook import group
from multicdn.planning import collapse, settling
from multicdn.proof import followed
from multicdn.queue import retry, sender
from multicdn.reporting import _LONGEST_LOOK
from multicdn.routing import spellings
from multicdn.routing.durations import LONGEST_DELAY, seconds
from multicdn.testing.loopback import config_copy
from multicdn.worker import crew, openmetrics

_SMALL = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_NUMBER = "|".join(
    [r"\d[\d,]*(?:\.\d+)?", *_SMALL[2:], "fifteen", "twenty", "thirty", "sixty", "quarter of an", "half an?"]
)
_UNIT = (
    "seconds? minutes? hours? days? times calls? bytes characters KB KiB MB GB messages? invocations? attempts? "
    "targets? spellings? envelopes? digits keys threads? tries resources notifications deep"
).replace(" ", "|")
NUMBERS = re.compile(
    rf"(?:(?<![\w/.-])(?:{_NUMBER})(?: (?!and\b|or\b)\w+)? (?:{_UNIT}|%))(?![\w-])|`\d+[smhd]`", re.IGNORECASE
)


def count(number: float) -> str:
    whole = int(number)
    assert whole == number
    return _SMALL[whole] if whole < len(_SMALL) else {20: "twenty"}.get(whole, f"{whole:,}")


def time(length: float) -> str:
    """Seconds as people say them: ``half a minute``, ``two hours``."""
    if length in (30, 900, 1800):
        return {30: "half a minute", 900: "quarter of an hour", 1800: "half an hour"}[length]
    for unit, one in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if length % one == 0:
            number = count(length / one)
            return f"{number} {unit}{'' if number == 'one' else 's'}"
    raise AssertionError(length)


def time_in_digits(seconds: float) -> str:
    return f"{seconds:g} seconds"


def size(number: int) -> str:
    return f"{number >> 20} MB" if number >= 1 << 20 else f"{number >> 10} KB"


_BREAKER = breaker.Breaker.__init__.__kwdefaults__ or {}
_RETRY, _DELIVERY = retry.RetryPolicy(), Retrying()
_TERMS = Terms(grace=seconds(_DELIVERY.grace))
_CONFIG_CHECK = (bucket_check.missing.__defaults__ or (0,))[0]

#: Page -> what must stand there, made from the code.
HELD = {
    "proof.md": [f"asked for the first time after {followed._FIRST_QUESTION:.0f} s"],
    "alarms.md": [
        f"before a purge is {time(alarms.LATE)} late",
        f"after a vendor asked for a {time(LONGEST_DELAY)}, at once",
        f"goes off {time(alarms._BETWEEN_TRIES * alarms._MINUTE)} after the last failure",
        f"after {count(stack.RECEIVES)} times they are dead letters",
        f"than are done, for {time(alarms.QUEUE_GROWS.periods * alarms._TEN_MINUTES)}",
        f"used up to {round(100 * alarms._SHARE)} %",
        f"look back for more than {time(alarms._WEEK)}",
        f"in {time(alarms._WEEK)}, since each month lies in {count(alarms._WEEKS)} such weeks",
    ],
    "config.md": [
        f"and {time(_CONFIG_CHECK)} at most",
        f"again after a {time(secrets.LIFETIME)}",
        f"at most {count(spellings.MOST)}, the likeliest first",
        f"at most {fastly.Fastly.tag_limits.target_bytes or 0:,} bytes without blanks",
        f"changed within the last {time(s3._LATELY.total_seconds())}",
        f"`{collapse._HARM_OF_BUDGET:g}` with a budget",
    ],
    "publish.md": [f"each text cut at {publishing._BRIEF} characters"],
    "deploys.md": [
        f"Of more than {s3._MOST_PAGES * 1000:,} objects",
        f"every {time_in_digits(settling._POLL)}",
        f"or within {time_in_digits(settling._TOLERANCE)}",
        f"up to {time_in_digits(settling._COARSEST)} later",
        f"they meet for {time_in_digits(settling._MET)} more",
    ],
    "delivery.md": [
        f"the highest of the last {time(openmetrics.LATELY)} is told",
        f"{count(envelopes._DEEPEST)} envelopes deep",
        f"The answer is kept for {time(discovery.Discoveries.LIFETIME)}",
        f"not after {endings._MOST_IN_VAIN} calls of which none was accepted",
        f"{size(bounds.LARGEST_ANSWER)} are read (Fastly's keys: {size(fastly._LARGEST_LIST)}, "
        f"CloudFront's lists: {size(cloudfront._LARGEST_PAGE)})",
        f"A call counts as work for {time(_BREAKER['prompt'])}",
        f"{count(breaker._FAILURES)} calls in a row have failed over a second or more",
        f"took more than {time(breaker._SLOW)}",
        f"{time(breaker._FIRST_PAUSE)} at first, each time twice as long",
        f"{count(breaker._REST)} times as long as its call took",
        f"{time(breaker.LONGEST_PAUSE).capitalize()} or `longest_delay` at most",
        f"isn't answered in {time(_BREAKER['prompt'])}",
        f"as the time before, {time(_BREAKER['longest'])} at most",
        f"never larger than {sender._LARGEST >> 10} KiB",
        f"up to the {time(LONGEST_DELAY)} that SQS can do | `{_DELIVERY.longest_delay}` |",
        f"of which up to a half is left to chance | `{_DELIVERY.first_delay}` |",
        f"a dead letter, if it was tried in {count(_RETRY.least_attempts)} invocations | `{_DELIVERY.give_up_after}` |",
        f"Invocations are few: {count(Install().maximum_concurrency)} at once",
        f"`delivery.grace` beyond: {time(seconds(_DELIVERY.grace))}, all together",
        f"within a tenth of the grace, {_TERMS.turn:g} seconds",
        f"goes on for {count(_TERMS.stretch / _TERMS.grace)} times the grace, {_TERMS.stretch:g} seconds",
        f"hold {count(1000 * 0.05 / _TERMS.stretch)} invocations for {time(_TERMS.stretch)} each",
        f"one after the other, {stretches._MOST_AHEAD} messages at most and a {time(LONGEST_DELAY)} ahead",
        f"asks for more: {'an hour' if breaker._LONGEST_ASKED == 3600 else ''} then",
        f"kept {count(retry._UNTRIED)} times as long",
        f"for that reason after {count(_RETRY.refused_attempts)} invocations",
        f"after {count(_RETRY.refused_attempts)} invocations with such an answer",
        f"at least {count(_RETRY.least_attempts)} attempts",
        f"and again every {time(crew._AGAIN)}",
    ],
    "install.md": [
        f"faults of AWS for up to {time(retries.PATIENCE)} a call",
        f"a connection for {time(retries._UNREACHABLE)}",
        f"change of the stack for up to {time(cloudformation._LONGEST_WAIT)}",
        f"made again, {count(cloudformation._TRIES)} times at most",
        f"the role ({permissions.LONGEST_OF_ROLE:,} characters)",
        f"the queues ({quotas._LONGEST_OF_QUEUE:,} bytes)",
        f"the function ({quotas._LONGEST_OF_FUNCTION:,} bytes)",
        f"the code ({archive.LARGEST >> 20} MB unpacked)",
        f"resources of the stack ({quotas._MOST_RESOURCES})",
        f"of which Lambda keeps {quotas._UNRESERVABLE}",
        f"A parameter takes {secret_store._STANDARD:,} characters, or {secret_store._LONGEST['ssm']:,} bytes",
        f"a secret of Secrets Manager {secret_store._LONGEST['secretsmanager']:,} bytes",
        f"at most {cache.MOST_BYTES >> 20} MB",
    ],
    "local.md": [
        f"wait for {config_copy.FIRST_DELAY[:-1]} to {config_copy.LONGEST_DELAY[:-1]} seconds rather than for "
        f"{time(seconds(_DELIVERY.first_delay))} and more",
        f"drops what it has only {edges.SLOW:.0f} seconds later",
    ],
    "logs.md": [
        f"the first {provenance.MOST} targets, keys and ids",
        f"Up to {provenance.MOST} objects are told apart",
        f"Of more than {records.MOST_RECORDS} records of one provider",
        f"more than {log._LONGEST:,} characters",
    ],
    "migrate.md": [f"kept for {time(discovery.Discoveries.LIFETIME)}"],
    "on-call.md": [
        f"Vendors are tried for {time(_delivering._PATIENCE)}",
        f"for what is new every {group._PAUSE:g} seconds",
        f"no more than {group._LATE:g} seconds older than the newest",
        f"A record names at most {provenance.MOST} keys",
        f"for the last {history._WEEK / 86_400:g} days, or",
        f"for the last {history._RECENT / 60:g} minutes",
        f"have {time(delivery.LINGER)} to end",
        f"the last {time(LONGEST_DELAY)} of the function's log",
    ],
    "performance.md": [
        ", ".join(f"{processor_share.share_of(size):.0%} of one at {size} MB" for size in first_event.SIZES).replace(
            "%", " %"
        ),
        f"to {cold_start._LEAN:.0f} MB where a vendor needs no SDK",
        f"to the {cold_start._UPLOAD:.0f} MB that Lambda takes",
    ],
    "pipelines.md": [f"Beyond {cloudformation.LONGEST_BODY:,} bytes"],
    "plugins.md": [
        f"only after {count(_RETRY.refused_attempts)} invocations",
        f"no more than {size(bounds.LARGEST_ANSWER)}",
        f"for {time(_LONGEST_LOOK)} at most",
        f"what takes longer than {time(preparation.LONGEST)} with all providers",
    ],
}

# By `bench/proof.py` and `bench/tiers.py`.
_MEASURED = [
    "2, 5, 10, 30 s",
    "1.01, 1.01, 1.11, 1.14 times that",
    "1.01, 1.00, 1.00, 1.00 times",
    "with a worker, in real time, 5 s",
    "1.03 times",
    "1 message, 1 invocation, 1 HEAD, 1 request at the edge, 1 question to the vendor",
    "1 message, 1 invocation, 20 HEADs, 20 requests, 1 question (Fastly's edge check: 20)",
    "100 at once, a sample of 20",
    "100 uploads without",
    "2,000 uploads, each object written again after 0.2 to 4.5 s",
    "200 rounds with faults",
    "for ever in 76 without",
]

#: What isn't about the program: promises of people, other people's limits, and how long things take.
OTHERS = {
    "alarms.md": ["of the last 30 days"],  # so the dashboard's title, to which CloudWatch is told it
    "CONTRIBUTING.md": ["about six minutes on two cores", "fewer than 97 % of them"],
    "SECURITY.md": ["within five working days", "within thirty days"],
    "delivery.md": ["403 and 404 for keys", "some ten minutes", "told within ten minutes", "no more than 1.2 times"],
    "install.md": ["some 3,000 characters are too long for a user's inline policy"],
    "local.md": ["some 70 MB"],
    "performance.md": ["after some minutes", "takes many minutes each"],
    "proof.md": _MEASURED,
    "plugins.md": ["in about ten minutes", "Ten minutes to a vendor", "wait between two bytes"],
}


@pytest.mark.parametrize(("page", "text"), [(page, text) for page, texts in HELD.items() for text in texts])
def test_a_number_of_the_code_stands_in_the_documentation(page: str, text: str) -> None:
    [path] = [path for path in PAGES if path.name == page]
    assert text in prose(path), f"{page} must say: {text}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_each_number_in_the_documentation_is_held(path: object) -> None:
    [page] = [page for page in PAGES if page == path]
    text = prose(page)
    for known in (*HELD.get(page.name, ()), *OTHERS.get(page.name, ())):
        assert known in text, f"{page.name} says it no more: {known}"
        text = text.replace(known, "")
    left = [text[max(0, found.start() - 40) : found.end() + 20] for found in NUMBERS.finditer(text)]
    assert left == [], f"{page.name}: put these into HELD with the constant that they are from, or into OTHERS"


def test_what_counts_as_a_number() -> None:
    """So that the test above can't pass by finding none."""
    found = [f"{number} {unit}" for number in ("64", "1,024", "six", "half a") for unit in ("KB", "seconds", "minute")]
    assert [text for text in found if not NUMBERS.search(f"It is {text} at most.")] == []
