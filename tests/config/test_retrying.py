"""The section ``delivery:`` of the config file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multicdn import config
from multicdn.errors import ConfigError
from multicdn.plugins.discovery import Plugins
from multicdn.routing.durations import seconds

if TYPE_CHECKING:
    from multicdn.config.settings import Retrying

CONFIG = """\
version: 1
providers:
  fastly: {{token: "${{env:TOKEN}}", service: SU1Z0isxPaozGVKXdv0eY}}
routes:
  - {{bucket: acme-site, urls: ["https://www.acme.com/{{key}}"], purge: [fastly]}}
delivery: {{{settings}}}
"""


def retrying(settings: str) -> Retrying:
    return config.parse(CONFIG.format(settings=settings), "multicdn.config.yml", Plugins()).delivery


def test_without_settings_the_delays_fit_the_queue_of_the_installer() -> None:
    found = retrying("")
    assert (found.give_up_after, found.first_delay, found.longest_delay) == ("6h", "30s", "15m")


@pytest.mark.parametrize(("text", "number"), [("1s", 1.0), ("90m", 5400.0), ("6h", 21_600.0), ("2d", 172_800.0)])
def test_durations_are_numbers_with_a_unit(text: str, number: float) -> None:
    assert seconds(retrying(f"give_up_after: {text}").give_up_after) == number


@pytest.mark.parametrize("longest", ["15m", "900s"])
def test_the_longest_delay_may_be_what_sqs_can_do(longest: str) -> None:
    assert retrying(f"longest_delay: {longest}").longest_delay == longest


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("longest_delay: 16m", "longest_delay 16m is more than SQS can delay a message: 15m at most"),
        ("longest_delay: 1h", "15m at most"),
        ("first_delay: 20m", "first_delay 20m is longer than longest_delay 15m"),
        ("first_delay: 60s, longest_delay: 30s", "first_delay 60s is longer than longest_delay 30s"),
        ("first_delay: 0s", "delivery.first_delay"),
        ("first_delay: soon", "delivery.first_delay"),
        ("first_delay: 1.5s", "delivery.first_delay"),
        ("frist_delay: 3s", "did you mean 'first_delay'"),
    ],
)
def test_what_cannot_be_is_refused_with_file_and_line(settings: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        retrying(settings)
    [problem] = caught.value.problems
    assert complaint in problem
    assert problem.startswith("multicdn.config.yml:6: ")
