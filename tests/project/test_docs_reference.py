"""What generators write into the documentation: tables of the config, vendors' pages, the bill of an example."""

from __future__ import annotations

import re

import command_reference
import costs
import generate
import pytest
import reference

from multicdn.authoring import catalog
from multicdn.config.settings import Install
from multicdn.installer.template.dashboard import OF_VERIFIED
from multicdn.provider import capabilities
from multicdn.vocabulary import METRICS


def test_vendors_pages_say_what_their_plugins_do() -> None:
    plugins = generate.own_plugins()
    made = reference.vendors(plugins)
    for name, text in made.items():
        cls = plugins.provider_class(name)
        assert text.count("\n| purge ") + text.count("\n| preload ") == len(capabilities(cls))
        assert cls.retired in text
        assert all(what.limits_of(catalog.sample(cls, name, plugins)).page in text for what in capabilities(cls))
    assert (
        "| purge by url | hard only | 3,000 of up to 4,000 bytes | 150 targets a second; 30 calls a minute"
        in made["cloudfront"]
    )
    assert "5 s in 95 % of cases" in made["cloudfront"]
    assert '"cloudfront:CreateInvalidation"' in made["cloudfront"]
    assert "| `token` | [a reference](../config.md#secrets) |" in made["fastly"]
    assert "| `network` | `production`, `staging` | network to purge | `production` |" in made["akamai"]


def test_members_say_what_they_take() -> None:
    made = reference.members(Install)
    assert "| `timeout` | 5 to 900 | seconds that one invocation may take | `60` |" in made
    assert "| `trigger` | `queue`, `direct`, `eventbridge` |" in made
    assert "| `vpc.subnets` | list of texts | their ids | required |" in made
    assert "| `forwarded[].bucket` |" in made
    assert set(re.findall(r"^\| `([a-z_]+)`", made, re.MULTILINE)) == set(Install.__struct_fields__)


def test_the_bill_of_the_example_is_what_arithmetic_says() -> None:
    month = costs.Month(deploys=10, objects=100, seconds=10, billed=2.0, line=1_000, polls=1_000_000)
    bill = {charge.what: charge for charge in costs.bill(costs._example(), month)}
    # Two URLs of each object at CloudFront, which gives 1,000 paths a month for nothing: (2,000 - 1,000) x $0.005.
    assert (bill["site"].free, bill["site"].full) == (pytest.approx(5.0), pytest.approx(10.0))
    assert bill["fastly"].how == "2,000 targets in 2,000 calls"
    # Half a GB for 2 s, a hundred times.
    assert bill["time of the function, arm64"].full == pytest.approx(100 * 0.0000133334)
    # Sent, and received and deleted by tens, and a million polls, of which a million is free, at $0.40 a million.
    assert bill["queues"].free == pytest.approx((1_000 + 200) * 0.40 / 1_000_000)
    assert bill["invocations"].free == 0
    assert bill["dashboard"].full == 3.0
    of_looks = {name for _, metrics in OF_VERIFIED for name, _ in metrics}
    of = [metric.of for name, metric in METRICS.items() if name not in of_looks]
    numbers = 2 * of.count("provider") + of.count("vendor") + of.count("")
    assert bill["metrics of its own"].full == pytest.approx(numbers * 0.30)
    assert bill["metrics of its own"].free == pytest.approx(max(0, numbers - 10) * 0.30)


def test_a_part_without_marks_is_no_part() -> None:
    assert (
        reference.replaced("a\n<!-- x -->\nold\n<!-- /x -->\nb", "x", "new\n") == "a\n<!-- x -->\nnew\n<!-- /x -->\nb"
    )
    with pytest.raises(ValueError, match="'y' stand 0 times"):
        reference.replaced("a\n<!-- x -->\n<!-- /x -->\n", "y", "new\n")


def test_every_command_is_on_its_page_with_its_options() -> None:
    made = command_reference.page()
    assert re.findall(r"^## (.*)", made, re.MULTILINE) == sorted(set(re.findall(r"^## (.*)", made, re.MULTILINE)))
    for line in (
        "## multicdn purge\n",
        "## multicdn install apply\n",
        "| `--provider NAME` |",
        "multicdn explain [OPTIONS]",
    ):
        assert line in made
    assert "--help" not in made
