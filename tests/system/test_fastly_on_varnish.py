"""What our Fastly plugin sends, taken by a real caching edge: afterwards the edge must, or mustn't, have forgotten."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
from kit.environments import unavailable
from kit.varnish import SERVICE, TOKEN, Varnish, missing
from multicdn_providers.fastly import Fastly

from multicdn.errors import CallRefused, CredentialsRefused, TargetsRefused
from multicdn.provider import Call
from multicdn.secrets import Secret
from multicdn.simulators import Origin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multicdn.model import Receipt

HARD, SOFT = Call(), Call(soft=True)
PATIENCE = 10.0

_hosts = (f"www{number}.example.com" for number in itertools.count())


class Site:
    """A host of its own for each test: the origin's objects, seen through the edge."""

    def __init__(self, edge: Varnish, origin: Origin) -> None:
        self.host = next(_hosts)
        self._edge, self._origin = edge, origin

    def url(self, path: str) -> str:
        return f"https://{self.host}/{path}"

    def put(self, key: str, body: str, *tags: str) -> None:
        headers = {"Cache-Control": "max-age=3600"}
        if tags:
            headers["Surrogate-Key"] = " ".join(tags)
        self._origin.put(key, body, headers)

    def cache(self, path: str, *tags: str) -> None:
        """Let the edge hold ``old`` while the origin already has ``new``."""
        key = unquote(path.partition("?")[0])
        self.put(key, "old", *tags)
        assert self.get(path) == ("MISS", "old")
        self.put(key, "new", *tags)
        assert self.get(path) == ("HIT", "old")

    def get(self, path: str) -> tuple[str, str]:
        """How the edge came by an object, and its body."""
        answer = self._edge.get(self.url(path))
        return answer.headers["X-Cache"], answer.body.decode()


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    """The origin behind the edge."""
    with Origin() as running:
        yield running


@pytest.fixture(scope="module")
def edge(origin: Origin) -> Iterator[Varnish]:
    """A real caching edge that takes Fastly's purge calls."""
    reason = missing()
    if reason:
        unavailable(reason)
    with Varnish(int(origin.url.rpartition(":")[2]), token=TOKEN, service=SERVICE) as running:
        yield running


@pytest.fixture
def site(edge: Varnish, origin: Origin) -> Site:
    return Site(edge, origin)


@pytest.fixture
def fastly(edge: Varnish) -> Fastly:
    return make(edge)


def make(edge: Varnish, *, token: str = TOKEN, service: str = SERVICE) -> Fastly:
    return Fastly(token=Secret.literal(token), service=service, endpoint=edge.endpoint)


def test_a_purged_url_is_fetched_anew(fastly: Fastly, site: Site) -> None:
    site.cache("img/logo.png")
    receipt = fastly.purge_urls([site.url("img/logo.png")], HARD)
    assert receipt.id.startswith("4151-")
    assert site.get("img/logo.png") == ("MISS", "new")


@pytest.mark.parametrize("scheme", ["http://", "https://", ""])
def test_a_url_is_purged_whatever_its_scheme(fastly: Fastly, site: Site, scheme: str) -> None:
    site.cache("a.txt")
    fastly.purge_urls([f"{scheme}{site.host}/a.txt"], HARD)
    assert site.get("a.txt") == ("MISS", "new")


def test_the_root_of_a_host_can_be_purged(fastly: Fastly, site: Site) -> None:
    site.cache("")
    fastly.purge_urls([site.url("")], HARD)
    assert site.get("") == ("MISS", "new")


def test_other_urls_and_hosts_stay_cached(fastly: Fastly, site: Site, edge: Varnish, origin: Origin) -> None:
    elsewhere = Site(edge, origin)
    site.cache("a.txt")
    site.cache("a.txt.gz")
    elsewhere.cache("a.txt")
    fastly.purge_urls([site.url("a.txt")], HARD)
    assert site.get("a.txt.gz") == ("HIT", "old")
    assert elsewhere.get("a.txt") == ("HIT", "old")


def test_a_wildcard_is_an_ordinary_character(fastly: Fastly, site: Site) -> None:
    site.cache("img/logo.png")
    fastly.purge_urls([site.url("img/*")], HARD)
    assert site.get("img/logo.png") == ("HIT", "old")


@pytest.mark.parametrize(
    "path",
    [
        "ein%20bild%2B100%25/gr%C3%B6%C3%9Fe%20%E4%B8%AD.jpg",
        "lower%c3%bc.txt",
        "a//b.txt",
        "slash%2Finside.txt",
        "it's(1),a;b=c@d:e!~$&*.txt",
        "a.txt?w=1&h=2",
        "q%3Fand%23hash.txt",
        "_next/[id]/%5bid%5D/a|b^c.txt",
        'curl{"<>`\\}.txt',
    ],
)
def test_an_odd_path_reaches_the_edge_byte_for_byte(fastly: Fastly, site: Site, path: str) -> None:
    """The edge compares bytes: a path that the client or the API tidied up would purge nothing."""
    site.cache(path)
    fastly.purge_urls([site.url(path)], HARD)
    assert site.get(path) == ("MISS", "new")


def test_another_spelling_of_a_path_is_another_object(fastly: Fastly, site: Site) -> None:
    site.cache("%c3%bc.txt")
    fastly.purge_urls([site.url("%C3%BC.txt")], HARD)
    assert site.get("%c3%bc.txt") == ("HIT", "old")


def test_a_url_encoded_as_a_whole_is_refused(edge: Varnish) -> None:
    with pytest.raises(TargetsRefused, match="Malformed purge request"):
        make(edge).purge_urls(["https%3A%2F%2Fwww.example.com%2Fa"], HARD)


def test_a_soft_purged_url_is_served_stale_once_and_then_fresh(fastly: Fastly, site: Site) -> None:
    site.cache("a.txt")
    fastly.purge_urls([site.url("a.txt")], SOFT)
    assert site.get("a.txt") == ("STALE", "old")
    assert eventually(lambda: site.get("a.txt"), ("HIT", "new"))


def test_all_objects_with_a_tag_are_purged_and_no_others(fastly: Fastly, site: Site) -> None:
    site.cache("one.txt", "news", "sport")
    site.cache("two.txt", "sport")
    site.cache("three.txt", "newsletter")
    receipt = fastly.purge_tags(["news"], HARD)
    assert receipt.id.startswith("4151-")
    assert site.get("one.txt") == ("MISS", "new")
    assert site.get("two.txt") == ("HIT", "old")
    assert site.get("three.txt") == ("HIT", "old")


def test_tags_are_purged_as_a_batch(fastly: Fastly, site: Site) -> None:
    names = [f"{site.host}-{number}" for number in range(5)]
    for name in names:
        site.cache(f"{name}.txt", name)
    receipt = fastly.purge_tags(names[:4], HARD)
    assert "4 ids" in receipt.note
    assert [site.get(f"{name}.txt")[0] for name in names] == ["MISS"] * 4 + ["HIT"]


def test_a_batch_as_large_as_fastly_takes_arrives_whole(fastly: Fastly, site: Site) -> None:
    limits = fastly.tag_limits
    site.cache("last.txt", "last")
    longest = [f"{number:x<{limits.target_bytes}}" for number in range(1, limits.targets)]
    fastly.purge_tags([*longest, "last"], HARD)
    assert site.get("last.txt") == ("MISS", "new")


@pytest.mark.parametrize(
    "tag", ["img/logo.png", "100%", "%2F", "größe", "中文", 'say"so"', "back\\slash", "a+b", "k:v;w", "?#&", "{}[]"]
)
def test_an_odd_tag_is_purged_by_its_very_bytes(fastly: Fastly, site: Site, tag: str) -> None:
    site.cache("a.txt", tag)
    fastly.purge_tags([tag], HARD)
    assert site.get("a.txt") == ("MISS", "new")


def test_soft_purged_tags_are_served_stale_once_and_then_fresh(fastly: Fastly, site: Site) -> None:
    site.cache("a.txt", "soft")
    fastly.purge_tags(["soft", "unknown"], SOFT)
    assert site.get("a.txt") == ("STALE", "old")
    assert eventually(lambda: site.get("a.txt"), ("HIT", "new"))


def test_what_was_never_cached_can_be_purged(fastly: Fastly, site: Site) -> None:
    assert fastly.purge_urls([site.url("never.txt")], HARD).id
    assert fastly.purge_tags(["never"], HARD).id


@pytest.mark.parametrize("call", [HARD, SOFT], ids=["hard", "soft"])
def test_everything_is_purged_and_always_hard(fastly: Fastly, site: Site, call: Call) -> None:
    site.cache("one.txt", "tag")
    site.cache("two.txt")
    fastly.purge_everything(call)
    assert site.get("one.txt") == ("MISS", "new")
    assert site.get("two.txt") == ("MISS", "new")


def test_nothing_is_purged_with_a_wrong_token(edge: Varnish, site: Site) -> None:
    fastly = make(edge, token="somebody-elses-token")
    site.cache("a.txt", "tag")
    calls: list[Callable[[], Receipt]] = [
        lambda: fastly.purge_urls([site.url("a.txt")], HARD),
        lambda: fastly.purge_tags(["tag"], HARD),
        lambda: fastly.purge_everything(HARD),
    ]
    for purge in calls:
        with pytest.raises(CredentialsRefused, match="missing or invalid") as refusal:
            purge()
        assert "somebody-elses-token" not in str(refusal.value)
    assert site.get("a.txt") == ("HIT", "old")


def test_nothing_is_purged_in_an_unknown_service(edge: Varnish, site: Site) -> None:
    fastly = make(edge, service="another")
    site.cache("a.txt", "tag")
    calls: list[Callable[[], Receipt]] = [
        lambda: fastly.purge_tags(["tag"], HARD),
        lambda: fastly.purge_everything(HARD),
    ]
    for purge in calls:
        with pytest.raises(CallRefused, match="Record not found"):
            purge()
    assert site.get("a.txt") == ("HIT", "old")


def eventually(ask: Callable[[], object], wanted: object) -> bool:
    """Ask until the answer is right: a stale object is replaced behind the reader's back."""
    deadline = time.monotonic() + PATIENCE
    while (seen := ask()) != wanted:
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)
    return True
