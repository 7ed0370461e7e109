"""A conversation is a text: what is typed, what is asked again and why, and the config that comes of it."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from multicdn import config as config_file
from multicdn.authoring import choices, starter
from multicdn.authoring.answers import Answers
from multicdn.authoring.choices import UnclearError
from multicdn.authoring.interview import Bucket, Interview, ListedDistribution
from multicdn.authoring.site_host import Host, NotAHostError, host_in
from multicdn.cli._surroundings import AwsAround
from multicdn.cli.init import init
from multicdn.plugins.discovery import Plugins

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from multicdn.config import Config

PLUGINS = Plugins()
SERVICE, ZONE = "SU1Z0isxPaozGVKXdv0eY", "023e105f4ecef8ad9ca31a8372d0c353"


class Typed:
    """A terminal at which these lines are typed; then the input ends. All that it shows is kept."""

    def __init__(self, *lines: str) -> None:
        self._lines = list(lines)
        self.shown: list[str] = []

    def ask(self, question: str, default: str) -> str:
        self.shown.append(f"{question} [{default}]" if default else question)
        if not self._lines:
            raise EOFError
        return self._lines.pop(0) or default

    def say(self, line: str) -> None:
        self.shown.append(line)

    @property
    def text(self) -> str:
        return "\n".join(self.shown)


class Aws:
    """An account, or what nobody can ask where it is empty."""

    def __init__(
        self, buckets: Sequence[str] = (), distributions: Sequence[ListedDistribution] = (), number: str = ""
    ) -> None:
        self._buckets, self._distributions, self._id = buckets, distributions, number

    def buckets(self) -> Sequence[str]:
        return self._buckets

    def bucket(self, name: str) -> Bucket:
        if not self._buckets:
            return Bucket()
        return Bucket("eu-west-1") if name in self._buckets else Bucket("", f"there is no bucket {name!r}")

    def distributions(self) -> Sequence[ListedDistribution]:
        return self._distributions

    def account(self) -> str:
        return self._id


NOBODY = Aws()
ACME = Aws(
    ["acme-logs", "acme-site"],
    [
        ListedDistribution("E0OTHER000000", ("other.example",), ("other.s3.amazonaws.com",)),
        ListedDistribution("E8F6HK73EP0LT", ("www.acme.com", "acme.com"), ("acme-site.s3.eu-west-1.amazonaws.com",)),
    ],
    "123456789012",
)


def converse(aws: Aws, *lines: str, answers: Answers | None = None) -> tuple[Config, Typed]:
    typed = Typed(*lines)
    text = Interview(typed, aws, PLUGINS, answers or Answers(options={})).text()
    return config_file.parse(text, "c.yml", PLUGINS), typed


def test_numbers_are_enough_where_aws_can_be_asked() -> None:
    loaded, typed = converse(ACME, "2", "1", "cloudfront", "")
    assert (loaded.routes[0].bucket, loaded.routes[0].urls) == ("acme-site", ("https://www.acme.com/{key}",))
    assert loaded.providers["cloudfront"].distribution == "auto"
    assert (loaded.install.region, loaded.install.account) == ("eu-west-1", "123456789012")
    assert typed.shown == [
        "Buckets of this account:",
        "   1  acme-logs",
        "   2  acme-site",
        "Bucket",
        "Names of the distributions that have acme-site as their origin:",
        "   1  www.acme.com",
        "   2  acme.com",
        "Host name that viewers use",
        "CDNs:",
        "   1  akamai",
        "   2  cloudflare",
        "   3  cloudfront",
        "   4  edgecast  (retired 2025-01-15)",
        "   5  fastly",
        "   6  highwinds  (retired 2024-06)",
        "   7  pixboost",
        "Which purge? Numbers or names",
        "Distributions of CloudFront:",
        "   1  auto  (all that have acme-site as their origin: E8F6HK73EP0LT)",
        "   2  E8F6HK73EP0LT  (www.acme.com acme.com)",
        "   3  E0OTHER000000  (other.example)",
        "cloudfront: distribution [auto]",
        "To be installed in region eu-west-1, account 123456789012.",
    ]


def test_without_aws_nothing_is_listed_and_nothing_filled_in() -> None:
    loaded, typed = converse(NOBODY, "acme-site", "www.acme.com", "5", SERVICE)
    assert loaded.providers["fastly"].service == SERVICE
    assert (loaded.install.region, loaded.install.account) == ("", "")
    assert "  1  acme" not in typed.text
    assert "To be installed" not in typed.text


def test_a_wrong_answer_is_asked_for_again_with_the_reason() -> None:
    lines = ("", "Bad Bucket", "acme-site", "www acme", "www.acme.com", "fastly, cloudfare", "", "", SERVICE, "a/b")
    loaded, typed = converse(NOBODY, *lines, ZONE)
    assert [*loaded.providers] == ["fastly", "cloudflare"]
    assert loaded.routes[0].urls == ("https://www.acme.com/{key}",)
    for reason in (
        "  an answer is needed; Ctrl-C stops, and prints the command that goes on from here",
        "  'Bad Bucket' is more than one name: write `bucket: [Bad, Bucket]`",
        "  'www acme' is more than one name",
        "  'cloudfare' is none of them; did you mean 'cloudflare'?",
        "Which purge? Numbers or names [fastly, cloudflare]",
        "  zone 'a/b' is no id",
    ):
        assert reason in typed.text


def test_a_bucket_that_is_not_there_is_taken_at_the_second_time() -> None:
    loaded, typed = converse(ACME, "acme-cite", "acme-cite", "www.acme.com", "fastly", SERVICE)
    assert loaded.routes[0].bucket == "acme-cite"
    assert "  there is no bucket 'acme-cite'. Answer acme-cite again to take it all the same" in typed.shown
    assert loaded.install.region == ""


def test_an_address_of_s3_is_taken_for_its_bucket_and_prefix() -> None:
    loaded, typed = converse(ACME, "s3://acme-site/docs/", "", "www.acme.com", "fastly", SERVICE)
    assert (loaded.routes[0].bucket, loaded.routes[0].prefix) == ("acme-site", "docs/")
    assert "Bucket [acme-site]" in typed.shown
    assert ". `prefix` is docs/ now" in typed.text


def test_a_pasted_address_is_taken_for_its_host_and_says_what_it_left_out() -> None:
    loaded, typed = converse(NOBODY, "acme-site", "https://www.Acme.com/path?x", "fastly", SERVICE)
    assert loaded.routes[0].urls == ("https://www.acme.com/{key}",)
    assert any(line.startswith("  Taken as the host www.acme.com. /path?x is left out") for line in typed.shown)


def test_a_retired_vendor_may_be_chosen_and_is_told_of() -> None:
    _, typed = converse(NOBODY, "acme-site", "a.example", "edgecast", "1A2B", "https://api.example.net")
    assert any(line.startswith("  edgecast is retired: Edgio switched") for line in typed.shown)


def test_an_option_that_the_vendor_cannot_take_is_asked_for_again() -> None:
    loaded, typed = converse(NOBODY, "acme-site", "a.example", "pixboost", "https://x/y", "images.example.com")
    assert loaded.providers["pixboost"].domain == "images.example.com"
    assert "  domain 'https://x/y' is no host name; write it alone, as in images.example.com" in typed.shown


def test_what_was_given_beforehand_is_checked_too_and_only_the_rest_asked() -> None:
    given = Answers(
        bucket="s3://acme-site",
        domain="www.acme.com",
        vendors=("fasty",),
        region="nowhere",
        options={"fastly": {"servise": "x", "environment": "prod", "service": SERVICE}},
    )
    loaded, typed = converse(NOBODY, "", "", answers=given)
    assert loaded.routes[0].bucket == "acme-site"
    assert loaded.providers["fastly"].service == SERVICE
    assert loaded.install.region == ""
    assert "  --set fastly.servise: fastly has no option 'servise'; did you mean 'service'?" in typed.shown
    assert any("--set fastly.environment: unknown value 'prod'" in line for line in typed.shown)
    assert any("--region: " in line for line in typed.shown)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("x" * 200_000, "  that has 200,000 characters: something else was pasted"),
        ("www\x1b]0;t\x07, a.example", "  that holds '\\x1b', which no answer can have: type it anew"),
        ("\udce9.example", "  that holds '\\udce9', which no answer can have: type it anew"),
    ],
)
def test_what_is_pasted_by_mistake_is_not_shown_again(answer: str, reason: str) -> None:
    lines = (answer, "acme-site", answer, "a.example", answer, "fastly", answer, SERVICE)
    loaded, typed = converse(NOBODY, *lines)
    assert loaded.providers["fastly"].service == SERVICE
    assert typed.shown.count(reason) == 4
    assert len(typed.text) < 2_000
    assert "\x1b" not in typed.text


def test_without_the_sdk_of_aws_nothing_is_listed_and_the_conversation_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)  # as where the extra isn't installed
    around = AwsAround("")
    assert (around.buckets(), around.bucket("a"), around.distributions(), around.account()) == ([], Bucket(), [], "")
    [_, why] = capsys.readouterr().out.splitlines()
    assert why.startswith("  It can't be asked, so nothing is listed or checked: this command needs boto3, which isn't")
    assert why.endswith("pip install 'multicdn[aws]'")


def test_a_secret_that_was_given_as_its_value_is_neither_shown_nor_kept() -> None:
    given = Answers("acme-site", "a.example", vendors=("fastly",), options={"fastly": {"token": "s3cr3t-v4lue"}})
    loaded, typed = converse(NOBODY, SERVICE, answers=given)
    assert loaded.providers["fastly"].token.reference == "${ssm:/multicdn/fastly/token}"
    assert "s3cr3t" not in typed.text + given.command()
    assert "is a secret: write a reference" in typed.text


ALL = ("acme-site", "www.acme.com", "5,2", SERVICE, ZONE)


@pytest.mark.parametrize("answered", [0, 2, 4])
def test_what_was_answered_is_in_the_command_that_goes_on(
    answered: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    monkeypatch.setattr("multicdn.cli._surroundings.AwsAround", lambda _: NOBODY)
    path = tmp_path / "a b.yml"
    first = ["--output", str(path), "--prefix", "a b/", "--force"]
    stopped = CliRunner().invoke(init, first, input="".join(f"{line}\n" for line in ALL[:answered]))
    assert stopped.exit_code == 130
    assert "Stopped; nothing was written." in stopped.output
    assert not path.exists()
    [command] = [line for line in stopped.output.splitlines() if line.startswith("To go on from here:  ")]
    words = shlex.split(command.partition(":  ")[2])
    assert words[:2] == ["multicdn", "init"]
    done = CliRunner().invoke(init, words[2:], input="".join(f"{line}\n" for line in ALL[answered:]))
    assert done.exit_code == 0, done.output
    loaded = config_file.load(path)
    assert (loaded.routes[0].bucket, loaded.routes[0].prefix) == ("acme-site", "a b/")
    assert (loaded.providers["fastly"].service, loaded.providers["cloudflare"].zone) == (SERVICE, ZONE)


# The parts


def test_an_answer_is_not_blamed_for_another_one() -> None:
    options = {"environment": "prod", "service": SERVICE}
    assert starter.wrong(PLUGINS, "fastly", options, "service") == ""
    assert starter.wrong(PLUGINS, "fastly", options, "environment").startswith("unknown value 'prod'")


@pytest.mark.parametrize(
    ("text", "name", "left_out"),
    [
        ("www.acme.com", "www.acme.com", ""),
        (" WWW.Acme.com. ", "www.acme.com", ""),
        ("https://www.acme.com/", "www.acme.com", ""),
        ("http://www.acme.com:80", "www.acme.com", ""),
        ("https://www.acme.com:8443/a/b.html#top", "www.acme.com:8443", "/a/b.html#top"),
        ("//www.acme.com/x", "www.acme.com", "/x"),
        ("www.acme.com/docs/?a=//b", "www.acme.com", "/docs/?a=//b"),
        ("https://user:pw@www.acme.com", "www.acme.com", ""),
        ("'www.acme.com'", "www.acme.com", ""),
        ("www.acme.com,", "www.acme.com", ""),
        ("s3.acme.com", "s3.acme.com", ""),
        ("<https://www.acme.com/>", "www.acme.com", ""),
        ("bücher.example", "xn--bcher-kva.example", ""),
        ("d111111abcdef8.cloudfront.net", "d111111abcdef8.cloudfront.net", ""),
    ],
)
def test_the_host_in_what_is_pasted(text: str, name: str, left_out: str) -> None:
    assert host_in(text) == Host(name, left_out)


@pytest.mark.parametrize(
    ("text", "reason", "likely"),
    [
        ("", "holds no host name", ""),
        ("https://", "holds no host name", ""),
        ("acme", "has no dot", ""),
        ("a.example, b.example", "is more than one name", "a.example"),
        ("*.acme.com", "is a pattern", ""),
        ("{first}.acme.com", "holds a placeholder", ""),
        ("s3://acme-site/x", "is an address of s3", ""),
        ("acme-site.s3.eu-west-1.amazonaws.com", "is S3 itself", ""),
        ("a_b.example", "is no host name", ""),
        ("https://[::1", "is no host name", ""),
        ("www.acme.com:99999", "one is a number from 1 to 65535", ""),
        ("www.acme.com:0", "one is a number from 1 to 65535", ""),
        ("acme-site.s3.amazonaws.com", "is S3 itself", ""),
        ("acme.s3-website.eu-central-1.amazonaws.com.cn", "is S3 itself", ""),
        ("10.0.0.1", "is the address of a machine", ""),
        ("fa\u00df.example", "as browsers send it, xn--", ""),  # Python's own spelling would be another host
        ("ü" * 70 + ".example", "is no host name", ""),
    ],
)
def test_what_holds_no_host_says_why(text: str, reason: str, likely: str) -> None:
    with pytest.raises(NotAHostError, match=reason) as caught:
        host_in(text)
    assert caught.value.likely == likely


NAMES = ("akamai", "cloudflare", "cloudfront", "fastly")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", ("akamai",)),
        ("4 3", ("fastly", "cloudfront")),
        ("fastly,cloudflare;fastly", ("fastly", "cloudflare")),
        ("fastly, cloudflare cloudfront", ("fastly", "cloudflare", "cloudfront")),
        (" , 2", ("cloudflare",)),
    ],
)
def test_several_choices(text: str, expected: tuple[str, ...]) -> None:
    assert choices.several(text, NAMES) == expected


@pytest.mark.parametrize(
    ("text", "reason", "likely"),
    [
        ("", "name at least one", ""),
        ("5", "'5' is none of them", ""),
        ("0", "'0' is none of them", ""),
        ("9" * 5000, "is none of them", ""),
        ("fastly nope", "'nope' is none of them", "fastly"),
        ("fasty 1", "did you mean 'fastly'", "fastly, akamai"),
    ],
)
def test_choices_that_are_none(text: str, reason: str, likely: str) -> None:
    with pytest.raises(UnclearError, match=reason) as caught:
        choices.several(text, NAMES)
    assert caught.value.likely == likely


def test_a_name_of_digits_is_a_name_and_a_number_counts_what_was_shown() -> None:
    many = [f"bucket-{number}" for number in range(1, 41)]
    assert choices.one("2", ["123", "2"]) == "2"
    assert choices.one("20", many) == "bucket-20"
    assert choices.one("21", many) == "21"
    assert [*choices.numbered(many)][-1] == "      and 20 more, by name"
