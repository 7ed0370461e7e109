"""What running multicdn costs: AWS's prices, what the installer's template holds, and one month of an example."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from reference import link, table

from multicdn import config
from multicdn.installer.template.alarms import DOLLARS, verified
from multicdn.installer.template.dashboard import OF_VERIFIED
from multicdn.installer.template.stack import State, template
from multicdn.metrics import vendor_of
from multicdn.model import Change
from multicdn.oncall.preview import previews
from multicdn.planning.front import OFFLINE, find_work
from multicdn.plugins.discovery import Plugins
from multicdn.routing.route import Collapse
from multicdn.routing.router import Router
from multicdn.vocabulary import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.config import Config
    from multicdn.oncall.preview import Preview

_OVER = 50

PAGE = Path(__file__).with_name("cost.md")


class Price(NamedTuple):
    """What AWS charges for something in us-east-1, by its page of November 2026.

    Attributes:
        dollars: for so many units.
        per: units.
        unit: in words.
        free: units a month of an account that cost nothing, for as long as it has the account.
        page: where it is said.
    """

    dollars: float
    per: int
    unit: str
    free: int
    page: str

    def of(self, units: float, *, free: bool) -> float:
        """Dollars for some units in a month, with or without those that are free."""
        return max(0, units - (self.free if free else 0)) / self.per * self.dollars


_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"
PRICES = {
    "invocations": Price(0.20, 1_000_000, "requests", 1_000_000, _LAMBDA),
    "time of the function, arm64": Price(0.0000133334, 1, "GB-seconds", 400_000, _LAMBDA),
    "queues": Price(0.40, 1_000_000, "requests of up to 64 KB", 1_000_000, "https://aws.amazon.com/sqs/pricing/"),
    "log": Price(0.50, 1, "GB taken in", 5, _CLOUDWATCH),
    "metrics of its own": Price(0.30, 1, "metrics", 10, _CLOUDWATCH),
    "alarms": Price(DOLLARS, 1, "metrics that are watched", 10, _CLOUDWATCH),
    "dashboard": Price(3.00, 1, "dashboards", 3, _CLOUDWATCH),
}


class Month(NamedTuple):
    """A month of the example; what multicdn itself doesn't decide.

    Attributes:
        deploys: how many.
        objects: that change with each.
        seconds: over which a deploy uploads them.
        billed: seconds of an invocation.
        line: bytes of a line of the log.
        polls: requests by which Lambda looks into an empty queue: five at once, each for twenty seconds.
    """

    deploys: int = 60
    objects: int = 200
    seconds: int = 10
    billed: float = 1.5
    line: int = 1_000
    polls: int = 5 * 30 * 24 * 3600 // 20


class Charge(NamedTuple):
    """One line of the bill."""

    what: str
    how: str
    free: float
    full: float


def prices() -> str:
    """AWS's prices, as a table."""
    rows = (
        [what, f"${price.dollars:.7g} for {_count(price.per)}{price.unit}", f"{price.free:,}", link(price.page)]
        for what, price in PRICES.items()
    )
    return table(["what", "price", "free each month", "AWS's page"], rows)


def _count(per: int) -> str:
    return "" if per == 1 else f"{per:,} "


def resources() -> str:
    """What the installer makes for the example, and what that costs when nothing happens."""
    kinds = Counter(resource["Type"] for resource in _template(_example())["Resources"].values())
    rows = ([f"`{kind}`", str(number), _at_rest(kind, number)] for kind, number in sorted(kinds.items()))
    return table(["resource", "how many", "costs by itself, a month"], rows)


def _at_rest(kind: str, number: int) -> str:
    priced = {"AWS::CloudWatch::Alarm": "alarms", "AWS::CloudWatch::Dashboard": "dashboard"}
    if kind not in priced:
        return "nothing"
    price = PRICES[priced[kind]]
    return f"${price.of(number, free=False):.2f}; the account's first {price.free} are free"


def example() -> str:
    """The bill of the example's month."""
    month, loaded = Month(), _example()
    charges = list(bill(loaded, month))
    rows = [[charge.what, charge.how, f"${charge.free:,.2f}", f"${charge.full:,.2f}"] for charge in charges]
    totals = [sum(charge.free for charge in charges), sum(charge.full for charge in charges)]
    rows.append(["in all", "", *(f"**${total:,.2f}**" for total in totals)])
    said = (
        f"{month.deploys} deploys a month change {month.objects} objects each, over {month.seconds} seconds. "
        f"An invocation is billed {month.billed:g} seconds, and a line of the log has {month.line:,} bytes.\n\n"
    )
    made = table(["what", "how much", "with what is free", "with nothing left free"], rows)
    return f"{said}{made}\n{_collapsed(loaded, month)}"


def _collapsed(loaded: Config, month: Month) -> str:
    routes = tuple(msgspec.structs.replace(route, collapse=Collapse(over=_OVER)) for route in loaded.routes)
    charges = bill(msgspec.structs.replace(loaded, routes=routes), month)
    [site] = [charge for charge in charges if charge.what == "site"]
    return (
        f"With `collapse: {{over: {_OVER}}}` on the route, CloudFront is asked for {site.how} in that month, for "
        f"${site.free:,.2f}, or ${site.full:,.2f} with nothing left free.\n"
    )


def bill(loaded: Config, month: Month) -> Iterator[Charge]:
    """What AWS and the vendors charge for a month."""
    asked = _asked(loaded, month)
    invocations = month.deploys * month.seconds // loaded.install.batch_window
    events = month.deploys * month.objects
    calls = month.deploys * sum(preview.calls for preview in asked)
    gb_seconds = invocations * month.billed * loaded.install.memory / 1024
    # Each event is sent, received and deleted, the last two by tens.
    requests = events + 2 * -(-events // 10) + month.polls
    yield _charge("invocations", invocations, f"{invocations:,}, one a second while uploads arrive")
    yield _charge("time of the function, arm64", gb_seconds, f"{gb_seconds:,.0f} GB-seconds")
    yield _charge("queues", requests, f"{requests:,} requests, {month.polls:,} of them by Lambda at an empty queue")
    lines = calls + invocations
    yield _charge("log", lines * month.line / 1e9, f"{lines:,} lines")
    yield from _watching(loaded)
    for preview in asked:
        yield _vendor(preview, month.deploys)


def _asked(loaded: Config, month: Month) -> list[Preview]:
    """What one deploy asks the vendors for."""
    [bucket] = {route.bucket for route in loaded.routes}
    changes = [Change(bucket, f"docs/{number}/index.html") for number in range(month.objects)]
    work = find_work(Router(loaded.routes, loaded.providers), loaded.providers, changes, OFFLINE)
    return previews(loaded, work.demands)


def _watching(loaded: Config) -> Iterator[Charge]:
    body = _template(loaded)["Resources"].values()
    alarms = [resource["Properties"] for resource in body if resource["Type"] == "AWS::CloudWatch::Alarm"]
    watched = sum(map(_watched, alarms))
    own = own_metrics(loaded)
    dashboards = sum(resource["Type"] == "AWS::CloudWatch::Dashboard" for resource in body)
    yield _charge("metrics of its own", own, f"{own}, as if each were sent in every hour")
    yield _charge("alarms", watched, f"{len(alarms)}, on {watched} metrics")
    yield _charge("dashboard", dashboards, f"{dashboards}")


def _watched(alarm: dict[str, Any]) -> int:
    """Metrics that an alarm reads: one, or those of its arithmetic."""
    return sum("MetricStat" in part for part in alarm.get("Metrics", ())) or 1


def own_metrics(loaded: Config) -> int:
    """Metrics that a function of this config writes: for each provider, for each vendor with a price, or once."""
    paid = {vendor_of(provider) for provider in loaded.providers.values() if provider.price}
    times = {"provider": len(loaded.providers), "vendor": len(paid), "": 1}
    of_looks = {name for _, metrics in OF_VERIFIED for name, _ in metrics}
    return len(verified(loaded)) * len(of_looks) + sum(
        times[metric.of] for name, metric in METRICS.items() if name not in of_looks
    )


def _vendor(preview: Preview, times: int) -> Charge:
    targets = preview.targets * times
    if preview.price is None:
        return Charge(preview.name, f"{targets:,} targets in {preview.calls * times:,} calls", 0, 0)
    paid = max(0, targets - preview.price.free)
    return Charge(preview.name, f"{targets:,} targets", paid * preview.price.dollars, targets * preview.price.dollars)


def _charge(what: str, units: float, how: str) -> Charge:
    price = PRICES[what]
    return Charge(what, how, price.of(units, free=True), price.of(units, free=False))


def _example() -> Config:
    """The config that stands on the page."""
    [text] = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return config.parse(text, "cost.md", Plugins())


def _template(loaded: Config) -> dict[str, Any]:
    return template(loaded, State(), revision="")
