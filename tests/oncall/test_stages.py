"""What ``multicdn explain`` says of what comes after a vendor has accepted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from multicdn import config
from multicdn.cli import main
from multicdn.model import Change, ChangeKind
from multicdn.oncall.stages import LookPlan, Stage, stages
from multicdn.plugins.discovery import Plugins

if TYPE_CHECKING:
    from pathlib import Path

PROVIDERS = """\
version: 1
providers:
  fastly: {token: "${env:T}", service: SU1Z0isxPaozGVKXdv0eY, via: a.fastly.net, pulls_from: [site], again: 5s}
  site: {type: cloudfront, distribution: E1ABCDEFGHIJKL, via: d1.cloudfront.net}
  filler: {type: warm, via: a.fastly.net, of: fastly}
  zone: {type: akamai, edgerc: "${env:E}"WAIT}
routes:
"""
ROUTE = '  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [site, fastly], preload: [filler]MORE}\n'


def found(more: str = "", *, wait: str = "", extra: str = "", keys: tuple[str, ...] = ("a",)) -> dict[Any, Stage]:
    text = PROVIDERS.replace("WAIT", wait) + ROUTE.replace("MORE", more) + extra
    loaded = config.parse(text, "c.yml", Plugins())
    return stages(loaded, [Change("acme-site", key, ChangeKind.CREATED, cause="m") for key in keys])


def test_three_tiers_one_after_the_other() -> None:
    stated = found(", verify: {within: 90s, identity: etag}")
    assert list(stated) == [("site", "purge"), ("fastly", "purge"), ("filler", "preload")]
    look = LookPlan("d1.cloudfront.net", False, 1, ("https://www.acme.com/a",), "90s", "etag")
    assert stated["site", "purge"] == Stage(finished="asked", look=look, followed=True)
    assert stated["fastly", "purge"] == Stage(
        after=("site",), until="finished", at_most="15m", finished="published", again="5s", followed=True, turn=1,
        look=LookPlan("a.fastly.net", True, 1, ("https://www.acme.com/a",), "90s", "etag"),
    )  # fmt: skip
    preload = stated["filler", "preload"]
    assert (preload.after, preload.until, preload.turn, preload.finished) == (("fastly",), "fresh", 2, "")


def test_without_verify_all_waits_for_finished() -> None:
    stated = found()
    assert [stage.until for stage in stated.values()] == ["", "finished", "finished"]
    assert not any(stage.look for stage in stated.values())


def test_an_outer_one_may_wait_for_fresh() -> None:
    more = ', verify: true}\n  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [zone]'
    stated = found(more, wait=", pulls_from: [site], wait_for: fresh, wait_at_most: 5m")
    stage = stated["zone", "purge"]
    assert (stage.after, stage.until, stage.at_most, stage.turn) == (("site",), "fresh", "5m", 1)


def test_a_sample_is_counted_as_it_is_looked_at() -> None:
    stated = found(", verify: {sample: 2}", keys=tuple("abcde"))
    look = stated["site", "purge"].look
    assert look
    assert (look.objects, len(look.urls)) == (2, 2)


def test_where_nothing_follows_accepted_is_all_there_is() -> None:
    text = PROVIDERS.replace("WAIT", "") + '  - {bucket: acme-site, urls: ["https://a.example/{key}"], purge: [site]}\n'
    stated = stages(config.parse(text, "c.yml", Plugins()), [Change("acme-site", "a", ChangeKind.CREATED, cause="m")])
    assert stated == {("site", "purge"): Stage(finished="asked")}
    assert stated["site", "purge"].is_plain


def explain(tmp_path: Path, *options: str) -> str:
    file = tmp_path / "multicdn.config.yml"
    file.write_text(PROVIDERS.replace("WAIT", "") + ROUTE.replace("MORE", ", verify: true"))
    result = CliRunner().invoke(main, ["explain", "s3://acme-site/a.css", "--config", str(file), *options])
    assert result.exit_code == 0, result.output
    return result.output


def test_people_read_them_in_the_order_in_which_they_happen(tmp_path: Path) -> None:
    lines = explain(tmp_path).splitlines()
    names = [line.partition(" ")[0] for line in lines if line.startswith(("fastly", "site", "filler"))]
    assert names == ["site", "fastly", "filler"]
    told = [line.strip() for line in lines if line.startswith("    ")]
    assert [line for line in told if line.startswith(("waits", "purged", "finished", "fresh"))] == [
        "finished when the vendor says so, asked after about 5 s",
        "fresh when the new bytes of the object are seen through d1.cloudfront.net; else purged again, for 2m",
        "waits until site is finished, for 15m at most",
        "purged again 5s after it was accepted",
        "finished after about 0.15 s, which the vendor publishes: it can't be asked",
        "fresh when the new bytes of the object are seen at each POP, by the vendor's word, or through a.fastly.net; "
        "else purged again, for 2m",
        "waits until fastly is fresh",
    ]  # fmt: skip


def test_programs_read_them_beside_what_is_asked(tmp_path: Path) -> None:
    providers = {each["name"]: each["asks"][0] for each in json.loads(explain(tmp_path, "--json"))["providers"]}
    assert list(providers) == ["site", "fastly", "filler"]
    members = ("after", "until", "finished", "again")
    assert {name: [ask[member] for member in members] for name, ask in providers.items()} == {
        "site": [[], None, "asked", None],
        "fastly": [["site"], "finished", "published", "5s"],
        "filler": [["fastly"], "fresh", None, None],
    }
    assert providers["filler"]["fresh"] is None
    assert providers["site"]["fresh"] == {
        "through": "d1.cloudfront.net", "pops": False, "objects": 1, "urls": ["https://www.acme.com/a.css"],
        "within": "2m", "identity": "auto",
    }  # fmt: skip
