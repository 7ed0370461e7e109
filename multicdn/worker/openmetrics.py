"""What a worker is measured by, for Prometheus and whatever else reads OpenMetrics.

The values are those that CloudWatch gets of the function: ``multicdn.metrics``. Counts add up from the worker's start.
https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from multicdn.vocabulary import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multicdn.metrics import Measured
    from multicdn.vocabulary import Metric

# Seconds from an upload on: some come at once, some after the queue's longest delay, few after hours.
_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 21_600)

# Metrics of several values in a batch; those that are what the last batch says; and ages, of which the highest of late
# counts: a batch knows only of what it has tried itself, and whoever reads comes by now and then.
_SPREADS = {"UploadToAcceptedSeconds", "UploadToFinishedSeconds", "UploadToFreshSeconds"}
_NOW = {"BreakerOpen"}
_AGES = {"OldestUndeliveredSeconds", "OldestIncompleteSeconds"}

#: Seconds: longer than SQS lets a job wait between two tries. The alarms of the function look back as far.
LATELY = 1200.0


class Peak:
    """The highest of the values of late; 0 where there are none.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._values: deque[tuple[float, float]] = deque()  # each later one is lower
        self._lock = threading.Lock()

    def take(self, value: float) -> None:
        """Take a value of now."""
        with self._lock:
            while self._values and self._values[-1][1] <= value:
                self._values.pop()
            self._values.append((self._clock(), value))

    def read(self) -> float:
        """The highest value."""
        with self._lock:
            while self._values and self._clock() - self._values[0][0] > LATELY:
                self._values.popleft()
            return self._values[0][1] if self._values else 0.0


class OpenMetrics:
    """The metrics of this process.

    Args:
        clock: seconds.

    Attributes:
        registry: to read them from.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._peaks: dict[tuple[str, ...], Peak] = {}
        self._metrics = {name: self._made(name, metric) for name, metric in METRICS.items()}

    def serve(self, host: str, port: int) -> int:
        """Answer at ``/metrics``, on a thread; 0 takes a free port. Returns the port.

        Raises:
            OSError: nothing can listen there.
        """
        server, _ = start_http_server(port, host, self.registry)
        return int(server.server_port)

    def take(self, measured: Measured, now: float) -> None:
        """Take the measures of one batch, which ended now. From any thread."""
        del now
        for values_by_name in (measured.providers, measured.vendors):
            for label, values in values_by_name.items():
                self._take(values, label)
        self._take(measured.function)

    def _take(self, values: Mapping[str, float | list[float]], *labels: str) -> None:
        for name, value in values.items():
            metric = self._metrics[name].labels(*labels) if labels else self._metrics[name]
            for each in value if isinstance(value, list) else [value]:
                if isinstance(metric, Counter):
                    metric.inc(each)
                elif isinstance(metric, Histogram):
                    metric.observe(each)
                elif name in _AGES:
                    peak = self._peaks.setdefault((name, *labels), Peak(self._clock))
                    peak.take(each)
                    metric.set_function(peak.read)
                else:
                    metric.set(each)

    def _made(self, name: str, metric: Metric) -> Counter | Gauge | Histogram:
        labels = [metric.of] if metric.of else []
        if name in _SPREADS:
            return Histogram(spelled(name), metric.says, labels, registry=self.registry, buckets=_BUCKETS)
        kind = Gauge if name in _NOW | _AGES else Counter
        return kind(spelled(name), metric.says, labels, registry=self.registry)


def spelled(name: str) -> str:
    """A name of CloudWatch's as OpenMetrics has it: ``multicdn_oldest_undelivered_seconds``; counters end in _total."""
    return "multicdn" + re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
