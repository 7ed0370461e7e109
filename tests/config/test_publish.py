"""The section ``publish:`` of the config file, and the rights that it needs."""

from __future__ import annotations

import pytest

from multicdn import config, vocabulary
from multicdn.config.publish import EndState, Publish
from multicdn.errors import ConfigError
from multicdn.installer.template.stack import role_statements
from multicdn.plugins.discovery import Plugins

CONFIG = """\
version: 1
providers:
  fastly: {{token: "${{ssm:/acme/token}}", service: SU1Z0isxPaozGVKXdv0eY}}
routes:
  - {{bucket: acme-site, urls: ["https://www.acme.com/{{key}}"], purge: [fastly]}}
publish: {{{settings}}}
"""
BUS = "arn:aws:events:eu-west-1:123456789012:event-bus/ops"
TOPIC = "arn:aws-cn:sns:cn-north-1:123456789012:purges"


def read(settings: str) -> config.Config:
    return config.parse(CONFIG.format(settings=settings), "multicdn.config.yml", Plugins())


def test_without_the_section_nobody_is_told() -> None:
    assert config.parse(CONFIG.partition("publish:")[0].format(), "c.yml", Plugins()).publish == Publish()
    assert not [one for one in role_statements(read(""), queued=True) if one["Sid"].startswith(("Put", "Publish"))]


def test_the_states_are_those_of_the_log() -> None:
    assert tuple(EndState) == vocabulary.STATES == read(f"to: ['{BUS}']").publish.states


def test_the_role_may_tell_what_is_named_and_nothing_else() -> None:
    found = read(f"to: ['{BUS}', '{TOPIC}'], states: [dead]")
    assert (found.publish.buses, found.publish.topics, found.publish.states) == ((BUS,), (TOPIC,), (EndState.DEAD,))
    statements = {one["Sid"]: one for one in role_statements(found, queued=True)}
    assert statements["PutEvents"] == {
        "Sid": "PutEvents", "Effect": "Allow", "Action": ["events:PutEvents"], "Resource": [BUS],
    }  # fmt: skip
    assert statements["PublishOutcomes"] == {
        "Sid": "PublishOutcomes", "Effect": "Allow", "Action": ["sns:Publish"], "Resource": [TOPIC],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("to: [ops]", "publish.to[0]: expected ARNs of event buses of EventBridge and of SNS topics"),
        (f"to: ['{BUS.replace('event-bus', 'rule')}']", "publish.to[0]"),
        (f"to: ['{BUS}\\n']", "publish.to[0]"),
        ("to: ['arn:aws:sqs:eu-west-1:123456789012:queue']", "publish.to[0]"),
        (f"to: ['{TOPIC}.fifo']", "name a standard topic"),
        (f"to: [{', '.join([repr(BUS)] * 6)}]", "publish.to"),
        (f"to: ['{BUS}'], states: [ded]", "did you mean 'dead'"),
        (f"to: ['{BUS}'], states: []", "publish.states"),
        ("states: [dead]", "write the ARN of an event bus or of an SNS topic"),
        (f"too: ['{BUS}']", "did you mean 'to'"),
    ],
)
def test_what_would_be_refused_with_each_event_is_refused_with_file_and_line(settings: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(settings)
    [problem] = caught.value.problems
    assert complaint in problem
    assert problem.startswith("multicdn.config.yml:6: ")
