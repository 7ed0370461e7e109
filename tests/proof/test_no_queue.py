"""What follows a purge where the queue can't be reached: the message comes back, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kit import tiered
from kit.stage import failures, s3_event, sqs_event

from multicdn import config
from multicdn.dispatcher import Dispatcher

if TYPE_CHECKING:
    from multicdn.queue.sender import RetryQueue

CONFIG = """\
version: 1
providers:
  site: {{type: tiered, cache: site{again}}}
routes:
  - bucket: acme-site
    urls: ["https://www.acme.com/{{key}}"]
    purge: [site]
    verify: {verify}
"""


def no_queue() -> RetryQueue:
    raise OSError("no client can be made")


@pytest.mark.parametrize(
    ("again", "verify", "comes_back"), [("", "false", False), (", again: 5s", "false", True), ("", "true", True)]
)
def test_a_purge_that_can_not_be_followed_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, again: str, verify: str, comes_back: bool
) -> None:
    tiered.begin(monkeypatch, site=tiered.Cache())
    plugins = tiered.plugins()
    loaded = config.parse(CONFIG.format(again=again, verify=verify), "multicdn.config.yml", plugins)
    dispatcher = Dispatcher(loaded, plugins, retry_queue=no_queue)
    reply = dispatcher.dispatch(sqs_event(m1=s3_event("a.css")), 30)
    assert reply == failures(*(["m1"] if comes_back else []))
    assert len(tiered.WORLD["site"].purges) == 1
