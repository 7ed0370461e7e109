"""The origin of the edges: the buckets as their routes show them."""

from __future__ import annotations

import pytest

from multicdn.local.site import Site
from multicdn.simulators import Origin, Response
from multicdn.simulators.kit.client import Client

pytestmark = pytest.mark.slow


def test_objects_are_found_by_the_urls_that_routes_give_them() -> None:
    with Origin() as eu, Origin() as us, Site() as site:
        eu.put("site/docs/index.html", "docs")
        eu.put("a b+c.css", "odd")
        us.put("shop.css", "shop")
        client = Client(site.origin({"eu": eu.url, "us": us.url}))
        site.learn("eu", "site/docs/index.html", ["https://www.acme.com/docs/"], ["docs", "all"])

        def get(path: str, host: str = "www.acme.com", **headers: str) -> Response:
            return client.send("GET", path, {"X-Forwarded-Host": host, **headers})

        found = get("/docs/")
        assert (found.status, found.body) == (200, b"docs")
        tags = {name: found.headers[name] for name in ("Surrogate-Key", "Cache-Tag", "Edge-Cache-Tag")}
        assert tags == {"Surrogate-Key": "all docs", "Cache-Tag": "all,docs", "Edge-Cache-Tag": "all,docs"}
        assert get("/docs/", "images.acme.com").body == b"docs", "a CDN asks under a name of its own"
        assert get("/docs/", **{"If-None-Match": found.headers["ETag"]}).status == 304
        # What nobody has learned is found by its path, in whichever bucket has it.
        assert get("/a%20b%2Bc.css").body == b"odd"
        assert get("/shop.css").body == b"shop"
        assert get("/nothing").status == 404
        client.close()
    assert [request.target for request in eu.requests][:1] == ["/site/docs/index.html"]
