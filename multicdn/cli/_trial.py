"""``multicdn install test``: tell an installation of an upload, and follow it to the vendors."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from multicdn.cli import lists, render
from multicdn.cli.terminal import say, say_text
from multicdn.installer.errors import InstallError, translated
from multicdn.logbook import words
from multicdn.logbook.group import LogGroup
from multicdn.logbook.trial import Trial, event
from multicdn.model import Change

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.config import Config
    from multicdn.installer.sessions import ConfigFile, Session
    from multicdn.installer.state import Deployed
    from multicdn.oncall.preview import Preview
    from multicdn.oncall.stages import Stage, Stages
    from multicdn.routing.router import Router

# Of the objects below a route's prefix so many are looked at.
_LOOKED_AT = 200

# Seconds that our clock may go before AWS's: requests that differ by more than a quarter of an hour are refused.
_SKEW = 900.0

_DOCTOR = "`multicdn doctor --online` looks for the reason, `multicdn logs --since 10m` shows what else there is"


def run(session: Session, what: str | None, timeout: float, *, yes: bool, as_json: bool) -> int:
    """Try an installation; the exit status.

    Args:
        session: with a config.
        what: S3 URI of an object; None for the one that costs least of those that S3 lists first.
        timeout: seconds to wait for the vendors.
        yes: don't ask.
        as_json: print the answer as JSON.

    Raises:
        UsageError: no route is about the object.
        ClickException: it can't be tried.
    """
    from multicdn.installer import sessions

    file = sessions.config_file(session)
    deployed = _deployed(session, file)
    tried = _UploadPlanner(file.config)
    bucket, key = lists.split_s3(what) if what else tried.chosen(session)
    shown = tried.previews(bucket, key)
    if not shown:
        raise click.UsageError(f"no route acts on s3://{bucket}/{key}: `multicdn explain` says why")
    if not as_json:
        _tell(bucket, key, shown)
    if not yes and not click.confirm("Do this?"):
        raise click.Abort
    # Without a queue nothing waits, and nothing is looked at.
    stages = tried.stages(bucket, key) if "QueueUrl" in deployed.outputs else {}
    looked_at = {name: len(stage.look.urls) for name, stage in stages.items() if stage.look}
    followed = [name for name, stage in stages.items() if stage.followed]
    trial = Trial(_send(session, deployed, bucket, key), _expected(shown), time.time(), looked_at, followed)
    found = _follow(session, deployed, trial, timeout, quiet=as_json)
    for entry in found:
        say(words.line(entry), colour=words.colour(entry), err=as_json)
    if as_json:
        say_text(json.dumps(_plain(bucket, key, trial), indent=2))
    return _end(session, deployed, trial, timeout, stages)


def _deployed(session: Session, file: ConfigFile) -> Deployed:
    """The installation.

    Raises:
        ClickException: there is none, or another one than the config's, so that nobody knows what the try would cost.
    """
    from multicdn.installer import state

    settings = session.settings
    found = state.read_stack(session.account, settings.stack)
    if found is None or not found.exists:
        raise click.ClickException(f"nothing is installed as {settings.stack!r}: `multicdn install apply`")
    if found.state.config_sha256 != file.sha256:
        raise click.ClickException(
            "another config is deployed than the one here: `multicdn install plan` compares them"
        )
    if settings.log_level not in ("DEBUG", "INFO"):
        raise click.ClickException(f"install.log_level is {settings.log_level}: the log doesn't say what was accepted")
    return found


class _UploadPlanner:
    """Works out what an upload would ask the vendors for."""

    def __init__(self, config: Config) -> None:
        from multicdn.plugins.discovery import Plugins
        from multicdn.routing.router import Router

        self._config = config
        self._url_hook = Plugins().hooks.urls
        self._router: Router = Router(config.routes, config.providers, self._url_hook)

    def previews(self, bucket: str, key: str) -> list[Preview]:
        """What each provider would be asked; empty if no route acts."""
        from multicdn.oncall.preview import previews
        from multicdn.planning.front import OFFLINE, find_work

        work = find_work(self._router, self._config.providers, [Change(bucket, key)], OFFLINE)
        return [shown for shown in previews(self._config, work.demands) if shown.asks]

    def stages(self, bucket: str, key: str) -> Stages:
        """Who waits for whom, and what is followed until the edge is fresh."""
        from multicdn.oncall.stages import stages

        return stages(self._config, [Change(bucket, key)], self._url_hook)

    def chosen(self, session: Session) -> tuple[str, str]:
        """Bucket and key of the object with the fewest targets, among those that S3 lists first below each route.

        Raises:
            ClickException: there is none.
        """
        for route in self._config.routes:
            costs = ((self._cost(route.bucket, key), key) for key in _listed(session, route.bucket, route.prefix))
            cost, key = min((pair for pair in costs if pair[0]), default=(0, ""))
            if cost:
                return route.bucket, key
        raise click.ClickException(
            "S3 lists no object on which a route acts, or not to you: name one: multicdn install test s3://bucket/key"
        )

    def _cost(self, bucket: str, key: str) -> int:
        return sum(shown.targets for shown in self.previews(bucket, key))


def _listed(session: Session, bucket: str, prefix: str) -> list[str]:
    try:
        with translated(f"listing {bucket}", "s3"):
            s3 = session.account.client("s3")
            page = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=_LOOKED_AT)
    except InstallError:
        return []  # somebody else's, or not to be listed by us
    return [item["Key"] for item in page.get("Contents", ()) if not item["Key"].endswith("/")]


def _tell(bucket: str, key: str, shown: list[Preview]) -> None:
    say(f"The installed function is told that s3://{bucket}/{key} was uploaded. The object isn't touched.")
    say("")
    for line in (*render.previews(shown, 3), *render.total(shown)):
        say(line)


def _expected(shown: Iterable[Preview]) -> Iterator[tuple[str, str]]:
    for preview in shown:
        for ask in preview.asks:
            yield preview.name.partition("/")[0], str(ask.action)


def _send(session: Session, deployed: Deployed, bucket: str, key: str) -> str:
    """Tell the function, by its queue or, with trigger: direct, itself; the id of the message or of the invocation."""
    account, body = session.account, event(bucket, key, session.account.arn, time.time())
    if "QueueUrl" in deployed.outputs:
        with translated("sending to the queue", "sqs"):
            sent = account.client("sqs").send_message(QueueUrl=deployed.outputs["QueueUrl"], MessageBody=body)
        return str(sent["MessageId"])
    with translated("calling the function", "lambda"):
        called = account.client("lambda").invoke(
            FunctionName=deployed.outputs["InvokedArn"], InvocationType="Event", Payload=body
        )
    return str(called["ResponseMetadata"]["RequestId"])


def _follow(session: Session, deployed: Deployed, trial: Trial, timeout: float, *, quiet: bool) -> Iterator[Any]:
    """The lines about the trial, until all is known or the time is over; and what the function fails with meanwhile."""
    began = time.time()
    log = LogGroup(session.account.client("logs"), deployed.outputs["LogGroupName"])
    if not quiet:
        say(f"Sent. Following {log.name} for up to {timeout:.0f} s ...", err=True)
    with translated("reading the log", "logs"):
        for entry in log.follow(began - _SKEW, patience=timeout):
            foreign = not entry.event and words.is_shown(entry) and words.colour(entry) == "red"
            if trial.see(entry) or (foreign and (entry.at or 0.0) >= began):
                yield entry
            if trial.is_over:
                return


def _end(session: Session, deployed: Deployed, trial: Trial, timeout: float, stages: Stages) -> int:
    """Say how it ended; the exit status."""
    if trial.is_good:
        say(f"It works: {', '.join(_well(name, trial) for name in trial.expected)}.", err=True)
        for name in trial.expected:
            if trial.ended(name) == "unknown":
                say(f"Whether {name[0]} is fresh is unknown: {_reason(name, trial)}", err=True)
        return 0
    for name in trial.expected:
        say(_missing(name, trial, stages.get(name)), err=True)
    if trial.misread:
        say("The function could not make anything of the upload.", err=True)
    elif not any(map(trial.ended, trial.expected)):
        say(f"The log doesn't speak of it after {timeout:.0f} s{_in_queue(session, deployed)}.", err=True)
    if trial.perhaps:
        say(f"{render.counted(trial.perhaps, 'record')} of large batches may be about it.", err=True)
    say(f"{_DOCTOR}.", err=True)
    return 1


def _missing(name: tuple[str, str], trial: Trial, stage: Stage | None) -> str:
    provider, action = name
    last = trial.last(name)
    if last is None:
        waits = f", which waits for {' and '.join(stage.after)}" if stage and stage.after else ""
        return f"{provider}: nothing is known of the {action}{waits}"
    if lacks := trial.lacks(name):
        seen = "seen to be " if lacks == "fresh" else ""
        return f"{provider}: {action} {last.state}, and not {seen}{lacks} by now; a longer --timeout waits for that"
    return f"{provider}: {words.said(last).partition(': ')[2]}: {last.state}"


def _well(name: tuple[str, str], trial: Trial) -> str:
    provider, action = name
    seconds = {state: after for state, after in trial.seconds(name).items() if state in ("finished", "fresh")}
    later = "".join(f", {state} after {words.seconds(after)}" for state, after in seconds.items())
    return f"{provider} took the {action}{later}"


def _reason(name: tuple[str, str], trial: Trial) -> str:
    last = trial.last(name)
    return str(last.record.get("reason", "")) if last else ""


def _in_queue(session: Session, deployed: Deployed) -> str:
    from multicdn.installer.apply import count_messages

    if "QueueUrl" not in deployed.outputs:
        return ""
    number = count_messages(session.account, deployed.outputs["QueueUrl"])
    return f"; in the queue: {render.counted(number or 0, 'message')}"


def _plain(bucket: str, key: str, trial: Trial) -> dict[str, Any]:
    return {
        "object": f"s3://{bucket}/{key}",
        "ok": trial.is_good,
        "providers": [
            {
                "name": name,
                "action": action,
                "state": trial.ended((name, action)) or None,
                "seconds": trial.seconds((name, action)),
                "record": _record(trial, name, action),
            }
            for name, action in trial.expected
        ],
    }


def _record(trial: Trial, name: str, action: str) -> Any:
    last = trial.last((name, action))
    return None if last is None else last.record
