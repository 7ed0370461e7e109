"""``multicdn fresh``: objects and URLs are looked at through each provider, and compared with S3 on the wire."""

from __future__ import annotations

import json
import sys
from hashlib import md5
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from kit.s3 import S3

from multicdn.aws.s3 import Objects
from multicdn.cli import arguments, fresh, main
from multicdn.oncall.freshness import Probe, probes
from multicdn.oncall.manual import RequestError
from multicdn.proof.identity import Verdict
from multicdn.routing.verify import Verify
from multicdn.simulators import Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OLD, NEW = b"a{color:red}", b"a{color:blue}"

CONFIG = """\
version: 1
providers:
  site: {{type: cloudfront, distribution: E8F6HK73EP0LT, via: "{site}"}}
  www: {{type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:WWW_TOKEN}}", via: "{www}"}}
routes:
  - {{bucket: acme-site, index: index.html, urls: ["http://www.acme.com/{{key}}"], purge: [site, www]}}
  - {{bucket: acme-docs, urls: ["http://docs.acme.com/{{key}}"], purge: [www], verify: {{identity: "metadata:write"}}}}
"""


class EdgeOf:
    """A CDN's edge, with what it has by host and path; nothing else is served."""

    def __init__(self) -> None:
        self.has: dict[str, Response] = {}
        self.asked: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        self._server = Server(self._answer)

    def __enter__(self) -> EdgeOf:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        return self._server.url

    def keep(self, url: str, body: bytes, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.has[url] = Response(200, {"ETag": f'"{md5(body).hexdigest()}"', **named}, body)

    def _answer(self, request: Request) -> Response:
        self.asked.append(request.headers["Host"] + request.target)
        self.meanwhile()
        return self.has.get(self.asked[-1], Response(404))


class Desk:
    """A config, an S3, two edges; and the command."""

    def __init__(self, path: Path, s3: S3, site: EdgeOf, www: EdgeOf) -> None:
        self.s3, self.site, self.www = s3, site, www
        self._path = path
        self.last: Any = None

    def run(self, *arguments: str, code: int) -> str:
        self.last = CliRunner().invoke(main, ["fresh", *arguments, "--config", str(self._path)])
        assert self.last.exit_code == code, (self.last.output, self.last.exception)
        return str(self.last.stdout)

    def json(self, *arguments: str, code: int) -> dict[tuple[str, str], list[dict[str, Any]]]:
        answer = json.loads(self.run(*arguments, "--json", code=code))
        assert (answer["version"], answer["exit_status"]) == (1, code)
        return {(each["provider"], each["url"]): each["edges"] for each in answer["looks"]}


@pytest.fixture(scope="module")
def bucket() -> Iterator[S3]:
    """One S3 and one client of it for all: to make a client takes a tenth of a second."""
    with pytest.MonkeyPatch.context() as patch, S3(patch) as s3:
        objects = Objects()
        patch.setattr("multicdn.aws.s3.Objects", lambda: objects)
        yield s3


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: S3) -> Iterator[Desk]:
    path = tmp_path / "multicdn.config.yml"
    monkeypatch.delenv("WWW_TOKEN", raising=False)
    bucket.objects.clear()
    bucket.statuses.clear()
    with EdgeOf() as site, EdgeOf() as www:
        path.write_text(CONFIG.format(site=site.url, www=www.url), encoding="utf-8")
        yield Desk(path, bucket, site, www)


@pytest.mark.slow
def test_each_provider_has_a_line_and_the_stale_one_is_named(desk: Desk) -> None:
    desk.s3.write("acme-site/a.css", NEW)
    desk.site.keep("www.acme.com/a.css", NEW, X_Amz_Cf_Pop="FRA56-P1", Age="3")
    desk.www.keep("www.acme.com/a.css", OLD, X_Served_By="cache-fra-1-FRA", Age="312", X_Cache="HIT")
    text = desk.run("s3://acme-site/a.css", code=1)
    new, old = md5(NEW).hexdigest()[:8], md5(OLD).hexdigest()[:8]
    assert text.splitlines() == [
        "http://www.acme.com/a.css",
        f'  s3://acme-site/a.css: ETag "{new}…"',
        "  provider  state  age    seen              POP              why",
        f'  site      fresh  3 s    ETag "{new}…"  FRA56-P1         ETag as in S3',
        f'  www       stale  312 s  ETag "{old}…"  cache-fra-1-FRA  ETag is not that of S3; x-cache: HIT; '
        "X-Served-By: cache-fra-1-FRA",
        "",
        "1 of 2 fresh, 1 stale",
        "to purge again: multicdn purge http://www.acme.com/a.css --provider www",
    ]


@pytest.mark.slow
def test_a_url_is_led_back_to_the_object_that_is_there(desk: Desk) -> None:
    """``docs/`` might be an object, too."""
    desk.s3.write("acme-site/docs/index.html", NEW)
    for edge in (desk.site, desk.www):
        edge.keep("www.acme.com/docs/", NEW)
    url = "http://www.acme.com/docs/"
    found = desk.json(url, code=0)
    assert {place: [edge["state"] for edge in edges] for place, edges in found.items()} == {
        ("site", url): ["fresh"],
        ("www", url): ["fresh"],
    }
    assert '"s3://acme-site/docs/index.html"' in desk.last.stdout
    assert list(desk.json("s3://acme-site/docs/index.html", "--provider", "www", code=0)) == [("www", url)]


@pytest.mark.slow
def test_what_cannot_be_told_has_a_status_of_its_own(desk: Desk) -> None:
    desk.s3.write("acme-site/a.css", NEW)
    desk.site.keep("www.acme.com/a.css", NEW)
    found = desk.json("s3://acme-site/a.css", code=3)
    (edge,) = found["www", "http://www.acme.com/a.css"]
    assert (edge["state"], edge["reason"]) == ("unknown", "the site doesn't serve it at this URL: it answers 404")
    desk.s3.statuses["acme-site/a.css"] = 403
    assert "s3:GetObject" in desk.run("s3://acme-site/a.css", code=3)


@pytest.mark.slow
def test_an_object_that_is_written_meanwhile_is_superseded(desk: Desk) -> None:
    desk.s3.write("acme-site/a.css", NEW)
    desk.www.keep("www.acme.com/a.css", OLD)
    desk.www.meanwhile = lambda: desk.s3.write("acme-site/a.css", NEW + NEW)
    found = desk.json("s3://acme-site/a.css", "--provider", "www", code=3)
    assert [edge["state"] for edge in found["www", "http://www.acme.com/a.css"]] == ["superseded"]


@pytest.mark.slow
def test_an_object_that_is_gone_is_fresh_where_it_is_missing(desk: Desk) -> None:
    desk.site.keep("www.acme.com/a.css", OLD, Age="60")
    text = desk.run("s3://acme-site/a.css", code=3)
    assert "  s3://acme-site/a.css: not in S3, so 403 or 404 or 410 is expected" in text
    assert "answers 200 for an object that is gone, from before or after its removal" in text
    assert desk.json("s3://acme-site/a.css", "--provider", "www", code=0)


@pytest.mark.slow
def test_a_route_says_by_what_it_is_compared(desk: Desk) -> None:
    desk.s3.put("acme-docs/a.html", write="12")
    desk.s3.objects["acme-docs/a.html"]["Last-Modified"] = "Thu, 01 Jan 2026 00:00:00 GMT"
    desk.www.keep("docs.acme.com/a.html", NEW, x_amz_meta_write="11")
    assert "x-amz-meta-write 11" in desk.run("http://docs.acme.com/a.html", code=1)


@pytest.mark.slow
def test_it_waits_until_all_is_fresh(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.s3.write("acme-site/a.css", NEW)
    desk.site.keep("www.acme.com/a.css", NEW)
    desk.www.keep("www.acme.com/a.css", OLD)
    pauses = []

    def sleep(seconds: float) -> None:
        pauses.append(round(seconds, 1))
        if len(pauses) == 3:
            desk.www.keep("www.acme.com/a.css", NEW)

    monkeypatch.setattr("multicdn.oncall.freshness.time.sleep", sleep)
    assert "2 of 2 fresh" in desk.run("s3://acme-site/a.css", "--wait", "2m", code=0)
    assert pauses == [1, 2, 4]
    assert len(desk.site.asked) == 1
    assert len(desk.www.asked) == 4
    assert desk.last.stderr.splitlines()[:2] == ["Looking at 1 URL ...", "  1 of 2 fresh, 1 stale; next look in 1 s"]


@pytest.mark.slow
def test_it_waits_no_longer_than_it_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.s3.write("acme-site/a.css", NEW)
    desk.site.keep("www.acme.com/a.css", OLD)
    moment = [0.0]
    monkeypatch.setattr("multicdn.oncall.freshness.time.monotonic", lambda: moment[0])
    monkeypatch.setattr("multicdn.oncall.freshness.time.sleep", lambda seconds: moment.append(moment.pop() + seconds))
    monkeypatch.setattr("multicdn.oncall.freshness._looked", lambda asked, *_: dict.fromkeys(asked, VERDICTS[:1]))
    desk.run("s3://acme-site/a.css", "--provider", "site", "--wait", "90s", code=1)
    pauses = [line.rpartition(" in ")[2] for line in desk.last.stderr.splitlines()[1:]]
    assert pauses == ["1 s", "2 s", "4 s", "8 s", "16 s", "30 s", "29 s"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["a.css"], "'a.css' is neither an S3 URI nor a URL"),
        (["s3://acme-site/"], "s3://acme-site/ names no object"),
        (["s3://acme-shop/a.css"], "no route has a URL for s3://acme-shop/a.css"),
        (["http://shop.acme.com/a.css"], "no route gives http://shop.acme.com/a.css"),
        (["http://[::1/a.css"], "that is no URL"),
        (["http://www.acme.com:99999/a.css"], "that is no URL"),
        (["s3://acme-site/a.css", "--provider", "wwww"], "did you mean 'www'?"),
        (["s3://acme-docs/a.css", "--provider", "site"], "no route purges it at site"),
        (["s3://acme-site/a.css", "--wait", "soon"], "'soon' is no length of time"),
    ],
)
def test_misuse_ends_before_anybody_is_asked(arguments: list[str], error: str, tmp_path: Path) -> None:
    path = tmp_path / "multicdn.config.yml"
    path.write_text(CONFIG.format(site="localhost:1", www="localhost:2"), encoding="utf-8")
    result = CliRunner().invoke(main, ["fresh", *arguments, "--config", str(path)])
    assert result.exit_code == 2
    assert error in " ".join(result.stderr.split())


VERDICTS = [
    Verdict("stale", "old", 'ETag "a", 60 s old', "", "SYD", 60.0),
    Verdict("fresh", "ETag as in S3", 'ETag "b"', "", "FRA"),
    Verdict("fresh", "ETag as in S3", 'ETag "b"', "", "IAD"),
    Verdict("unknown", "error-timeout-GRU", "", "", "GRU"),
]


def probe(via: str = "x") -> Probe:
    return Probe("www", via, "https://e.org/a", "b", "a", Verify())


def test_each_stale_place_has_a_row_and_the_others_one() -> None:
    shown = [tuple(cell.replace("\u2060", " ") for cell in row) for row in fresh._rows(probe(), VERDICTS)]
    assert shown == [
        ("www", "stale", "60 s", 'ETag "a"', "SYD", "old"),
        ("www", "unknown", "", "", "1 POP", "error-timeout-GRU"),
        ("www", "fresh", "", 'ETag "b"', "2 POPs", "ETag as in S3"),
    ]
    rows = list(fresh._rows(probe(), VERDICTS[:1] * 15))
    assert (len(rows), rows[-1][4]) == (11, "5 more POPs")


@pytest.mark.parametrize(
    ("every", "status"),
    [([1], 0), ([1, 2], 0), ([1, 3], 3), ([0, 3], 1), ([3], 3)],
)
def test_a_stale_place_counts_more_than_one_that_is_silent(every: list[int], status: int) -> None:
    assert fresh._status({probe(): [VERDICTS[place] for place in every]}) == status


def test_a_narrow_terminal_breaks_words_and_no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "width", lambda: 60)
    stale = Verdict("stale", "ETag is not that of S3; x-cache: HIT", f'ETag "{"0" * 32}"', f'ETag "{"1" * 32}"', "SYD")
    assert list(fresh._lines({probe(): [stale]})) == [
        "https://e.org/a",
        '  s3://b/a: ETag "11111111…"',
        "  provider  state  age  seen              POP  why",
        '  www       stale       ETag "00000000…"  SYD  ETag is not',
        "                                               that of S3;",
        "                                               x-cache: HIT",
        "",
    ]


def test_where_dns_decides_whom_it_asks_is_said() -> None:
    verdicts = {
        probe(""): VERDICTS[1:2],
        Probe("site", "x", "https://e.org/a", "b", "a", Verify()): VERDICTS[1:2],
    }
    assert "  no `via` says where www stands: DNS decided whom this asked" in list(fresh._lines(verdicts))
    assert len(list(fresh._lines({probe(""): VERDICTS[1:2]}))) == 5


def test_the_url_of_a_size_is_not_that_of_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "multicdn.config.yml"
    also = 'also: [{keys: ["img/*.jpg"], as: ["thumbs/{key}"]}], purge: [site, www]'
    text = CONFIG.format(site="localhost:1", www="localhost:2").replace("purge: [site, www]", also)
    path.write_text(text, encoding="utf-8")
    loaded = arguments.load(path)
    found = probes(loaded.config, loaded.plugins, loaded.places, [], ["http://www.acme.com/thumbs/img/a.jpg"])
    assert {each.key for each in found} == {"thumbs/img/a.jpg"}


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://www.acme.com/a.css?v=2", "http://www.acme.com/a.css?v=2"),  # a copy of its own, of the same object
        ("http://www.acme.com/a.css#top", "http://www.acme.com/a.css"),
        ("http://jo:secret@WWW.acme.com:80/a.css", "http://www.acme.com/a.css"),
        ("http://bücher.example/a.css", "http://xn--bcher-kva.example/a.css"),
    ],
)
def test_a_url_is_asked_for_as_a_browser_does(url: str, asked: str, tmp_path: Path) -> None:
    path = tmp_path / "multicdn.config.yml"
    text = CONFIG.format(site="localhost:1", www="localhost:2").replace("docs.acme.com", "xn--bcher-kva.example")
    path.write_text(text, encoding="utf-8")
    loaded = arguments.load(path)
    found = probes(loaded.config, loaded.plugins, loaded.places, [], [url])
    assert {(each.url, each.key) for each in found} == {(asked, "a.css")}


def test_what_purges_again_can_be_pasted_into_a_shell() -> None:
    odd = Probe("www", "x", "https://e.org/a?b=1&c=$(id)", "b", "a", Verify())
    assert list(fresh._after({odd: VERDICTS[:1]}))[1:] == [
        "to purge again: multicdn purge 'https://e.org/a?b=1&c=$(id)' --provider www"
    ]


@pytest.mark.slow
def test_an_interrupt_shows_what_was_found_and_ends_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.s3.write("acme-site/a.css", NEW)
    desk.site.keep("www.acme.com/a.css", OLD)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("multicdn.oncall.freshness.time.sleep", interrupt)
    monkeypatch.setattr("os._exit", sys.exit)
    assert "0 of 1 fresh, 1 stale" in desk.run("s3://acme-site/a.css", "--provider", "site", "--wait", "2m", code=130)
    assert desk.last.stderr.endswith("Interrupted.\n")


def test_a_hook_that_fails_is_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "multicdn.config.yml"
    path.write_text(CONFIG.format(site="localhost:1", www="localhost:2"), encoding="utf-8")
    loaded = arguments.load(path)

    def urls(*_: object) -> list[str]:
        raise KeyError("host")

    plugins: Any = SimpleNamespace(hooks=SimpleNamespace(urls=urls))
    with pytest.raises(RequestError, match="bug in the plugin: KeyError: 'host'"):
        probes(loaded.config, plugins, loaded.places, [("acme-site", "a.css")], [])
