"""``multicdn worker``: the handler on a queue, for those who run containers instead of Lambda."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from multicdn.cli import _aws, aws_region
from multicdn.cli._group import INTERRUPTED

if TYPE_CHECKING:
    from multicdn.config.settings import Install


@click.command()
@click.option("--queue", required=True, metavar="URL", help="The SQS queue to read.")
@click.option("--batch-size", type=int, help="Messages a batch, 1 to 10,000; default: install.batch_size.")
@click.option(
    "--gather", type=float, help="Seconds to gather a batch once it has begun; default: install.batch_window."
)
@click.option("--batches", type=click.IntRange(1, 100), help="Batches at once; default: install.maximum_concurrency.")
def worker(queue: str, batch_size: int | None, gather: float | None, batches: int | None) -> None:
    """Run the handler on a queue until SIGTERM or Ctrl-C, which let the batches at hand end.

    The config is found as in Lambda: MULTICDN_CONFIG, or multicdn.config.yml in the current directory. AWS credentials
    come from the usual places; the region is install.region, or else that of AWS_REGION, of the profile, or of the
    queue. Run as many workers as you like on one queue.
    """
    try:
        _serve(queue, batch_size, gather, batches)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _serve(queue_url: str, batch_size: int | None, gather: float | None, batches: int | None) -> None:
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
    count = batches or settings.maximum_concurrency
    crew = Crew([Worker(client, queue_url, handler, batch_size=size, gather=window) for _ in range(count)], queue_url)
    crew.stop_on(signal.SIGTERM, signal.SIGINT)
    crew.run()
    if crew.stopped_by is signal.SIGINT:
        raise click.exceptions.Exit(INTERRUPTED)


def _batching(settings: Install, batch_size: int | None, gather: float | None) -> tuple[int, float]:
    """How many messages a batch has, and how long it is gathered: as asked for, else as configured."""
    window = settings.batch_window if gather is None else gather
    if batch_size is None:
        batch_size = settings.batch_size if window else min(settings.batch_size, 10)
    return batch_size, window
