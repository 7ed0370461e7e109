"""``multicdn worker``: the handler on a queue, for those who run containers instead of Lambda."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import click

from multicdn.cli import _aws, aws_region
from multicdn.cli._group import INTERRUPTED

if TYPE_CHECKING:
    from multicdn.config.settings import Install


class Listening(click.ParamType[tuple[str, int]]):
    """Where to listen: ``9464``, or ``0.0.0.0:9464``; an address of IPv6 stands in brackets."""

    name = "[HOST:]PORT"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[str, int]:
        """Read it.

        Raises:
            BadParameter: it is neither.
        """
        host, _, port = str(value).rpartition(":")
        if not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65_536:
            self.fail(f"{value!r} isn't a port, or host and port: 9464, or 0.0.0.0:9464", param, context)
        return host.strip("[]") or "127.0.0.1", int(port)


@click.command()
@click.option("--queue", required=True, metavar="URL", help="The SQS queue to read.")
@click.option("--batch-size", type=int, help="Messages a batch, 1 to 10,000; default: install.batch_size.")
@click.option(
    "--gather", type=float, help="Seconds to gather a batch once it has begun; default: install.batch_window."
)
@click.option("--batches", type=click.IntRange(1, 100), help="Batches at once; default: install.maximum_concurrency.")
@click.option(
    "--metrics",
    type=Listening(),
    metavar="[HOST:]PORT",
    help="Answer Prometheus and others at http://HOST:PORT/metrics; the host is 127.0.0.1 unless named.",
)
def worker(
    queue: str,
    batch_size: int | None,
    gather: float | None,
    batches: int | None,
    metrics: tuple[str, int] | None,
) -> None:
    """Run the handler on a queue until SIGTERM or Ctrl-C, which let the batches at hand end.

    The config is found as in Lambda: MULTICDN_CONFIG, or multicdn.config.yml in the current directory. AWS credentials
    come from the usual places; the region is install.region, or else that of AWS_REGION, of the profile, or of the
    queue. Run as many workers as you like on one queue.
    """
    try:
        _serve(queue, batch_size, gather, batches, metrics)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _serve(
    queue_url: str,
    batch_size: int | None,
    gather: float | None,
    batches: int | None,
    metrics: tuple[str, int] | None,
) -> None:
    from multicdn import config, extras, log
    from multicdn.aws import sqs
    from multicdn.handler import dispatcher, handler
    from multicdn.plugins.discovery import Plugins
    from multicdn.queue_url import region_in
    from multicdn.worker.crew import Crew
    from multicdn.worker.worker import Worker

    plugins = Plugins()
    extras.refuse(extras.lacking(config.load(plugins=plugins), plugins))
    log.configure(stamped=True)
    # Where nothing else is said, buckets and secrets are where the queue is.
    aws_region.use(_aws.region_or(region_in(queue_url)))
    settings = dispatcher().settings  # a config that can't be used is seen before the first poll
    size, window = _batching(settings, batch_size, gather)
    client = sqs.client(queue_url)
    if metrics:
        _measure(*metrics)
    count = batches or settings.maximum_concurrency
    crew = Crew([Worker(client, queue_url, handler, batch_size=size, gather=window) for _ in range(count)], queue_url)
    crew.stop_on(signal.SIGTERM, signal.SIGINT)
    crew.run()
    if crew.stopped_by is signal.SIGINT:
        raise click.exceptions.Exit(INTERRUPTED)


def _measure(host: str, port: int) -> None:
    """Answer whoever asks for metrics, as long as this process lives.

    Raises:
        UsageError: nothing can listen there.
    """
    from multicdn.handler import dispatcher
    from multicdn.worker.openmetrics import OpenMetrics

    measures = OpenMetrics()
    try:
        measures.serve(host, port)
    except OSError as error:
        raise click.UsageError(f"--metrics {host}:{port}: {error.strerror or error}") from None
    dispatcher().on_measured = measures.take


def _batching(settings: Install, batch_size: int | None, gather: float | None) -> tuple[int, float]:
    """How many messages a batch has, and how long it is gathered: as asked for, else as configured."""
    window = settings.batch_window if gather is None else gather
    if batch_size is None:
        batch_size = settings.batch_size if window else min(settings.batch_size, 10)
    return batch_size, window
