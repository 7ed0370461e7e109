"""``multicdn explain`` and what is behind it: reasons, sources of URLs, previews. Nothing is called."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from kit.events import BUCKET, given_up, s3_event, s3_record
from kit.scenes import SECOND, SITE, Scene, providers_of, scene, write

from multicdn import config
from multicdn.cli import main
from multicdn.handler import Dispatcher
from multicdn.model import Action, Change, ChangeKind, Job, TargetKind
from multicdn.oncall import explain, preview
from multicdn.oncall.explain import Explainer
from multicdn.plugins.discovery import Plugins
from multicdn.queue import message
from multicdn.queue.message import QueuedJob
from multicdn.routing.router import Router

if TYPE_CHECKING:
    from multicdn.config import Config

__all__ = ["scene"]

BIG = tuple(f"s3://big-files/docs/{number}" for number in range(3))
DATA = Path(__file__).parents[1] / "data"
EVENTS = sorted(path for path in DATA.glob("*.json") if not path.stem.startswith("queued-job"))
DOCS = Path(__file__).parents[2] / "docs" / "on-call.md"

PROVIDERS = """\
version: 1
providers:
  site: {type: cloudfront, distribution: E8F6HK73EP0LT}
  found: {type: cloudfront, distribution: auto}
  www: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${env:NOBODY_SETS_THIS}"}
  beta: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${env:NOBODY_SETS_THIS}", environment: staging}
  zone: {type: cloudflare, zone: 023e105f4ecef8ad9ca31a8372d0c353, token: "${env:NOBODY_SETS_THIS}"}
  edge: {type: akamai, edgerc: "${env:NOBODY_SETS_THIS}"}
  images: {type: pixboost, domain: images.acme.com, secret: "${env:NOBODY_SETS_THIS}"}
routes:
"""

CONFIG = (
    PROVIDERS
    + """\
  - {bucket: acme-site, exclude: ["*.map"], index: index.html, urls: ["https://www.acme.com/{key}"], purge: [site, www]}
  - {bucket: acme-site, prefix: news/, on: [created], soft: true, tags: [news], purge: [zone]}
  - {bucket: acme-auto, urls: ["https://auto.acme.com/{key}"], purge: [found]}
  - {bucket: acme-site, prefix: img/, urls: ["https://images.acme.com/{key}"], purge: [images], preload: [images]}
  - {bucket: big-files, collapse: {over: 2}, urls: ["https://big.acme.com/{key}"], purge: [site]}
  - {bucket: budgeted, collapse: {budget: 1}, urls: ["https://b.acme.com/{key}"], purge: [site]}
  - {bucket: tagged, tags_from: cache-tag, purge: [zone]}
"""
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config of which no secret can be read, on a machine without a network."""

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("explain opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    path = tmp_path / "multicdn.config.yml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


def ask(file: Path, *arguments: str, stdin: str = "", code: int = 0) -> str:
    result = CliRunner().invoke(main, ["explain", *arguments, "--config", str(file)], input=stdin)
    assert result.exit_code == code, result.output
    return result.output


def ask_json(file: Path, *arguments: str, **settings: Any) -> dict[str, Any]:
    return dict(json.loads(ask(file, *arguments, "--json", **settings)))


def loaded(routes: str) -> tuple[Config, Explainer]:
    text = PROVIDERS + routes
    found = config.parse(text, "test.yml", Plugins())
    return found, Explainer(found, explain.places(text, "test.yml"))


# What it prints


def test_an_object_is_explained_with_routes_targets_price_and_time(file: Path) -> None:
    assert (
        ask(file, "s3://acme-site/docs/index.html")
        == """\
s3://acme-site/docs/index.html created
  multicdn.config.yml:11 applies: purge at site, www
  multicdn.config.yml:12 doesn't: the key doesn't begin with its prefix news/
  multicdn.config.yml:14 doesn't: the key doesn't begin with its prefix img/
  multicdn.config.yml:13 doesn't: its bucket is acme-auto

site (cloudfront: distribution E8F6HK73EP0LT)
  purge by url: 2 targets in 1 call
    /docs/index.html
    /docs/
    seen everywhere after about 5 s in 95 % of cases (https://aws.amazon.com/about-aws/whats-new/2026/04/cloudfront-invalidation-cache-tag/)
  price: up to $0.010 ($0.005 a target after the account's first 1,000 a month; https://aws.amazon.com/cloudfront/pricing/)

www (fastly: service SU1Z0isxPaozGVKXdv0eY, environment production)
  purge by url: 2 targets in 2 calls
    https://www.acme.com/docs/index.html
    https://www.acme.com/docs/
    seen everywhere after about 0.15 s (https://developer.fastly.com/learning/concepts/purging)

in all: 4 targets in 3 calls at 2 providers, up to $0.010
"""
    )


def test_an_object_without_a_route_is_told_the_nearest(file: Path) -> None:
    assert (
        ask(file, "s3://acme-site/news/app.js.map", "--removed")
        == """\
s3://acme-site/news/app.js.map removed
  no route applies
  multicdn.config.yml:11 doesn't: its exclude pattern *.map matches the key
  multicdn.config.yml:12 doesn't: it acts on created objects alone
  multicdn.config.yml:14 doesn't: the key doesn't begin with its prefix img/

"""
    )


def test_a_url_is_explained_with_the_objects_that_have_it(file: Path) -> None:
    assert ask(file, "https://www.acme.com/docs/").splitlines()[:4] == [
        "https://www.acme.com/docs/",
        "  multicdn.config.yml:11 gives it for s3://acme-site/docs/ (urls: https://www.acme.com/{key})",
        "  multicdn.config.yml:11 gives it for s3://acme-site/docs/index.html (urls: https://www.acme.com/{key})",
        "",
    ]


def test_a_url_that_nobody_serves_is_told_the_hosts(file: Path) -> None:
    text = ask(file, "https://wwww.acme.com/a")
    assert "no route gives it" in text
    assert "known: auto.acme.com, b.acme.com, big.acme.com, images.acme.com, www.acme.com" in text


def test_what_has_to_be_looked_up_is_said_and_not_guessed(file: Path) -> None:
    text = ask(file, "s3://acme-auto/a.css")
    assert "found (cloudfront: distribution auto)\n  what it stands for can only be found out by asking" in text
    [found] = ask_json(file, "s3://acme-auto/a.css")["providers"]
    assert found["exact"] is False


def test_soft_purges_are_shown_as_such(file: Path) -> None:
    assert "  soft purge by tag: 1 target in 1 call\n    news\n" in ask(file, "s3://acme-site/news/a.html")


def test_preloads_come_after_purges(file: Path) -> None:
    text = ask(file, "s3://acme-site/img/a.png")
    assert "multicdn.config.yml:14 applies: purge at images; preload at images" in text
    images = text[text.index("images (pixboost") :]
    assert images.index("purge by url") < images.index("preload by url")
    assert "preload" not in ask(file, "s3://acme-site/img/a.png", "--removed")


def test_what_a_policy_makes_of_many_urls_is_shown_with_its_reason(file: Path) -> None:
    text = ask(file, *BIG)
    assert "\nsite: 3 targets collapsed to 1 (docs/): each directory has more than 2 URLs to purge\n" in text
    assert "  purge by prefix: 1 target in 1 call\n    /docs/*\n" in text


def test_what_would_have_to_be_counted_is_not_guessed(file: Path) -> None:
    text = ask(file, *(f"s3://budgeted/docs/{number}" for number in range(3)))
    assert "unchanged objects weren't counted, so nothing that depends on them is collapsed (--online)" in text
    assert "site: nothing collapsed in budgeted: 3 targets are over the budget of 1" in text
    assert "purge by url: 3 targets" in text


def test_tags_that_only_s3_knows_are_not_guessed(file: Path) -> None:
    text = ask(file, "s3://tagged/a", "s3://tagged/b")
    assert "2 objects may have tags in the metadata, which S3 wasn't asked for (--online)" in text


def test_an_ended_service_says_so(tmp_path: Path) -> None:
    file = tmp_path / "old.yml"
    file.write_text(
        "version: 1\nproviders:\n  old: {type: highwinds, endpoint: https://hw.acme.example, account: a1b2c3d4, "
        'token: "${env:X}"}\nroutes:\n  - {bucket: b, urls: ["https://a.example/{key}"], purge: [old]}\n'
    )
    assert "  retired: StackPath left" in ask(file, "s3://b/x")


# What it is asked about


def test_a_list_may_mix_objects_and_urls(file: Path) -> None:
    found = ask_json(file, "-", stdin="s3://acme-site/a b.css\r\n\nhttps://www.acme.com/b.css\n")
    assert [(each["bucket"], each["key"]) for each in found["objects"]] == [("acme-site", "a b.css")]
    assert [each["url"] for each in found["urls"]] == ["https://www.acme.com/b.css"]


@pytest.mark.parametrize("event", EVENTS, ids=lambda path: path.stem)
def test_every_event_that_the_function_reads_is_explained(file: Path, event: Path) -> None:
    by_name, by_list = ask_json(file, str(event)), ask_json(file, "-", stdin=event.read_text(encoding="utf-8"))
    assert by_name == by_list
    assert by_name["unreadable"] == []
    assert bool(by_name["objects"]) is (event.stem != "sqs-test-event")


def test_what_an_event_holds_beside_readable_records_is_reported(file: Path) -> None:
    assert ask(file, "-", stdin='{"detail-type": "Scheduled Event", "source": "aws.events"}', code=1).startswith(
        "the event can't be read: unknown event shape"
    )


def test_old_versions_that_expire_are_planned_for_nobody_and_told(file: Path) -> None:
    expired = s3_record("LifecycleExpiration:Delete", "index.html", versionId="0dK.MArCl4dE2pkFZ8vQxB6fJt0uOLpA")
    expired["s3"]["bucket"]["name"] = "acme-site"
    found = ask_json(file, "-", stdin=json.dumps({"Records": [expired] * 3_000 + [s3_record("ObjectMelted:Now")]}))
    assert (found["objects"], found["providers"], found["unreadable"]) == ([], [], [])
    assert found["notes"] == [
        "3,000 x LifecycleExpiration:Delete of a version: nothing to do",
        "1 x ObjectMelted:Now: unknown, left alone",
    ]


def test_a_printed_dead_letter_is_explained_as_the_event_in_it(file: Path) -> None:
    printed = {"Messages": [{"MessageId": "m", "Body": json.dumps(given_up(s3_event(key="a.css")))}]}
    printed = json.loads(json.dumps(printed).replace(BUCKET, "acme-site"))
    found = ask_json(file, "-", stdin=json.dumps(printed))
    assert [(each["bucket"], each["key"]) for each in found["objects"]] == [("acme-site", "a.css")]


def test_nothing_is_planned_to_be_loaded_that_is_gone(tmp_path: Path) -> None:
    file = tmp_path / "multicdn.config.yml"
    members = 'on: [created], urls: ["https://images.acme.com/{key}"], purge: [images], preload: [images]'
    file.write_text(f"{PROVIDERS}  - {{bucket: {BUCKET}, {members}}}\n")
    records = [
        s3_record("ObjectCreated:Put", "a.jpg", sequencer="0066FD0C9A3B1F2E9A"),
        s3_record("ObjectRemoved:Delete", "a.jpg", sequencer="0066FD0C9A3B1F2E9B"),
    ]
    [planned] = ask_json(file, "-", stdin=json.dumps({"Records": records}))["providers"]
    assert [ask["action"] for ask in planned["asks"]] == ["purge"]


def test_a_queued_job_in_an_event_is_explained(file: Path) -> None:
    job = Job("found/E1EXAMPLE", Action.PURGE, TargetKind.URL, ("/a", "/b"), (frozenset(("m",)),) * 2)
    [body] = message.encode(QueuedJob(job, 1, 0.0))
    event = {"Records": [{"eventSource": "aws:sqs", "messageId": "m", "body": body}]}
    [found] = ask_json(file, "-", stdin=json.dumps(event))["providers"]
    assert (found["name"], found["where"], found["exact"]) == ("found/E1EXAMPLE", {"distribution": "E1EXAMPLE"}, True)
    assert found["asks"][0]["batches"] == [["/a", "/b"]]


@pytest.mark.parametrize(
    ("provider", "bucket", "note"),
    [
        ("gone", "", "the config has no provider called 'gone'"),
        ("gone", "acme-site", "the config has no provider called 'gone'"),
        ("gone/E1EXAMPLE", "", "the config has no provider called 'gone'"),
        ("www/E1EXAMPLE", "", "www no longer stands for others; www/E1EXAMPLE is not in the config"),
        ("site/E2QWRUHEXAMPLE", "", "site no longer stands for others; site/E2QWRUHEXAMPLE is not in the config"),
        ("found", "", "found stands for others now, and the job names none of them"),
    ],
)
def test_a_queued_job_that_nobody_can_take_says_why_as_the_function_does(
    file: Path, provider: str, bucket: str, note: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = Job(provider, Action.PURGE, TargetKind.URL, ("/a",), (frozenset(("m",)),), bucket=bucket)
    [body] = message.encode(QueuedJob(job, 1, 0.0))
    [found] = ask_json(file, "-", stdin=body)["providers"]
    assert (found["name"], found["note"], found["calls"], found["exact"]) == (provider, note, 0, False)
    plugins = Plugins()
    arn = "arn:aws:sqs:eu-central-1:123456789012:work"
    event = {"Records": [{"eventSource": "aws:sqs", "eventSourceARN": arn, "messageId": "m", "body": body}]}
    queue = "https://sqs.eu-central-1.amazonaws.com/123456789012/work"
    Dispatcher(config.load(file, plugins), plugins, own_queue=queue).dispatch(event, 60)
    lines = [json.loads(record.getMessage()) for record in caplog.records if record.name == "multicdn"]
    assert [(line["provider"], line["reason"]) for line in lines if line["event"] == "refused"] == [(provider, note)]


def test_a_folder_is_explained_as_what_its_sync_would_create(file: Path, tmp_path: Path) -> None:
    for name in ("index.html", "css/a b.css", "css/a.css.map"):
        path = tmp_path / "public" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = ask_json(file, str(tmp_path / "public"), "--bucket", "acme-site", "--prefix", "v2")
    keys = {each["key"]: each["routes"] for each in found["objects"]}
    applies = ["multicdn.config.yml:11"]
    assert keys == {"v2/css/a b.css": applies, "v2/css/a.css.map": [], "v2/index.html": applies}


def test_a_folder_without_a_bucket_is_refused(file: Path, tmp_path: Path) -> None:
    assert "say with --bucket" in ask(file, str(tmp_path), code=2)


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("s3://acme-site", "names no object"),
        ("s3://acme-site/", "names no object"),
        ("s3:///key", "is no S3 URI"),
        ("no/such/file", "is no S3 URI, URL, file or folder"),
    ],
)
def test_what_means_nothing_is_refused(file: Path, word: str, problem: str) -> None:
    assert problem in ask(file, word, code=2)


def test_a_list_with_a_line_that_means_nothing_is_refused(file: Path) -> None:
    assert "'oops' is neither an S3 URI nor a URL" in ask(file, "-", stdin="s3://acme-site/a\noops\n", code=2)


def test_a_file_that_is_neither_event_nor_list_is_refused(file: Path) -> None:
    assert ".yml:1: 'version: 1' is neither an S3 URI nor a URL" in ask(file, str(file), code=2)


@pytest.mark.slow
def test_ten_thousand_objects_are_summed_up(file: Path) -> None:
    names = [f"s3://acme-site/p/{number}.{'map' if number % 10 == 0 else 'html'}" for number in range(10_000)]
    text = ask(file, "-", stdin="\n".join(names))
    assert "and 9,990 more objects, 999 of them without a route" in text
    # 9,000 paths in calls of 3,000; of the 150 paths a second each of the two invocations at once has its half.
    assert "  purge by url: 9,000 targets in 3 calls" in text
    assert "    and 8,990 more\n" in text
    assert "  at the vendor's pace the last call begins after 80 s\n  price: up to $45.000 " in text
    assert len(text.splitlines()) < 100


# As JSON


def test_the_json_has_exactly_the_members_that_are_documented(file: Path) -> None:
    answer = ask_json(file, "s3://acme-site/news/a.html", "https://www.acme.com/~b", "s3://acme-site/img/a", *BIG)
    documented = set(_documented())
    missing = {"unreadable[].message", "unreadable[].reason", "notes[]", "objects[].untargeted[]", "objects[].waits[]"}
    missing |= {path for path in documented if path.startswith("providers[].asks[].") and path not in _paths(answer)}
    assert set(_paths(answer)) | missing == documented


def _documented() -> list[str]:
    text = DOCS.read_text(encoding="utf-8")
    table = text[text.index("| member |") :].partition("\n\n")[0].splitlines()[2:]
    return [path for line in table for path in line.split("|")[1].replace("`", "").split()]


def _paths(value: Any, at: str = "") -> list[str]:
    """Where the values of an answer stand; the options of a provider are its own."""
    if isinstance(value, list):
        return sorted({path for item in value for path in _paths(item, f"{at}[]")})
    if isinstance(value, dict) and not at.endswith(".where"):
        return [path for name, item in value.items() for path in _paths(item, f"{at}.{name}".removeprefix("."))]
    return [at]


# Reasons


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("News/a.html", "the key doesn't begin with its prefix news/, but for upper and lower case"),
        ("/news/a.html", "the key doesn't begin with its prefix news/, but for the slash before it"),
        ("new/a.html", "the key doesn't begin with its prefix news/"),
    ],
)
def test_near_misses_of_a_prefix_are_told_apart(key: str, reason: str) -> None:
    _, explainer = loaded("  - {bucket: b, prefix: news/, urls: ['https://a/{key}'], purge: [www]}\n")
    [miss] = explainer.explain(Change("b", key)).misses
    assert miss.reasons == (reason,)


def test_all_that_keeps_a_route_from_acting_is_named() -> None:
    conditions = "bucket: b, prefix: x/, on: [removed], exclude: ['*.map', '*p']"
    _, explainer = loaded(f"  - {{{conditions}, urls: ['https://a/{{key}}'], purge: [www]}}\n")
    [miss] = explainer.explain(Change("c", "y/a.map")).misses
    assert miss.reasons == (
        "its bucket is b",
        "the key doesn't begin with its prefix x/",
        "its exclude pattern *.map matches the key",
        "its exclude pattern *p matches the key",
        "it acts on removed objects alone",
    )


def test_what_a_route_picks_of_keys_is_named() -> None:
    conditions = "bucket: b, suffix: [.txt, .md], include: ['a/*', 'b/*'], match: '[a-z]/[^/]*'"
    _, explainer = loaded(f"  - {{{conditions}, urls: ['https://a/{{key}}'], purge: [www]}}\n")
    assert [match.at for match in explainer.explain(Change("b", "a/x.txt")).matches] == ["test.yml:11"]
    [miss] = explainer.explain(Change("b", "c/d/x.html")).misses
    assert miss.reasons == (
        "the key doesn't end with its suffix .txt or .md",
        "none of its include patterns matches the key: a/*, b/*",
        "its match [a-z]/[^/]* doesn't match the whole key",
    )


def test_case_is_no_reason_where_it_is_ignored() -> None:
    conditions = "bucket: b, prefix: Docs/, suffix: .HTM, ignore_case: true, exclude: ['*/TMP/*']"
    _, explainer = loaded(f"  - {{{conditions}, urls: ['https://a/{{path}}'], purge: [www]}}\n")
    assert explainer.explain(Change("b", "docs/A.htm")).matches
    [miss] = explainer.explain(Change("b", "DOCS/tmp/a.htm")).misses
    assert miss.reasons == ("its exclude pattern */TMP/* matches the key",)


PREVIEWS = """\
  - bucket: [previews, mirror]
    index: index.html
    urls: ["https://{first}.preview.example.org/{rest}"]
    allowed_hosts: ["*.preview.example.org"]
    purge: [www]
  - bucket: tenants
    match: "(?P<host>[^/]+)/(?P<page>.*)"
    urls: ["https://{host}/{page}"]
    allowed_hosts: [www.acme.com]
    purge: [www]
"""


def test_each_bucket_of_a_route_is_explained_with_the_routes_line() -> None:
    _, explainer = loaded(PREVIEWS)
    for bucket in ("previews", "mirror"):
        [match] = explainer.explain(Change(bucket, "pr1/a.css")).matches
        assert (match.at, match.untargeted) == ("test.yml:11", ())
    assert [miss.at for miss in explainer.explain(Change("none", "a")).misses] == [
        "test.yml:11",
        "test.yml:11",
        "test.yml:16",
    ]


def test_a_route_without_a_target_for_a_key_says_why() -> None:
    _, explainer = loaded(PREVIEWS)
    [match] = explainer.explain(Change("previews", "robots.txt")).matches
    assert match.untargeted == (
        "https://{first}.preview.example.org/{rest}: the key has no folder 1 below the route's prefix, for {first}",
    )
    [match] = explainer.explain(Change("tenants", "evil.com/a")).matches
    assert match.untargeted == (
        "https://{host}/{page}: the host evil.com, made from the key, isn't among the route's `allowed_hosts`",
    )


@pytest.mark.parametrize(
    ("url", "keys"),
    [
        ("https://pr123.preview.example.org/en/docs/", ["pr123/en/docs/", "pr123/en/docs/index.html"] * 2),
        ("https://PR123.preview.example.org/app.js", ["pr123/app.js", "pr123/app.js/index.html"][:1] * 2),
        ("https://a.b.preview.example.org/app.js", []),
        ("https://preview.example.org/app.js", []),
        # Of what a pattern has taken out, no key can be read.
        ("https://www.acme.com/app.js", [""]),
        ("https://acme.com/app.js", []),
    ],
)
def test_objects_are_found_by_a_url_whose_host_is_made_of_them(url: str, keys: list[str]) -> None:
    _, explainer = loaded(PREVIEWS)
    assert [source.key for source in explainer.sources(url)] == keys


def test_hosts_that_keys_may_make_are_known() -> None:
    _, explainer = loaded(PREVIEWS)
    of_preview = explainer.serving("https://pr9.preview.example.org:443/a")
    assert [match.at for match in of_preview] == ["test.yml:11", "test.yml:11"]
    assert [match.at for match in explainer.serving("https://WWW.acme.com")] == ["test.yml:16"]
    assert explainer.serving("https://evil.com/WWW.acme.com") == []


KEYS = st.text(st.sampled_from("ab/. +%~é*?#"), min_size=1, max_size=12)

ROUTES = """\
  - {bucket: b, urls: ["https://www.a.com/{key}"], index: i.html, bare: true, strip: [.html, .htm], purge: [www]}
  - {bucket: b, prefix: "a b/", urls: ["https://p.a.com/x/{path}", "http://p.a.com/{bucket}/{path}?v=1"], purge: [www]}
  - {bucket: b, exclude: ["*a"], urls: ["https://d.a.com/{dir}{name}"], purge: [www]}
  - {bucket: b, urls: ["https://e.a.com/{dir}{stem}{ext}"], purge: [www]}
  - {bucket: b, on: [removed], urls: ["https://r.a.com/{key}/{key}"], purge: [www]}
  - bucket: b
    also: [{keys: ["a*"], as: ["t/{stem}@2x{ext}", "big/{key}"]}]
    urls: ["https://t.a.com/{key}"]
    purge: [www]
"""


@given(KEYS, st.sampled_from(list(ChangeKind)))
def test_a_route_either_acts_or_has_a_reason_not_to(key: str, kind: ChangeKind) -> None:
    found, explainer = loaded(ROUTES)
    change = Change("b", key, kind)
    explained = explainer.explain(change, nearest=99)
    assert len(explained.matches) + len(explained.misses) == len(found.routes)
    assert all(miss.reasons for miss in explained.misses)
    acting = [route for route in Router(found.routes, found.providers).matching("b", key) if kind in route.on]
    assert [match.route for match in explained.matches] == acting


# From a URL to objects


@given(KEYS)
def test_every_url_that_a_key_gives_leads_back_to_it(key: str) -> None:
    found, explainer = loaded(ROUTES)
    for kind in ChangeKind:
        for demand in Router(found.routes, found.providers).demands([Change("b", key, kind)])[0]:
            for target in demand.wants:
                sources = [source.key for source in explainer.sources(target.value)]
                # Of "a/x" and "c/x" alike {stem} is x: t/x@2x tells the name alone.
                assert key in sources or target.value.startswith("https://t.a.com/t/"), sources


@pytest.mark.parametrize(
    ("url", "keys"),
    [
        ("https://www.a.com/", ["i.html"]),
        ("https://www.a.com/x", ["x", "x/i.html", "x.html", "x.htm"]),
        ("https://www.a.com/x/", ["x/", "x/i.html"]),
        ("https://www.a.com/a%2Bb", ["a+b", "a+b/i.html", "a+b.html", "a+b.htm"]),
        ("https://p.a.com/x/1.css", ["a b/1.css"]),
        ("http://p.a.com/b/1.css?v=1", ["a b/1.css"]),
        ("http://p.a.com/c/1.css?v=1", []),
        ("https://d.a.com/x/y.z", ["x/y.z"]),
        ("https://e.a.com/x.y/.z", ["x.y/.z"]),
        ("https://r.a.com/q/q", ["q"]),
        ("https://r.a.com/q/p", []),
        ("https://t.a.com/big/a.png", ["big/a.png", "a.png"]),
        ("https://www.a.com/%zz", []),
        # Other spellings of the key, and of the URL around it.
        ("https://p.a.com/x/[id].js", ["a b/[id].js"]),
        ("https://p.a.com/x/%5bid%5D.js", ["a b/[id].js"]),
        ("https://d.a.com/p/[id].js", ["p/[id].js"]),
        ("https://p.a.com/%78/%31.%63ss", ["a b/1.css"]),
        ("https://d.a.com/it%27s%40x%2cy", ["it's@x,y"]),
        ("https://d.a.com/x%2Fy.z", ["x/y.z"]),
        ("https://d.a.com/caf%c3%a9|^", ["café|^"]),
        ("https://d.a.com/x+y%20z%2bw", ["x+y z+w", "x y z+w"]),
        ("HTTPS://D.A.com:443/X%7ey", ["X~y"]),
        ("http://p.a.com:80/b/1.css?v=1", ["a b/1.css"]),
        ("http://p.a.com/%62/1.css?v=1", ["a b/1.css"]),
        ("http://p.a.com/b/1.css?v=%31", []),
        ("https://www.a.com", ["i.html"]),
        ("https://WWW.a.com?", []),
    ],
)
def test_objects_are_found_by_their_url(url: str, keys: list[str]) -> None:
    _, explainer = loaded(ROUTES)
    assert [source.key for source in explainer.sources(url)] == keys


def test_an_object_that_is_purged_in_other_spellings_alone_is_told(file: Path) -> None:
    url = "https://www.acme.com/%61%20b"
    line = "  multicdn.config.yml:11 gives it for s3://acme-site/a b (urls: https://www.acme.com/{key})"
    assert f"{line}, but not in this spelling: a cache that tells them apart keeps it\n" in ask(file, url)
    assert ask_json(file, url)["urls"][0]["sources"][0]["spelled"] is False
    assert f"{line}\n" in ask(file, "https://www.acme.com/a%20b")


def test_a_url_of_an_escaped_template_is_found() -> None:
    _, explainer = loaded("  - {bucket: b, urls: ['https://a/%40x/[1]/{key}'], purge: [www]}\n")
    assert [source.key for source in explainer.sources("https://a/@x/%5B1%5d/[k]")] == ["[k]"]


@pytest.mark.parametrize(
    ("members", "url", "how"),
    [
        ("urls: ['https://a/{name}']", "https://a/x", "urls: https://a/{name}"),
        ("urls: ['https://a/feed.xml']", "https://a/feed.xml", "urls: https://a/feed.xml"),
        ("prefixes: ['https://a/{dir}']", "https://a/x/y/z.html?q", "prefixes: https://a/{dir}"),
        ("hosts: [A.example]", "https://a.example/x", "hosts: a.example"),
    ],
)
def test_routes_that_give_a_url_for_many_objects_are_named(members: str, url: str, how: str) -> None:
    _, explainer = loaded(f"  - {{bucket: b, {members}, purge: [{'www' if 'urls' in members else 'zone'}]}}\n")
    assert [(source.how, source.key) for source in explainer.sources(url)] == [(how, "")]


# Previews


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("site", {"distribution": "E8F6HK73EP0LT"}),
        ("www", {"service": "SU1Z0isxPaozGVKXdv0eY", "environment": "production"}),
        ("beta", {"service": "SU1Z0isxPaozGVKXdv0eY", "environment": "staging"}),
        ("zone", {"zone": "023e105f4ecef8ad9ca31a8372d0c353", "plan": "free"}),
    ],
)
def test_zone_service_and_environment_are_shown_and_secrets_are_not(name: str, shown: dict[str, str]) -> None:
    found, _ = loaded("  - {bucket: b, urls: ['https://a/{key}'], purge: [www]}\n")
    assert preview.where(found.providers[name]) == shown


def test_targets_that_a_vendor_cannot_act_on_are_shown_with_the_reason() -> None:
    found, _ = loaded("  - {bucket: b, urls: ['https://a/{key}'], purge: [beta, site]}\n")
    demands, _ = Router(found.routes, found.providers).demands([Change("b", "~x")])
    site, beta = preview.previews(found, demands)
    assert "CloudFront can't invalidate a tilde" in site.rejected[0].reason
    assert site.calls == 0
    assert [outcome.job.targets for outcome in beta.rejected] == [("https://a/~x",)]


def test_the_pace_of_a_quota_is_shared_by_those_who_share_it() -> None:
    """CloudFront's rate is the account's: two distributions take twice as long as one."""
    text = PROVIDERS + "  - {bucket: b, urls: ['https://a/{key}'], purge: [site, other]}\n"
    text = text.replace("routes:", "delivery: {concurrency: 1}\nroutes:")
    text = text.replace("  found:", "  other: {type: cloudfront, distribution: E2QWRUHEXAMPLE}\n  found:")
    found = config.parse(text, "test.yml", Plugins())
    demands, _ = Router(found.routes, found.providers).demands(Change("b", str(number)) for number in range(3000))
    site, other = preview.previews(found, demands)
    assert site.seconds == 0
    assert other.seconds == pytest.approx(3000 / 150)


def test_a_plugin_that_fails_is_named_and_the_others_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = loaded("  - {bucket: b, urls: ['https://a/{key}'], purge: [edge, site]}\n")

    def careless(self: object, target: str) -> NoReturn:
        raise TypeError("no scales today")

    monkeypatch.setattr(type(found.providers["edge"]), "weigh", careless)
    site, edge = preview.previews(found, Router(found.routes, found.providers).demands([Change("b", "x")])[0])
    assert site.calls == 1
    assert (edge.note, edge.exact) == ("bug in the plugin: TypeError: no scales today", False)


def test_a_url_that_only_a_wider_prefix_reaches_is_named() -> None:
    found, _ = loaded("  - {bucket: b, urls: ['https://a/{key}'], purge: [site]}\n")
    changes = [Change("b", key) for key in ("a~1.txt", "img/*", "plain.css")]
    [site] = preview.previews(found, Router(found.routes, found.providers).demands(changes)[0])
    assert site.note == "https://a/a~1.txt (and 2 more) can only be purged by the wider /a*"
    [site] = preview.previews(found, Router(found.routes, found.providers).demands(changes[2:])[0])
    assert site.note == ""


# Online


@pytest.mark.slow
def test_online_names_every_distribution_in_front_of_the_bucket(scene: Scene) -> None:
    providers = providers_of(scene.path)
    providers["site"]["distribution"] = "auto"
    write(scene.path, providers)
    text = scene.run("explain", "s3://acme-site/a.css", "--online")
    assert f"site/{SITE} (cloudfront: distribution {SITE}, endpoint" in text
    assert f"site/{SECOND} (cloudfront: distribution {SECOND}, endpoint" in text
    assert scene.calls() == {"site": 1}


@pytest.mark.slow
def test_online_says_why_a_vendor_could_not_be_asked(scene: Scene) -> None:
    providers = providers_of(scene.path)
    providers["site"]["distribution"] = "auto"
    write(scene.path, providers)
    text = scene.run("explain", "s3://acme-site/a.css", "--online", AWS_SECRET_ACCESS_KEY="wrong", code=1)
    assert "SignatureDoesNotMatch" in text
    assert "\nfastly (" in text
    assert scene.last.stderr.endswith("Not found out, so what is shown of it is incomplete: site.\n")


@pytest.mark.slow
def test_without_online_no_simulator_hears_of_it(scene: Scene) -> None:
    scene.run("explain", "s3://acme-site/a.css", "https://www.acme.com/b")
    assert scene.calls() == {}
