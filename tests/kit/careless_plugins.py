"""A plugin as it should be, and what careless authors write instead: material for test_conformance_catches.py."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEAD = '''
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import sleep as pause
from typing import ClassVar

from multicdn.errors import CallRefused, CredentialsRefused, RetryLater, TargetsRefused
from multicdn.http import Http
from multicdn.provider import Call, Limits, PurgeUrls, Receipt, Secret, SoftPurge, Target, TargetKind, option


@dataclass(frozen=True, kw_only=True)
class Acme(SoftPurge, PurgeUrls):
    """Acme CDN."""

    docs: ClassVar[str] = "https://docs.acme.example/purge"
    permissions: ClassVar[tuple[str, ...]] = ("purge",)
    example: ClassVar[Mapping[str, str]] = {"token": "${env:ACME_TOKEN}"}

    token: Secret = option(repr=False, help="API token")
    endpoint: str = option(default="https://api.acme.example", help="base URL of the API")

    url_limits = Limits(targets=3, bytes=4000, envelope=24, target_bytes=1200, parallel=2)

    @cached_property
    def _api(self):
        return Http(self.endpoint, headers=lambda: {"Acme-Token": self.token.reveal()}, parallel=2)

    def send(self, urls, call):
        return self._api.send("POST", "/purge", call, json={"urls": list(urls), "soft": call.soft})

    def post(self, urls, call, **settings):
        """What authors write who don't know ``multicdn.http``."""
        import requests

        headers = {"Acme-Token": self.token.reveal()}
        body = {"urls": list(urls), "soft": call.soft}
        limits = (call.connect, call.read)
        return requests.post(self.endpoint + "/purge", json=body, headers=headers, timeout=limits, **settings)

    def purge_urls(self, urls, call):
'''

BODY = """
        return Receipt(id=self.send(urls, call).text("id"))
"""

# The vendor takes three URLs at once, and looks at credentials.
TESTS = """
from contextlib import contextmanager

from acme import Acme
from multicdn.provider import Secret
from multicdn.testing.conformance import ProviderConformance, Vendor
from multicdn.testing.recording import RecordingVendor, Response

TOKEN = "token-for-tests-only"


def answer(request):
    if request.headers.get("Acme-Token") != TOKEN:
        return Response.json({"message": "who are you?"}, 401)
    few = len(request.json()["urls"]) <= 3
    return Response.json({"id": "1"}) if few else Response.json({"message": "too many"}, 400)


class TestAcme(ProviderConformance):
    plugin = Acme

    @contextmanager
    def vendor(self):
        with RecordingVendor(answer) as api:
            yield Vendor(Acme(endpoint=api.endpoint, token=Secret.literal(TOKEN)), api)
"""


# A method that is caught by more tests than these goes wrong so early that it hides what else is wrong.
_FEW = 2


class Sin(NamedTuple):
    """What an author did, and the tests that must fail for it.

    Attributes:
        caught: names of tests, without ``test_``.
        body: of ``purge_urls``, in place of the right one.
        swapped: passages of plugin and tests, and what stands in their place.
    """

    caught: set[str]
    body: str = ""
    swapped: tuple[tuple[str, str], ...] = ()

    def goes_with(self, others: Sequence[Sin]) -> bool:
        """Whether these can be in one plugin: what fails tells which of them was noticed, and none hides another."""
        together = [self, *others]
        caught = [name for sin in together for name in sin.caught]
        passages = [old for sin in together for old, _ in sin.swapped]
        bodies = [sin for sin in together if sin.body]
        return (
            all(sin.caught for sin in together)
            and len(caught) == len(set(caught))
            and len(passages) == len(set(passages))
            and len(bodies) <= 1
            and all(len(sin.caught) <= _FEW for sin in bodies)
        )


def write(sins: Sequence[Sin], folder: Path, name: str) -> None:
    """Write a plugin with these sins, and its tests, under a name of their own."""
    [body] = [textwrap.indent(textwrap.dedent(sin.body), " " * 8) for sin in sins if sin.body] or [BODY]
    plugin, tests = HEAD + body, TESTS
    for old, new in (pair for sin in sins for pair in sin.swapped):
        plugin, tests = plugin.replace(old, new), tests.replace(old, new)
    (folder / f"{name}.py").write_text(plugin, encoding="utf-8")
    (folder / f"test_{name}.py").write_text(tests.replace("from acme", f"from {name}"), encoding="utf-8")


def swap(old: str, new: str, *caught: str) -> Sin:
    """A sin of one passage."""
    assert old in HEAD + BODY + TESTS
    return Sin(set(caught), swapped=((old, new),))


def locate(line: str, *caught: str) -> Sin:
    """A sin in spelling targets."""
    method = f"    def locate(self, target, action):\n        {line}\n\n    def purge_urls"
    return swap("    def purge_urls", method, *caught)


SINS = {
    "logs and returns": Sin(
        {
            "trouble_becomes_the_right_error",
            "silence_ends_in_time",
            "a_failing_call_says_nothing",
            "a_redirect_is_never_followed",
        },
        """
        try:
            self.send(urls, call)
        except Exception:
            logging.getLogger("purges").exception("purge failed")
        return Receipt()
        """,
    ),
    "logs and returns what requests makes of it": Sin(
        {
            "trouble_becomes_the_right_error",
            "silence_ends_in_time",
            "a_failing_call_says_nothing",
            "a_redirect_is_never_followed",
            "a_failing_call_is_made_once",
            "no_secret_is_shown",
            "an_odd_url_is_sent_exactly",
            "soft_differs_from_hard",
        },
        """
        import requests

        for url in urls:
            try:
                target = f"{self.endpoint}/purge/{url}"
                answer = requests.post(target, params={"key": self.token.reveal()}, timeout=call.read)
                answer.raise_for_status()
            except requests.RequestException as error:
                logging.getLogger("purges").warning("purge failed: %s", error)
        return Receipt()
        """,
    ),
    "sleeps when throttled": Sin(
        {"a_failing_call_is_made_once", "a_failing_call_never_sleeps"},
        """
        while True:
            try:
                return Receipt(id=self.send(urls, call).text("id"))
            except RetryLater as error:
                if error.after is None or time.monotonic() > time.monotonic():
                    raise
                time.sleep(error.after / 1000)
                self.send(urls, call)
        """,
    ),
    "sleeps by another name": Sin(
        {"a_failing_call_never_sleeps"},
        """
        try:
            return Receipt(id=self.send(urls, call).text("id"))
        except RetryLater:
            pause(0.001)
            raise
        """,
    ),
    "tries again": Sin(
        {"a_failing_call_is_made_once", "a_redirect_is_never_followed"},
        """
        try:
            return Receipt(id=self.send(urls, call).text("id"))
        except RetryLater:
            return Receipt(id=self.send(urls, call).text("id"))
        """,
    ),
    "follows redirects": Sin(
        {"a_redirect_is_never_followed", "a_failing_call_is_made_once"},
        """
        try:
            return Receipt(id=self.send(urls, call).text("id"))
        except RetryLater as error:
            if "redirects" in str(error):
                self.post(urls, call)
            raise
        """,
    ),
    "lets exceptions of its library through": Sin(
        {
            "trouble_becomes_the_right_error",
            "silence_ends_in_time",
            "a_redirect_is_never_followed",
            "a_rotated_secret_is_used_at_once",
            "declared_bytes_cover_the_body",
        },
        """
        answer = self.post(urls, call, allow_redirects=False)
        answer.raise_for_status()
        return Receipt(id=answer.json()["id"])
        """,
    ),
    "quotes the vendor's words": Sin(
        {"no_secret_is_shown", "a_failing_call_is_made_once"},
        """
        try:
            return Receipt(id=self.send(urls, call).text("id"))
        except CredentialsRefused:
            answer = self.post(urls, call, allow_redirects=False)
        raise CredentialsRefused(f"Acme says {answer.text}")
        """,
    ),
    "names the token that is refused": Sin(
        {"no_secret_is_shown"},
        """
        try:
            return Receipt(id=self.send(urls, call).text("id"))
        except CredentialsRefused as error:
            raise CredentialsRefused(f"{error}; is {self.token.reveal()} the right token?") from None
        """,
    ),
    "logs its headers": Sin(
        {"no_secret_is_shown", "a_failing_call_says_nothing"},
        """
        logging.getLogger("multicdn.acme").debug("sending with %s", self.token.reveal())
        return Receipt(id=self.send(urls, call).text("id"))
        """,
    ),
    "prints": Sin(
        {"a_failing_call_says_nothing"},
        """
        print("purging", len(urls))
        return Receipt(id=self.send(urls, call).text("id"))
        """,
    ),
    "sends nothing": Sin(
        {
            "a_call_is_accepted",
            "a_full_batch_is_accepted",
            "declared_bytes_cover_the_body",
            "soft_differs_from_hard",
            "an_odd_url_is_sent_exactly",
            "calls_run_side_by_side",
            "trouble_becomes_the_right_error",
            "silence_ends_in_time",
            "a_failing_call_is_made_once",
            "a_redirect_is_never_followed",
        },
        """
        return Receipt(id="soon")
        """,
    ),
    "returns nothing": Sin(
        {
            "a_call_is_accepted",
            "a_full_batch_is_accepted",
            "declared_bytes_cover_the_body",
            "the_longest_target_is_accepted",
            "soft_differs_from_hard",
            "an_odd_url_is_sent_exactly",
            "a_repeated_call_is_accepted",
            "a_refusal_costs_what_was_refused",
            "calls_run_side_by_side",
            "a_rotated_secret_is_used_at_once",
            "no_secret_is_shown",
            "trouble_becomes_the_right_error",
        },
        """
        self.send(urls, call)
        """,
    ),
    "makes a call for each URL": Sin(
        {"a_full_batch_is_accepted"},
        """
        for url in urls[:2]:
            answer = self.send([url], call)
        return Receipt(id=answer.text("id"))
        """,
    ),
    "makes two calls": Sin(
        {"a_call_is_accepted"},
        """
        self.send(urls, call).json()
        return Receipt(id=self.send(urls, call).text("id"))
        """,
    ),
    "respells URLs": Sin(
        {"an_odd_url_is_sent_exactly"},
        """
        from urllib.parse import unquote

        urls = [unquote(url) for url in urls]
        return Receipt(id=self.send(urls, call).text("id"))
        """,
    ),
    "keeps the token": swap(
        'lambda: {"Acme-Token": self.token.reveal()}, p',
        '(lambda kept: lambda: kept)({"Acme-Token": self.token.reveal()}), p',
        "a_rotated_secret_is_used_at_once",
    ),
    "ignores soft": swap('"soft": call.soft', '"soft": False', "soft_differs_from_hard"),
    "takes its time": swap(
        '"POST", "/purge", call,', '"POST", "/purge", Call(connect=60, read=60),', "silence_ends_in_time"
    ),
    "declares more than the vendor takes": swap(
        "targets=3", "targets=4", "a_full_batch_is_accepted", "declared_bytes_cover_the_body"
    ),
    "declares too few bytes": swap("envelope=24", "envelope=0", "declared_bytes_cover_the_body"),
    "imports an SDK at once": swap("import logging\n", "import boto3\nimport logging\n", "importing_it_is_light"),
    "explains nothing": swap('help="API token"', 'help=""', "it_is_documented"),
    "has a wrong example": swap('{"token": "$', '{"tokn": "$', "its_example_passes_the_config_check"),
    "takes its token as text": Sin(
        {
            "options_that_hold_secrets_are_secrets",
            "its_example_passes_the_config_check",
        },
        swapped=(
            ("token: Secret", "token: str"),
            ("self.token.reveal()", "self.token"),
            ("Secret.literal(TOKEN)", "TOKEN"),
        ),
    ),
    "takes any endpoint": swap(
        "    @cached_property",
        "    def __post_init__(self):\n        pass\n\n    @cached_property",
        "an_endpoint_in_clear_is_refused",
    ),
    "folds the case of URLs": locate(
        "return (Target(target.kind, target.value.lower()),)", "locate_keeps_urls_apart", "an_empty_target_is_refused"
    ),
    "reads a file for every object": locate(
        "open(__file__).close(); return (target,)", "locate_is_pure", "an_empty_target_is_refused"
    ),
    "takes nothing for everything": locate(
        'return (target if target.value else Target(TargetKind.EVERYTHING, ""),)',
        "nothing_but_everything_becomes_everything",
        "an_empty_target_is_refused",
    ),
    "weighs in words": swap(
        "    @cached_property",
        "    def weigh(self, target):\n        return '12'\n\n    @cached_property",
        "locate_makes_targets",
        "a_full_batch_is_accepted",
        "a_refusal_costs_what_was_refused",
        "declared_bytes_cover_the_body",
    ),
    "purges to look, and shows its token": swap(
        "    url_limits = L",
        "    def diagnose(self, use, call):\n"
        "        from multicdn.diagnosis import Finding, Health, ok\n"
        "        self.purge_urls(['https://www.example.com/'], call or Call())\n"
        "        yield ok(self.token.reveal())\n"
        "        yield Finding(Health.FAILED, 'bad')\n\n"
        "    url_limits = L",
        "a_diagnosis_without_network_asks_nobody",
        "a_diagnosis_says_what_to_do",
        "a_diagnosis_purges_nothing",
        "a_diagnosis_shows_no_secret",
    ),
    # No sin: an answer without a body is an honest one.
    "is answered 204": Sin(
        set(),
        """
        answer = self.send(urls, call)
        if answer.status != 204:
            raise RetryLater(f"{answer.status} instead of 204")
        return Receipt()
        """,
        (('return Response.json({"id": "1"}) if few', "return Response(204) if few"),),
    ),
    "logs in while it prepares": swap(
        "    url_limits = L",
        "    def prepare(self):\n        self.post([], Call())\n\n    url_limits = L",
        "preparing_asks_nobody_and_reads_no_secret",
    ),
    "imports its SDK in the first call": Sin(
        {"the_first_call_finds_nothing_left_to_load"},
        """
        import boto3

        return Receipt(id=self.send(urls, call).text("id"))
        """,
    ),
}
