"""What sites answer besides the plain object: nothing of it is taken for stale, or for fresh, that only might be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kit.world import SITE

from multicdn.simulators import Response
from multicdn.simulators.kit.transforms import Transforms

if TYPE_CHECKING:
    from kit.tiers import Tiers
    from kit.worlds_log import Told

    from multicdn.simulators import Origin, Request

pytestmark = pytest.mark.slow

_ENDS = ("fresh", "stale", "unknown", "superseded")


def test_a_removed_object_is_fresh_when_it_is_gone(single: Tiers, told: Told) -> None:
    world = single.world()
    world.upload("a.css", "old", told=False)
    single.ask("a.css")
    world.remove("a.css")
    world.run(600)
    assert single.ask("a.css")[0].status == 404
    assert told(*_ENDS) == [("fresh", "cdn")]


def test_a_removed_object_that_a_pop_still_has_is_stale(single: Tiers, told: Told) -> None:
    single.cdns["cdn"].topology.pops[0].ignores = 1
    world = single.world()
    world.upload("a.css", "old", told=False)
    single.ask("a.css")
    world.run(60)
    world.remove("a.css")
    world.run(600)
    assert single.ask("a.css")[0].status == 404
    assert told(*_ENDS) == [("stale", "cdn"), ("fresh", "cdn")]


def answering(monkeypatch: pytest.MonkeyPatch, origin: Origin, response: Response, *, gone: bool = False) -> None:
    """Let the site answer so, for all objects, or for those that aren't there."""
    whole = origin._answer

    def answer(request: Request) -> Response:
        return whole(request) if gone and origin.stored(request.path.lstrip("/")) else response

    monkeypatch.setattr(origin._server, "_handle", answer)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Response(401, {"WWW-Authenticate": "Basic"}), "login needed"),
        (
            Response(302, {"Location": "https://login.acme.com/?token=secret"}),
            "redirects to https://login.acme.com/ (302)",
        ),
        (Response(503), "503"),
    ],
    ids=["login", "redirect", "error"],
)
def test_what_shows_no_object_is_unknown(
    single: Tiers, told: Told, origin: Origin, monkeypatch: pytest.MonkeyPatch, response: Response, reason: str
) -> None:
    world = single.world()
    answering(monkeypatch, origin, response)
    world.upload("a.css", "new")
    world.run(600)
    assert told(*_ENDS) == [("unknown", "cdn")]
    [line] = told.lines("unknown")
    assert reason in line["reason"]
    assert "secret" not in str(line)
    assert (world.waiting, world.letters) == ([], [])


def test_a_site_that_serves_a_page_for_what_is_gone(
    single: Tiers, told: Told, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = single.world()
    answering(monkeypatch, origin, Response(200, {"Content-Type": "text/html"}, b"<h1>Home</h1>"), gone=True)
    world.upload("a.css", "old", told=False)
    single.ask("a.css")
    world.run(60)
    world.remove("a.css")
    world.run(600)
    assert told("stale") == []
    assert told(*_ENDS)[-1][0] in ("fresh", "unknown")
    assert (world.waiting, world.letters) == ([], [])


def test_a_transformed_picture_is_never_stale_by_its_bytes(single: Tiers, told: Told) -> None:
    single.cdns["cdn"].topology.transforms = Transforms(pictures=True)
    world = single.world()
    world.upload("a.png", "old", told=False, **{"Content-Type": "image/png"})
    single.ask("a.png")
    world.run(60)
    world.upload("a.png", "new", **{"Content-Type": "image/png"})
    world.run(600)
    assert told("stale") == []
    [end] = told(*_ENDS)
    assert end[0] in ("fresh", "unknown")
    assert single.ask("a.png")[0].headers["Content-Type"] == "image/webp"
    assert (world.waiting, world.letters) == ([], [])


@pytest.mark.parametrize("compression", ["weak", "suffix"])
def test_compression_is_no_difference(single: Tiers, told: Told, compression: str) -> None:
    single.cdns["cdn"].topology.transforms = Transforms(compression=compression)  # type: ignore[arg-type]
    world = single.world()
    world.upload("a.css", "old" * 99, told=False)
    for accepted in ("gzip", "identity"):
        single.cdns["cdn"].fetch(f"{SITE}/a.css", {"Accept-Encoding": accepted})
    world.upload("a.css", "new" * 99)
    world.run(60)
    assert told(*_ENDS) == [("fresh", "cdn")]


def test_no_etag_leaves_other_instruments(single: Tiers, told: Told) -> None:
    single.cdns["cdn"].topology.transforms = Transforms(strips_etag=True)
    world = single.world()
    world.upload("a.css", "old", told=False)
    single.ask("a.css")
    world.run(60)
    world.upload("a.css", "new")
    world.run(60)
    assert told(*_ENDS) == [("fresh", "cdn")]
