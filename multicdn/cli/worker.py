"""``multicdn worker``: the handler on a queue, for those who run containers instead of Lambda."""

from __future__ import annotations

import signal

import click


@click.command()
@click.option("--queue", required=True, metavar="URL", help="The SQS queue to read.")
@click.option("--batch-size", default=10, show_default=True, help="Messages a batch, 1 to 10,000.")
@click.option("--gather", default=0.0, show_default=True, help="Seconds to gather more messages once one is there.")
def worker(queue: str, batch_size: int, gather: float) -> None:
    """Run the handler on a queue until SIGTERM, which lets the batch at hand end.

    The config is found as in Lambda: MULTICDN_CONFIG, or multicdn.config.yml in the current directory. AWS credentials
    come from the usual places. Run as many workers as you like on one queue.
    """
    try:
        _serve(queue, batch_size, gather)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _serve(queue_url: str, batch_size: int, gather: float) -> None:
    from multicdn.aws import sqs
    from multicdn.handler import dispatcher, handler
    from multicdn.worker.worker import Worker

    dispatcher()  # a config that can't be used is seen before the first poll
    running = Worker(sqs.client(queue_url), queue_url, handler, batch_size=batch_size, gather=gather)
    running.stop_on(signal.SIGTERM, signal.SIGINT)
    running.run()
