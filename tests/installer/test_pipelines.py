"""docs/pipelines.md: its examples name what the template has, and S3's events that the config asks for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from multicdn import config
from multicdn.installer.notifications.prefixes import covered
from multicdn.installer.template.stack import State, template
from multicdn.plugins.discovery import Plugins

PAGE = (Path(__file__).parents[2] / "docs" / "pipelines.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return str(found)


def plain(text: str) -> Any:
    """YAML in which CloudFormation's tags are spelled out."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!Ref", lambda _, node: {"Ref": node.value})
    Loader.add_constructor("!GetAtt", lambda _, node: {"Fn::GetAtt": node.value.split(".", 1)})
    return yaml.load(text, Loader)


CONFIG = config.parse(block("yaml"), "pipelines.md", Plugins())
MADE = template(CONFIG, State(), revision="r")
EVENTS = [event for part in covered(CONFIG.routes) for event in part.events]


def test_every_parameter_and_output_is_explained() -> None:
    explained = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)))
    direct = template(CONFIG, State(), revision="r", triggers=("direct",))  # type: ignore[arg-type]
    assert set(explained) == {*MADE["Parameters"], *MADE["Outputs"], *direct["Outputs"]}


def test_sam_names_what_the_template_has_and_its_bucket_sends_what_the_routes_want() -> None:
    resources = plain(block("yml"))["Resources"]
    assert resources["Multicdn"]["Properties"]["Parameters"] == {name: {"Ref": name} for name in MADE["Parameters"]}
    site = resources["Site"]["Properties"]
    assert site["BucketName"] == CONFIG.routes[0].bucket
    sent = site["NotificationConfiguration"]["QueueConfigurations"]
    assert [one["Event"] for one in sent] == EVENTS
    assert {one["Queue"]["Fn::GetAtt"][1].removeprefix("Outputs.") for one in sent} <= MADE["Outputs"].keys()


def test_terraform_names_what_the_template_has_and_its_bucket_sends_what_the_routes_want() -> None:
    text = block("hcl")
    [parameters] = re.findall(r"parameters = \{\n(.*?)\n  \}", text, re.DOTALL)
    assert re.findall(r"^ +(\w+) +=", parameters, re.MULTILINE) == [*MADE["Parameters"]]
    assert set(re.findall(r'outputs\["(\w+)"\]', text)) <= MADE["Outputs"].keys()
    assert re.findall(r'"(s3:[^"]+)"', text) == EVENTS
    assert re.findall(r'bucket += "(acme-site)"', text) == [CONFIG.routes[0].bucket]
    declared = set(re.findall(r'^resource "(\w+)" "(\w+)"', text, re.MULTILINE))
    assert set(re.findall(r"\b(aws_\w+)\.(\w+)\.", text)) <= declared
    assert [text.count(one) for one in "{[("] == [text.count(one) for one in "}])"]


def test_the_page_says_which_events_a_route_listens_to() -> None:
    prose = PAGE.partition("## Notifications")[2].partition("## CloudFormation")[0]
    assert re.findall(r"`(s3:[^`]+)`", prose) == EVENTS
