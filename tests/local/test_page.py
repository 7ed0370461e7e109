"""The page of ``multicdn local`` in a headless Chromium, by what a person sees, hears and types."""

from __future__ import annotations

import contextlib
import os
import re
import struct
import threading
import zlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import uvicorn
from kit.browser import browser, missing
from kit.environments import unavailable

from multicdn.local import app, server
from multicdn.local.session import LocalSession
from multicdn.testing.loopback.aws import PROGRAM_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit.browser import Visit
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.slow

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WRITE = "MULTICDN_WRITE_IMAGES"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 320, "height": 640}
CONFIG = """\
version: 1
providers:
  cloudfront: {distribution: E8F6HK73EP0LT}
  fastly: {service: SU1Z0isxPaozGVKXdv0eY, token: "${env:FASTLY_TOKEN}"}
  cloudflare: {zone: 023e105f4ecef8ad9ca31a8372d0c353, token: "${env:CLOUDFLARE_TOKEN}"}
routes:
  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [cloudfront]}
  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [fastly, cloudflare], verify: {within: 5s}}
  - {bucket: acme-site, prefix: seen/, urls: ["https://www.acme.com/{key}"], purge: [cloudfront], verify: true}
delivery:
  first_delay: 1s
  longest_delay: 1s
"""
PROVIDERS = ("cloudfront", "fastly", "cloudflare")
SEEN = r"^accepted after \S+ s, finished after \S+ s by its published time, fresh after \S+ s$"
HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.html"


@pytest.fixture(scope="module", autouse=True)
def _chromium() -> None:
    if reason := missing():
        unavailable(reason)


@pytest.fixture(scope="module")
def site(aws_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running ``multicdn local``."""
    file = Path("multicdn.config.yml")
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv(PROGRAM_VARIABLE, str(aws_program.resolve()))
        patch.chdir(tmp_path_factory.mktemp("local"))  # as in the folder of one's own site
        file.write_text(CONFIG, encoding="utf-8")
        session = stack.enter_context(LocalSession(file))
        listener = stack.enter_context(server.listen(0))
        port, closing = listener.getsockname()[1], threading.Event()
        settings = uvicorn.Config(app.make(session, port, closing), log_config=None, lifespan="off")
        running = uvicorn.Server(settings)
        serving = threading.Thread(target=running.run, args=([listener],))
        serving.start()
        yield f"http://127.0.0.1:{port}/"
        closing.set()
        running.should_exit = True
        serving.join()


@pytest.fixture(scope="module")
def visit(site: str) -> Iterator[Visit]:
    """The page, opened once: what a test has done is there in the next, as for a person."""
    with browser() as opened:
        opened.page.goto(site)
        yield opened


@pytest.fixture
def page(visit: Visit, site: str) -> Iterator[Page]:
    """The page, which mustn't complain of anything, or ask anybody else."""
    visit.complaints.clear()
    visit.page.emulate_media(color_scheme="light")
    visit.page.set_viewport_size(WIDE)
    yield visit.page
    assert visit.complaints == []
    assert visit.hosts == {urlsplit(site).netloc}


def card(page: Page, name: str) -> Locator:
    return page.locator(".card").filter(has=page.get_by_role("heading", name=name, exact=True))


def cached(page: Page, provider: str, key: str) -> Locator:
    """The line of an object in the card of a provider."""
    return card(page, provider).get_by_role("listitem").filter(has=page.get_by_text(key, exact=True))


def bar(page: Page, provider: str, upload: int = 0) -> Locator:
    """What the timeline says of a provider; of the newest upload at first."""
    row = page.locator("#uploads > li").nth(upload).get_by_role("listitem")
    return row.filter(has=page.get_by_text(provider, exact=True)).locator(".words")


def upload(page: Page, key: str) -> None:
    rows = page.locator("#uploads > li")
    before = rows.count()
    page.get_by_label("Object in S3").fill(key)
    page.get_by_role("button", name="Upload a new version").click()
    rows.nth(before).wait_for()
    text(rows.first.get_by_role("heading"), f"^{re.escape(shown(key))}$")


def shown(key: str) -> str:
    return key.replace("\u202e", r"\u202e")


def fault(page: Page, provider: str, name: str) -> Locator:
    return card(page, provider).get_by_role("button", name=name, exact=True)


def text(locator: Locator, pattern: str) -> None:
    from playwright.sync_api import expect

    expect(locator).to_have_text(re.compile(pattern), timeout=30_000)


def test_an_upload_becomes_fresh_at_every_edge_and_is_announced(page: Page) -> None:
    upload(page, "index.html")
    text(bar(page, "cloudfront"), r"^accepted after [\d.]+ s, fresh after [\d.]+ s \(by this page\)$")
    for provider in PROVIDERS[1:]:
        text(bar(page, provider), SEEN)
    text(page.get_by_role("status"), r"(cloudfront|fastly) fresh after [\d.]+ s")
    cached(page, "fastly", "index.html").get_by_role("button").click()
    text(card(page, "fastly").locator(".fetched"), "^https://.*index.html: (MISS|HIT), 200, .*version 1")
    text(cached(page, "fastly", "index.html").locator(".state"), "^fresh$")


def test_everything_is_reached_by_keyboard_and_keeps_the_focus(page: Page) -> None:
    page.locator("#jobs-empty").wait_for()  # or what is listed there goes meanwhile
    for _ in range(page.evaluate(BEGIN_WALK) + 3):
        page.keyboard.press("Tab")
    assert page.evaluate(MISSED) == []
    page.get_by_label("Object in S3").focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("by/hand.html")
    page.keyboard.press("Enter")
    text(bar(page, "fastly"), "fresh after")
    fault(page, "fastly", "throttle").focus()
    page.keyboard.press("Space")
    text(page.locator(":focus"), "^throttle$")
    page.locator(":focus[aria-pressed=true]").wait_for()
    page.keyboard.press("Space")
    page.locator(":focus[aria-pressed=false]").wait_for()


# Notes each thing that gets the focus, and says how many can; hidden ones have no boxes.
BEGIN_WALK = """() => {
  window.walked = new Map();
  document.addEventListener("focusin", ({ target }) => walked.set(target, getComputedStyle(target).outlineStyle));
  window.stops = () => [...document.querySelectorAll("button, input, select, summary, a, [tabindex='0']")]
    .filter(each => each.getClientRects().length);
  return stops().length;
}"""
# Those that didn't, or didn't show it.
MISSED = "() => stops().filter(each => (walked.get(each) ?? 'none') === 'none').map(each => each.outerHTML)"


def test_all_states_are_shown_where_multicdn_looks_itself_and_a_stale_edge_ends_as_a_dead_letter(page: Page) -> None:
    upload(page, "seen/a.html")
    looked_at = page.locator("#looks > li", has_text="cloudfront").filter(has_text="/seen/a.html")
    text(looked_at.first, r"cloudfront\s+purge 1 target\s+/seen/a.html.* next in \d s")
    text(bar(page, "cloudflare"), SEEN)
    cached(page, "cloudflare", "seen/a.html").get_by_role("button").click()
    text(card(page, "cloudflare").locator(".fetched"), "version 1")
    fault(page, "cloudflare", "ignore").click()
    text(card(page, "cloudflare").locator(".trouble"), "^ignore is on")
    upload(page, "seen/a.html")
    text(bar(page, "cloudflare"), r"^accepted .* still stale, [23] purges: ETag .* s old$")
    text(bar(page, "cloudflare"), "^given up: still stale at FRA after [23] purges: ETag is not that of S3")
    text(page.locator("#dead-jobs > li").first, "cloudflare.*still stale at")
    text(bar(page, "cloudfront"), r"^accepted after \S+ s, finished after \S+ s, fresh after \S+ s$")
    fault(page, "cloudflare", "ignore").click()


@pytest.fixture
def troubled(page: Page) -> Page:
    """The page while fastly is out, and has an upload to hear of; it may be so already."""
    switch = fault(page, "fastly", "outage")
    if switch.get_attribute("aria-pressed") == "false":
        upload(page, "index.html")
        text(bar(page, "fastly"), "fresh after")
        page.get_by_role("button", name="Fetch", exact=True).click()
        text(card(page, PROVIDERS[-1]).locator(".fetched"), "index.html: (MISS|HIT), 200, ")
        switch.click()
        text(card(page, "fastly").locator(".trouble"), "^outage is on")
        upload(page, "index.html")
        text(bar(page, "fastly"), "^requeued")
    return page


def test_an_outage_keeps_one_edge_stale_and_a_job_waiting(troubled: Page) -> None:
    page = troubled
    text(bar(page, "cloudfront"), "fresh after")
    text(cached(page, "fastly", "index.html").locator(".state"), "^stale$")
    text(bar(page, "fastly"), "^requeued.*503")
    text(page.locator("#jobs > li").first, r"fastly\s+purge 1 target\s+https://.*503")


# Colours don't depend on the width, nor what stands where on the colours.
@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", NARROW)])
def test_axe_finds_nothing(troubled: Page, scheme: str, size: dict[str, int]) -> None:
    from axe_playwright_python.base import AXE_SCRIPT

    troubled.emulate_media(color_scheme=scheme)
    troubled.set_viewport_size(size)
    if not troubled.evaluate("'axe' in window"):
        troubled.evaluate(AXE_SCRIPT)
    assert troubled.evaluate(AXE) == []
    assert troubled.evaluate("document.documentElement.scrollWidth") <= size["width"]


# What it would load beforehand, style sheets of other sites, there is none of.
AXE = """async () => {
  const { violations } = await axe.run({ resultTypes: ["violations"], preload: false });
  return violations.map(each => `${each.id}: ${each.nodes[0].html}`);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_can_be_taken(troubled: Page, scheme: str) -> None:
    troubled.emulate_media(color_scheme=scheme)
    kept = IMAGES / f"local-{scheme}.png" if os.environ.get(WRITE) else None
    picture = troubled.screenshot(full_page=kept is not None, path=kept)
    assert len(set(pixels(picture))) > 50, "blank"


def test_what_was_put_off_becomes_fresh_after_the_outage(troubled: Page) -> None:
    page = troubled
    fault(page, "fastly", "outage").click()
    text(bar(page, "fastly"), r"fresh after [\d.]+ s, \d+ tries$")
    text(cached(page, "fastly", "index.html").locator(".state"), "^(fresh|not cached)$")
    page.locator("#jobs-empty").wait_for()
    assert card(page, "fastly").locator(".trouble").is_hidden()


def test_a_hostile_key_is_text(page: Page) -> None:
    upload(page, HOSTILE)
    text(bar(page, "fastly"), "fresh after")
    assert page.locator("img").count() == 1, "ours"
    assert "\u202e" not in page.locator("body").inner_text()
    names = card(page, "fastly").locator(".key").all_inner_texts()
    assert sum("gnp.html" in name for name in names) > 1, "browsers spell it in more than one way"
    assert len(set(names)) == len(names)


def test_an_older_upload_is_opened(page: Page) -> None:
    while page.locator("#uploads > li").count() < 3:
        upload(page, "index.html")
    row = page.locator("#uploads > li").nth(2)
    assert not row.locator(".words").first.is_visible()
    row.get_by_role("heading").click()
    text(bar(page, "fastly", upload=2), "fresh after")


def test_a_removed_object_is_gone_from_every_edge(page: Page) -> None:
    upload(page, "old.html")
    page.get_by_role("button", name="Remove").click()
    text(page.locator("#uploads > li").first.locator("summary"), r"^\s*old\.htmlremoved")
    text(bar(page, "fastly"), "fresh after")


def test_the_line_for_the_shell_is_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    text(page.locator("#s3"), "aws --endpoint-url http://127")
    page.get_by_role("button", name="Copy").click()
    text(page.get_by_role("status"), "Copied")
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#s3").inner_text()


def test_a_wrong_request_is_answered_in_words(page: Page, visit: Visit) -> None:
    page.get_by_label("Fetch a URL").fill("nonsense")
    page.get_by_role("button", name="Fetch", exact=True).click()
    text(page.get_by_role("alert"), "nonsense")
    assert "400" in visit.complaints.pop(), "Chromium notes each of them"


def test_the_scheme_can_be_chosen_and_is_kept(page: Page) -> None:
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark").click()
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.get_by_role("button", name="Light").click()


def test_a_lost_connection_is_said_and_mended(page: Page) -> None:
    events = re.compile("/api/events$")
    ending = {"status": 200, "content_type": "text/event-stream", "body": "retry: 100\n\n"}
    page.route(events, lambda route: route.fulfill(**ending))
    page.reload()
    text(page.locator("#link"), "^connection lost, trying again")
    page.unroute(events)
    text(page.locator("#link"), "^live$")


def pixels(png: bytes) -> bytes:
    """The bytes of a picture's lines."""
    data, at = b"", 8
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        data += png[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    return zlib.decompress(data)
