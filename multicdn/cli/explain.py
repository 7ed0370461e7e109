"""``multicdn explain``: what would this change purge, and why?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from multicdn.cli import arguments, lists, render
from multicdn.cli.terminal import say, say_text

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from multicdn.cli.arguments import Inputs, Loaded
    from multicdn.oncall.explain import Explained, Source
    from multicdn.oncall.preview import Preview
    from multicdn.planning.collapse import Decision
    from multicdn.planning.front import ObjectLookup
    from multicdn.routing.demand import Demand, RoutingFailure
    from multicdn.routing.object_tags import Metadata, Place
    from multicdn.routing.router import Router


@click.command()
@click.argument("what", nargs=-1, required=True)
@arguments.config_option
@click.option("--removed", is_flag=True, help="As if the objects had been removed rather than created.")
@click.option("--bucket", default="", help="The bucket that a folder is to be synced to, or that a list's keys are in.")
@click.option("--prefix", default="", help="The folder in the bucket that a folder's or list's files are in.")
@click.option("--online", is_flag=True, help="Ask vendors what `distribution: auto` stands for, and S3 for metadata.")
@click.option("--limit", default=10, show_default=True, help="How many objects and targets to list.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, and nothing else.")
def explain(
    what: tuple[str, ...],
    config_path: Path | None,
    bucket: str,
    prefix: str,
    limit: int,
    *,
    removed: bool,
    online: bool,
    as_json: bool,
) -> None:
    """Say what a change would purge: routes, URLs, providers, calls, price, time.

    WHAT is an S3 URI (s3://bucket/key), a public URL, a file with an event as the function gets it, a list of URIs and
    URLs, or as `aws s3 sync`, rclone, s5cmd and s3cmd print it, a folder that is to be synced (with --bucket), or - for
    an event or a list on standard input. A URL is shown with the objects that have it, and with what `multicdn purge`
    of that URL would do.

    Nothing is called and no secret is read, unless --online is given. Exit status 1 if part of an event or a list is
    unreadable, or if with --online something could not be found out.
    """
    from multicdn.model import ChangeKind

    loaded = arguments.load(config_path)
    kind = ChangeKind.REMOVED if removed else ChangeKind.CREATED
    reader = arguments.Reader(kind, lists.below(bucket, prefix), loaded.plugins.hooks.read_event)
    for word in what:
        reader.read(word)
    _tell_lacks(loaded, online=online)
    answer = _Answer(loaded, reader.inputs, online=online)
    if as_json:
        say_text(json.dumps(answer.as_json(), indent=2, ensure_ascii=False))
    else:
        answer.print(limit)
    if answer.unfound:
        say(f"Not found out, so what is shown of it is incomplete: {', '.join(answer.unfound)}.", err=True)
    raise SystemExit(1 if reader.inputs.unreadable or answer.unfound else 0)


def _tell_lacks(loaded: Loaded, *, online: bool) -> None:
    """Say which packages a purge would need here; vendors can't be asked without them.

    Raises:
        ExtraError: they are to be asked.
    """
    from multicdn import extras

    lacks = extras.lacking(loaded.config, loaded.plugins)
    if online:
        extras.refuse(lacks)
    if lacks:
        say(f"{extras.told(lacks)} (warning)", err=True)


class _Answer:
    """Everything that is to be said."""

    def __init__(self, loaded: Loaded, asked: Inputs, *, online: bool) -> None:
        from multicdn.oncall.explain import Explainer
        from multicdn.oncall.stages import stages

        explainer = Explainer(loaded.config, loaded.places, loaded.plugins.hooks.urls)
        self._name = loaded.config.name
        self._asked = asked
        self._explainer = explainer
        self._objects: list[Explained] = [explainer.explain(change) for change in asked.changes]
        self._urls: list[tuple[str, list[Source]]] = [(url, explainer.sources(url)) for url in asked.urls]
        self._notes: list[str] = list(asked.ignored)
        self._decisions: list[Decision] = []
        #: What was to be asked for, and could not be.
        self.unfound: list[str] = []
        self._previews = self._preview(loaded, online=online)
        self._stages = stages(loaded.config, asked.changes, loaded.plugins.hooks.urls)

    def as_json(self) -> dict[str, object]:
        unreadable = [(each.cause, each.reason) for each in self._asked.unreadable]
        return render.as_json(
            self._name,
            self._objects,
            self._urls,
            unreadable,
            self._notes,
            self._decisions,
            self._previews,
            self._stages,
        )

    def print(self, limit: int) -> None:
        """Print it for people."""
        for each in self._asked.unreadable:
            say(f"{each.cause or 'the event'} can't be read: {each.reason}", err=True)
        for note in self._notes:
            say(note, err=True)
        for line in render.explained(self._objects, limit):
            say(line)
        for url, sources in self._urls:
            serving = [match.at for match in self._explainer.serving(url)]
            for line in render.sources(url, sources, serving):
                say(line)
        for line in render.collapse(self._decisions):
            say(line)
        for line in (*render.previews(self._previews, limit, self._stages), *render.total(self._previews)):
            say(line)

    def _preview(self, loaded: Loaded, *, online: bool) -> list[Preview]:
        from multicdn.oncall.preview import previews, resolve_online
        from multicdn.planning.front import find_work
        from multicdn.routing.router import Router

        config = loaded.config
        router = Router(config.routes, config.providers, loaded.plugins.hooks.urls)
        lookup = arguments.s3_lookup() if online else self._offline()
        work = find_work(router, config.providers, self._asked.changes, lookup)
        self._decisions = work.decisions
        self._notes += _reasons(work.failures)
        if online and work.failures:
            self.unfound.append(f"something of {render.counted(len(work.failures), 'object')}")
        of_urls = (demand for url in self._asked.urls for demand in self._of_url(loaded, router, url))
        shown = previews(config, [*work.demands, *of_urls], self._asked.jobs, resolve_online if online else None)
        if online:
            self.unfound += dict.fromkeys(preview.name for preview in shown if preview.type and not preview.exact)
        return shown

    def _offline(self) -> ObjectLookup:
        """Asks nobody, and notes what S3 would have been asked."""
        from multicdn.planning.front import OFFLINE, ObjectLookup

        def metadata(places: Collection[Place]) -> Metadata:
            objects = render.counted(len(places), "object")
            self._notes.append(f"{objects} may have tags in the metadata, which S3 wasn't asked for (--online)")
            return OFFLINE.metadata(places)

        said = "unchanged objects weren't counted, so nothing that depends on them is collapsed (--online)"

        def unchanged(*_: object) -> None:
            if said not in self._notes:
                self._notes.append(said)

        return ObjectLookup(metadata, unchanged)

    def _of_url(self, loaded: Loaded, router: Router, url: str) -> list[Demand]:
        from multicdn.model import Target, TargetKind
        from multicdn.oncall import manual

        request = manual.ManualRequest(id="explain", targets=(Target(TargetKind.URL, url),))
        try:
            return list(manual.orders(loaded.config, router, request).demands)
        except manual.RequestError as error:
            self._notes.append(str(error))
            return []


def _reasons(failures: Iterable[RoutingFailure]) -> list[str]:
    """One line for each reason, with the first of the objects that it is about."""
    by_reason: dict[str, list[str]] = {}
    for failure in failures:
        by_reason.setdefault(failure.reason, []).append(failure.change.key)
    return [
        f"{keys[0]}{f' and {len(keys) - 1:,} more' if len(keys) > 1 else ''}: {reason}"
        for reason, keys in by_reason.items()
    ]
