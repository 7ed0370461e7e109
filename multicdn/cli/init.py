"""``multicdn init``: a first config file, by questions or by flags."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from multicdn.cli.terminal import say
from multicdn.config.checker import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multicdn.plugins.discovery import Plugins

_SHOWN = 20


@click.command()
@click.option("--bucket", help="Bucket whose changes count.")
@click.option("--domain", help="Host name under which viewers see its objects, such as www.example.com.")
@click.option("--vendor", "vendors", multiple=True, help="Provider, as in `multicdn providers`; give it several times.")
@click.option("--set", "settings", multiple=True, metavar="VENDOR.OPTION=VALUE", help="Option of a vendor.")
@click.option("--prefix", default="", help="Only keys that begin so.")
@click.option("--region", default="", help="Region of the bucket.")
@click.option(
    "--output", default=FILE_NAME, show_default=True, type=click.Path(dir_okay=False, path_type=Path), help="The file."
)
@click.option("--force", is_flag=True, help="Write over a file that exists.")
def init(
    bucket: str | None,
    domain: str | None,
    vendors: tuple[str, ...],
    settings: tuple[str, ...],
    prefix: str,
    region: str,
    output: Path,
    *,
    force: bool,
) -> None:
    """Write a commented config file that passes the check.

    What isn't given by a flag is asked for; buckets and distributions are listed if AWS credentials are at hand.
    Without a terminal nothing is asked: then bucket, domain and at least one vendor must be given.
    """
    from multicdn import config as config_file
    from multicdn.authoring import starter
    from multicdn.plugins.discovery import Plugins

    if output.exists() and not force:
        raise click.ClickException(f"{output} exists; --force writes over it, --output writes elsewhere")
    plugins = Plugins()
    asking = sys.stdin.isatty()
    bucket = bucket or _ask(asking, "--bucket", "Bucket", _buckets)
    domain = domain or _ask(asking, "--domain", "Host name that viewers use", None)
    vendors = vendors or _vendors(plugins, asking=asking)
    options = _options(plugins, vendors, _parsed(settings), asking=asking)
    draft = starter.Draft(
        bucket=bucket, domain=_host(domain), vendors=vendors, options=options, prefix=prefix, region=region
    )
    text = starter.written(draft, plugins)
    checked = config_file.parse(text, output.name, plugins)
    output.write_text(text, encoding="utf-8")
    _tell(output, checked.warnings, starter.stored_by_hand(draft, plugins))


def _host(domain: str) -> str:
    """The host name, also where somebody gave the address of the site."""
    return re.sub(r"^https?://", "", domain).rstrip("/")


def _tell(output: Path, warnings: Sequence[str], secrets: Sequence[str]) -> None:
    say(f"Wrote {output}.")
    for warning in warnings:
        say(f"{warning} (warning)", err=True)
    for reference in secrets:
        say(f"Store a secret:  multicdn secret put {reference}")
    say("Then:            multicdn install plan")


def _ask(asking: bool, flag: str, question: str, listed: Callable[[], Sequence[str]] | None) -> str:  # noqa: FBT001
    if not asking:
        raise click.UsageError(f"{flag} is missing, and there is no terminal to ask at")
    for name in (listed() if listed else ())[:_SHOWN]:
        say(f"  {name}")
    return str(click.prompt(question)).strip()


def _vendors(plugins: Plugins, *, asking: bool) -> tuple[str, ...]:
    names = sorted(plugins.providers)
    answer = _ask(asking, "--vendor", "Vendors, with commas between them", lambda: names)
    return tuple(name.strip() for name in answer.split(",") if name.strip())


def _parsed(settings: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for setting in settings:
        where, equals, value = setting.partition("=")
        vendor, dot, option = where.partition(".")
        if not (equals and dot and option):
            raise click.UsageError(f"--set {setting}: write VENDOR.OPTION=VALUE")
        found.setdefault(vendor, {})[option] = value
    return found


def _options(
    plugins: Plugins, vendors: Sequence[str], given: Mapping[str, Mapping[str, str]], *, asking: bool
) -> dict[str, dict[str, str]]:
    from multicdn.authoring import starter

    if stray := set(given) - set(vendors):
        raise click.UsageError(f"--set {min(stray)}.…: there is no --vendor {min(stray)}")
    found = {vendor: dict(given.get(vendor, {})) for vendor in vendors}
    for vendor in vendors if asking else ():
        for name, example in starter.questions(plugins, vendor).items():
            if name not in found[vendor]:
                found[vendor][name] = _ask_option(vendor, name, example)
    return found


def _ask_option(vendor: str, name: str, example: str) -> str:
    if (vendor, name) == ("cloudfront", "distribution"):
        for line in _distributions()[:_SHOWN]:
            say(f"  {line}")
        return str(click.prompt("cloudfront: distribution (auto: all that have the bucket as origin)", default="auto"))
    hint = f", such as {example}" if example else ""
    return str(click.prompt(f"{vendor}: {name}{hint}"))


def _buckets() -> list[str]:
    return _listed("s3", lambda s3: [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]])


def _distributions() -> list[str]:
    def ask(client: Any) -> list[str]:
        pages = client.get_paginator("list_distributions").paginate()
        items = [item for page in pages for item in page["DistributionList"].get("Items", ())]
        return [f"{item['Id']} {' '.join(item['Aliases'].get('Items', ())) or item['DomainName']}" for item in items]

    return _listed("cloudfront", ask)


def _listed(service: str, ask: Callable[[Any], list[str]]) -> list[str]:
    """List what the account has; nothing without credentials or the right to look: it is only a help."""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        return []
    make: Any = boto3.session.Session().client
    quick = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
    try:
        return ask(make(service, region_name=boto3.session.Session().region_name or "us-east-1", config=quick))
    except (BotoCoreError, ClientError):
        return []
