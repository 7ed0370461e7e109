"""A headless Chromium of the system, as one page that notes what a person wouldn't see: errors, and where it asks."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

INSTALL = "apt-get install -y --no-install-recommends chromium-headless-shell"
# The first has no window to show at all: it starts with a third less of the processor.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
# One process for what belongs to nobody's screen; nothing that looks for updates or a network of its own.
_ARGUMENTS = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-extensions"]


def missing() -> str:
    """Say how to get a Chromium; empty if there is one."""
    return "" if _program() else f"no Chromium here: {INSTALL}"


class Visit:
    """A page, and what it did.

    Attributes:
        page: where the site is open.
        complaints: what its console said, and exceptions that nobody caught.
        hosts: all that it sent a request to.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.hosts: set[str] = set()
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))


@contextlib.contextmanager
def browser() -> Iterator[Visit]:
    """Start Chromium with one empty page. Its sandbox doesn't work for root, as whom containers run."""
    from playwright.sync_api import sync_playwright

    sandbox = os.geteuid() != 0
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=_program(), chromium_sandbox=sandbox, args=_ARGUMENTS)
        try:
            context = running.new_context(reduced_motion="reduce", service_workers="block")
            context.set_default_timeout(30_000)
            yield Visit(context.new_page())
        finally:
            running.close()


def _program() -> str:
    return next(filter(None, map(shutil.which, _NAMES)), "")
