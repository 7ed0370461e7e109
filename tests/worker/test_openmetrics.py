"""What a worker tells Prometheus: the measures that the function writes for CloudWatch."""

from __future__ import annotations

import contextlib
import re
import socket
import time
import urllib.request
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from kit.stage import Stage, sqs_event, uploaded
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from multicdn.cli import main
from multicdn.cli import worker as command
from multicdn.metrics import Measured
from multicdn.simulators.kit import faults
from multicdn.vocabulary import METRICS
from multicdn.worker.openmetrics import OpenMetrics, spelled

if TYPE_CHECKING:
    from collections.abc import Iterator


def samples(text: str) -> dict[tuple[str, str], float]:
    """Values by name and provider, vendor or nothing; what parsing raises fails the test."""
    return {
        (sample.name, next((value for name, value in sample.labels.items() if name != "le"), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(("_created", "_bucket"))
    }


def test_each_metric_of_the_function_has_its_name_here() -> None:
    metrics = OpenMetrics()
    measured = dict.fromkeys(METRICS, 1.0)
    by_label = {label: {name: measured[name] for name in METRICS if METRICS[name].of == label} for label in
                ("provider", "vendor", "")}  # fmt: skip
    metrics.take(Measured({"www": by_label["provider"]}, {"CloudFront": by_label["vendor"]}, by_label[""]), 0.0)
    found = {name for name, _ in samples(generate_latest(metrics.registry).decode())}
    for name in METRICS:
        assert {spelled(name), f"{spelled(name)}_total", f"{spelled(name)}_sum"} & found, name
    assert spelled("OldestUndeliveredSeconds") == "multicdn_oldest_undelivered_seconds"


def test_counts_add_up_and_of_ages_the_highest_of_late_is_told() -> None:
    """A batch without the old job says nothing of it, and one without any says nothing at all."""
    metrics = OpenMetrics(lambda: 0.0)
    for accepted, oldest, spread in ((3.0, 70.0, [0.2, 0.4]), (2.0, 0.0, [1.4])):
        values = {"Accepted": accepted, "OldestUndeliveredSeconds": oldest, "UploadToAcceptedSeconds": spread}
        metrics.take(Measured({"www": values}, {}, {}), 0.0)
    found = samples(generate_latest(metrics.registry).decode())
    assert found["multicdn_accepted_total", "www"] == 5
    assert found["multicdn_oldest_undelivered_seconds", "www"] == 70
    assert found["multicdn_upload_to_accepted_seconds_count", "www"] == 3
    assert found["multicdn_upload_to_accepted_seconds_sum", "www"] == pytest.approx(2.0)


def test_seconds_until_fresh_are_a_distribution_and_what_stayed_stale_adds_up() -> None:
    metrics = OpenMetrics(lambda: 0.0)
    for _ in range(2):
        metrics.take(Measured({"www": {"UploadToFreshSeconds": [3.0, 9.0], "Stale": 1.0}}, {}, {}), 0.0)
    found = samples(generate_latest(metrics.registry).decode())
    assert found["multicdn_upload_to_fresh_seconds_count", "www"] == 4
    assert found["multicdn_upload_to_fresh_seconds_sum", "www"] == 24
    assert found["multicdn_stale_total", "www"] == 2


def test_what_is_over_is_forgotten_though_no_batch_says_so() -> None:
    now = 0.0
    metrics = OpenMetrics(lambda: now)

    def oldest(name: str, label: str = "") -> float:
        return samples(generate_latest(metrics.registry).decode())[f"multicdn_oldest_{name}_seconds", label]

    metrics.take(Measured({"www": {"OldestUndeliveredSeconds": 900.0}}, {}, {"OldestIncompleteSeconds": 400.0}), 0.0)
    now = 600.0
    metrics.take(Measured({"www": {"OldestUndeliveredSeconds": 30.0}}, {}, {}), 0.0)
    assert (oldest("undelivered", "www"), oldest("incomplete")) == (900, 400)
    now = 1201.0
    assert (oldest("undelivered", "www"), oldest("incomplete")) == (30, 0)
    now = 1801.0
    assert oldest("undelivered", "www") == 0


@pytest.mark.slow
def test_what_became_of_uploads_is_read_over_http(stage: Stage) -> None:
    stage.img.faults.always(faults.status(400))
    metrics = OpenMetrics()
    port = metrics.serve("127.0.0.1", 0)
    dispatcher = stage.dispatcher()
    dispatcher.on_measured = metrics.take
    dispatcher.dispatch(sqs_event(m1=uploaded(time.time(), "a.css", "b.css")), 30)
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics", headers={"Accept": "application/openmetrics-text"}
    )
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Type"].partition(";")[0] == CONTENT_TYPE_LATEST.partition(";")[0]
        found = samples(answer.read().decode())
    assert found["multicdn_accepted_total", "www"] == 2
    assert found["multicdn_refused_total", "img"] == 2
    assert found["multicdn_calls_total", "www"] == 2
    assert found["multicdn_upload_to_accepted_seconds_count", "www"] == 2
    assert found["multicdn_oldest_undelivered_seconds", "www"] == 0


@contextlib.contextmanager
def taken() -> Iterator[int]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


@pytest.mark.slow
def test_a_port_that_is_taken_is_told_and_no_trace() -> None:
    with taken() as port, pytest.raises(Exception, match=re.escape(f"--metrics 127.0.0.1:{port}: ")):
        command._measure("127.0.0.1", port)


@pytest.mark.parametrize("text", ["", "http", "0", "65536", "1.5", "٩٤٦٤", "host:", "-1"])
def test_what_is_no_port_is_refused(text: str) -> None:
    result = CliRunner().invoke(main, ["worker", "--queue", "https://q", "--metrics", text])
    assert result.exit_code == 2
    assert "0.0.0.0:9464" in result.output


@pytest.mark.parametrize(
    ("text", "host", "port"), [("9464", "127.0.0.1", 9464), ("0.0.0.0:80", "0.0.0.0", 80), ("[::1]:80", "::1", 80)]
)
def test_where_to_listen(text: str, host: str, port: int) -> None:
    assert command.Listening().convert(text, None, None) == (host, port)
