"""A bucket, two services of Fastly in front of it, and the events that say what changed: only the wire is simulated."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from multicdn import config
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.dispatcher import Dispatcher
from multicdn.plugins.discovery import Plugins

if TYPE_CHECKING:
    import pytest

    from multicdn.simulators import Origin
    from multicdn.simulators.fastly.api import FastlySimulator

SITE = "https://www.acme.com"
SEQUENCER = "0065A1B2C3D4E5F601"

CONFIG = """\
version: 1
providers:
  www: {{type: fastly, endpoint: "{www}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:FASTLY_TOKEN}}"}}
  img: {{type: fastly, endpoint: "{img}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:FASTLY_TOKEN}}"}}
routes:
  - bucket: acme-site
    urls: ["https://www.acme.com/{{key}}"]
    purge: [www, img]
"""


class Stage:
    """A bucket, and two services of Fastly in front of it."""

    def __init__(self, origin: Origin, www: FastlySimulator, img: FastlySimulator) -> None:
        self.origin, self.www, self.img = origin, www, img
        self.text = CONFIG.format(www=www.endpoint, img=img.endpoint)

    def publish(self, *keys: str) -> None:
        """Put old bytes, let both edges cache them, and put new ones."""
        for key in keys:
            self.origin.put(key, "old", {"Cache-Control": "max-age=3600"})
            self.fresh(key)
            self.origin.put(key, "new", {"Cache-Control": "max-age=3600"})

    def fresh(self, key: str) -> dict[str, bool]:
        """Which edges serve the new bytes of a key."""
        return {name: cdn.fetch(f"{SITE}/{key}").body == b"new" for name, cdn in (("www", self.www), ("img", self.img))}

    def dispatcher(self, plugins: Plugins | None = None) -> Dispatcher:
        """What the handler makes of the config, with shorter waits."""
        plugins = plugins or Plugins()
        loaded = config.parse(self.text, "multicdn.config.yml", plugins)
        return Dispatcher(loaded, plugins, Delivery(loaded.providers, Terms(tries=3, base=0.01)))


def lines(logged: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.message) for record in logged.records if record.name == "multicdn"]


def s3_event(*keys: str, name: str = "ObjectCreated:Put", sequencer: str = SEQUENCER) -> dict[str, Any]:
    return {"Records": [record(key, name, sequencer) for key in keys]}


def record(key: str, name: str = "ObjectCreated:Put", sequencer: str = SEQUENCER) -> dict[str, Any]:
    return {
        "eventSource": "aws:s3",
        "eventName": name,
        "eventTime": "2026-11-23T09:00:00.123Z",
        "s3": {"bucket": {"name": "acme-site"}, "object": {"key": key, "sequencer": sequencer}},
    }


def uploaded(at: float, *keys: str) -> dict[str, Any]:
    """An event of S3 that happened at a moment: what is older than a fortnight isn't measured."""
    event = s3_event(*keys)
    for each in event["Records"]:
        each["eventTime"] = datetime.fromtimestamp(at, UTC).isoformat()
    return event


def sqs_event(**bodies: object) -> dict[str, Any]:
    """Messages by id."""
    return {
        "Records": [
            {"messageId": name, "eventSource": "aws:sqs", "body": body if isinstance(body, str) else json.dumps(body)}
            for name, body in bodies.items()
        ]
    }


def failures(*names: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": name} for name in names]}
