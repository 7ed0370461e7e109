"""Files of GlobalDots' tool: what they convert to, what is said of it, and that no secret gets out.

``asked`` is the old tool in ten lines: what it would have sent to whom. Ours must ask for the same.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from multicdn import config
from multicdn.authoring.from_globaldots import PLACEHOLDER_ENDPOINT, Conversion, Stored, convert
from multicdn.authoring.globaldots_file import PLACEHOLDER
from multicdn.cli import main
from multicdn.config import yaml_source
from multicdn.errors import ConfigError
from multicdn.model import Action, Change, ChangeKind
from multicdn.plugins.discovery import Plugins
from multicdn.routing.router import Router

ROOT = Path(__file__).parents[2]

# Every feature that such files have.
LEGACY = """\
cdnDomains:
  chinacache:
    media:
      - host: www.acme.com.cn
      - action: load
  edgecast:
    site:
      - action: load
      - host: www.acme.com
    shop:
      - { host: shop.acme.it, platform: large }
      - { host: shop.acme.fr, platform: large }
      - { host: shop.acme.de, action: load }
  akamai:
    site:
      - { host: www.acme.com, platform: staging }
      - host: www.acme.com
    shop:
      - host: shop.acme.it
      - action: load
  highwinds:
    site:
      - host: www.acme.com
  cloudflare:
    site:
      - { host: www.acme.com, platform: 023e105f4ecef8ad9ca31a8372d0c353 }
      - { host: www.acme.org, platform: 9a7806061c88ada191ed06f989cc3dac }
  fastly:
    site:
      - host: www.acme.com
    media:
      - host: media.acme.com
cdnConfigurations:
  edgecast:
    token: "11111111-2222-3333-4444-555555555555"
    hex: 12E4
    platform: small
  akamai:
    platform: production
    use_arl: True
    edgerc: ".edgerc"
    edgerc_section: purge
  cloudflare:
    email: ops@acme.com
    apikey: "c2547eb745079dac9320"
  fastly:
    token: "fastly-s3cr3t"
  chinacache:
    token: "china-s3cr3t"
"""

CONVERTED = """\
# Made by `multicdn config convert` from old.yml, a file of GlobalDots' s3-trigger-purge-cdn.
#
# To be stored in the Parameter Store, as SecureString, before the first purge:
# - /multicdn/edgecast/token: old.yml:35, cdnConfigurations.edgecast.token
# - /multicdn/akamai/edgerc: the content of the file .edgerc (old.yml:41, cdnConfigurations.akamai.edgerc)
# - /multicdn/highwinds/password: `password` in vendors/highwinds/config.py
# - /multicdn/cloudflare/key: old.yml:45, cdnConfigurations.cloudflare.apikey
# - /multicdn/fastly/token: old.yml:47, cdnConfigurations.fastly.token
#
# Not carried, or to be looked at:
# - old.yml:3: cdnDomains.chinacache.media: not carried: www.acme.com.cn: there is no provider for ChinaCache (action:
#   load)
# - old.yml:13: cdnDomains.edgecast.shop[2].action: not carried: `load` had no effect, since that was heeded only on
#   Edgecast and ChinaCache, in an entry without a host
# - old.yml:20: cdnDomains.akamai.shop[1].action: not carried: `load` had no effect, since that was heeded only on
#   Edgecast and ChinaCache, in an entry without a host
# - old.yml:33: cdnConfigurations: no 'highwinds': its settings stood in vendors/highwinds/config.py
# - old.yml:33: cdnConfigurations.highwinds: write the `endpoint` of highwinds into the result: base URL of whoever
#   answers in the vendor's place, whose own API is gone
# - old.yml:33: cdnConfigurations.highwinds: write the `account` of highwinds into the result: the account hash, which
#   the old tool asked the API for
# - old.yml:33: cdnConfigurations.highwinds: write the `user` of highwinds into the result: `user` in
#   vendors/highwinds/config.py
# - old.yml:34: cdnConfigurations.edgecast: write the `endpoint` of edgecast into the result: base URL of whoever
#   answers in the vendor's place, whose own API is gone
# - old.yml:40: cdnConfigurations.akamai.use_arl: not carried: objects are purged by URL; what needs its ARL can be
#   purged by `tags`
# - old.yml:43: cdnConfigurations.cloudflare: its `apikey` may do anything in the account; an API token for Cache
#   Purge (`token`) may not
# - old.yml:46: cdnConfigurations.fastly: write the `service` of fastly into the result: id of the service (a purge by
#   URL works without it)
# - old.yml:48: cdnConfigurations.chinacache: left out: no host that was converted uses it
# - URLs keep http://, which unless configured otherwise reaches what is cached under https, too, by Akamai, Edgecast,
#   Fastly, Highwinds
# - Cloudflare caches http and https apart, so that its routes name both
# - Edgecast loads the scheme that it is given: write https:// in those routes if visitors use that
# - keys are decoded and percent-encoded once, where the old tool took them as S3's event spells them
# - removed objects are purged too, and the old tool was told of created ones only: `on: [created]` keeps to that

version: 1

providers:
  edgecast-small:
    type: edgecast
    # CHANGE THIS: base URL of whoever answers in the vendor's place, whose own API is gone
    endpoint: https://change-me.invalid
    account: 12E4
    token: ${ssm:/multicdn/edgecast/token}
    platform: small
  edgecast-large:
    type: edgecast
    # CHANGE THIS: base URL of whoever answers in the vendor's place, whose own API is gone
    endpoint: https://change-me.invalid
    account: 12E4
    token: ${ssm:/multicdn/edgecast/token}
    platform: large
  akamai-staging:
    type: akamai
    edgerc: ${ssm:/multicdn/akamai/edgerc}
    section: purge
    network: staging
  akamai-production:
    type: akamai
    edgerc: ${ssm:/multicdn/akamai/edgerc}
    section: purge
    network: production
  highwinds:
    # CHANGE THIS: base URL of whoever answers in the vendor's place, whose own API is gone
    endpoint: https://change-me.invalid
    # CHANGE THIS: the account hash, which the old tool asked the API for
    account: CHANGE-ME
    # CHANGE THIS: `user` in vendors/highwinds/config.py
    user: CHANGE-ME
    password: ${ssm:/multicdn/highwinds/password}
  cloudflare-www.acme.com:
    type: cloudflare
    zone: 023e105f4ecef8ad9ca31a8372d0c353
    email: ops@acme.com
    key: ${ssm:/multicdn/cloudflare/key}
  cloudflare-www.acme.org:
    type: cloudflare
    zone: 9a7806061c88ada191ed06f989cc3dac
    email: ops@acme.com
    key: ${ssm:/multicdn/cloudflare/key}
  fastly:
    token: ${ssm:/multicdn/fastly/token}
    # CHANGE THIS: id of the service (a purge by URL works without it)
    service: CHANGE-ME

routes:
  - bucket: site
    urls:
      - http://www.acme.com/{key}
    purge: [akamai-staging, akamai-production, highwinds, fastly]
    preload: [edgecast-small]
  - bucket: site
    urls:
      - https://www.acme.com/{key}
      - http://www.acme.com/{key}
    purge: [cloudflare-www.acme.com]
  - bucket: site
    urls:
      - https://www.acme.org/{key}
      - http://www.acme.org/{key}
    purge: [cloudflare-www.acme.org]
  - bucket: shop
    urls:
      - http://shop.acme.it/{key}
      - http://shop.acme.fr/{key}
    purge: [edgecast-large]
  - bucket: shop
    urls:
      - http://shop.acme.de/{key}
    purge: [edgecast-small]
  - bucket: shop
    urls:
      - http://shop.acme.it/{key}
    purge: [akamai-production]
  - bucket: media
    urls:
      - http://media.acme.com/{key}
    purge: [fastly]
"""

SECRETS = ("11111111-2222-3333-4444-555555555555", "c2547eb745079dac9320", "fastly-s3cr3t", "china-s3cr3t")

# What is said of every file.
ALWAYS = [
    "keys are decoded and percent-encoded once, where the old tool took them as S3's event spells them",
    "removed objects are purged too, and the old tool was told of created ones only: `on: [created]` keeps to that",
]

# Our option for what the old file calls a platform, and what the old tool took for granted.
PLATFORMS = {
    "edgecast": ("platform", "small"),
    "akamai": ("network", "production"),
    "cloudflare": ("zone", PLACEHOLDER),
}

Asked = set[tuple[str, str, str, str]]


def asked(old: dict[str, Any], bucket: str) -> Asked:
    """Vendor, platform, action and host that the old tool dealt with for an object."""
    found = set()
    for vendor, buckets in old["cdnDomains"].items():
        entries = (
            buckets.get(bucket, []) if vendor in ("akamai", "cloudflare", "edgecast", "fastly", "highwinds") else []
        )
        known = (old["cdnConfigurations"].get(vendor) or {}).get("platform") or PLATFORMS.get(vendor, ("", ""))[1]
        words = [entry["action"] for entry in entries if "action" in entry and "host" not in entry]
        action = words[-1] if words and vendor == "edgecast" else "purge"
        for entry in entries:
            if "host" in entry:
                platform = entry.get("platform", known) if vendor in PLATFORMS else ""
                found.add((vendor, platform, action, entry["host"]))
    return found


def checked(text: str) -> config.Config:
    return config.parse(text, "new.yml", Plugins())


def asks(new: config.Config, bucket: str, kind: ChangeKind = ChangeKind.CREATED) -> Asked:
    """The same of a config of ours, for the key ``img/cat.jpg``."""
    found = set()
    demands, failures = Router(new.routes, new.providers).demands([Change(bucket, "img/cat.jpg", kind)])
    assert not failures
    for demand in demands:
        vendor = new.types[demand.provider]
        platform = getattr(new.providers[demand.provider], PLATFORMS[vendor][0]) if vendor in PLATFORMS else ""
        for target in demand.wants:
            url = re.fullmatch(r"https?://(.*)/img/cat\.jpg", target.value)
            assert url
            found.add((vendor, platform, "load" if demand.action is Action.PRELOAD else "purge", url[1]))
    return found


def urls(new: config.Config, vendor: str, key: str) -> set[str]:
    demands, _ = Router(new.routes, new.providers).demands([Change("b", key)])
    return {want.value for demand in demands if new.types[demand.provider] == vendor for want in demand.wants}


def notes(converted: Conversion) -> list[str]:
    """Those that lines are to blame for, without the file's name."""
    return [note.removeprefix("old.yml:") for note in converted.notes if note.startswith("old.yml:")]


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        convert(text, "old.yml")
    assert caught.value.__cause__ is None
    return [problem.removeprefix("old.yml:") for problem in caught.value.problems]


def behind(vendor: str, entries: str, account: str) -> str:
    """A file with one bucket behind one vendor; the list begins on line 4, the account on the line after it."""
    return f"cdnDomains:\n  {vendor}:\n    b:\n{entries}cdnConfigurations:\n  {vendor}: {account}\n"


WWW = "      - host: www.acme.com\n"


def test_a_file_with_everything_becomes_exactly_this() -> None:
    assert convert(LEGACY, "old.yml").text == CONVERTED


def test_what_to_store_where_is_listed_exactly() -> None:
    assert convert(LEGACY, "old.yml").secrets == (
        Stored("/multicdn/edgecast/token", "old.yml:35, cdnConfigurations.edgecast.token"),
        Stored(
            "/multicdn/akamai/edgerc", "the content of the file .edgerc (old.yml:41, cdnConfigurations.akamai.edgerc)"
        ),
        Stored("/multicdn/highwinds/password", "`password` in vendors/highwinds/config.py"),
        Stored("/multicdn/cloudflare/key", "old.yml:45, cdnConfigurations.cloudflare.apikey"),
        Stored("/multicdn/fastly/token", "old.yml:47, cdnConfigurations.fastly.token"),
    )


def test_the_notes_stand_in_the_file_too() -> None:
    comments = " ".join(re.findall(r"^# (.*)$", CONVERTED, re.MULTILINE))
    words = re.sub(r"\s+", " ", comments)
    assert [note for note in convert(LEGACY, "old.yml").notes if note not in words] == []


def test_the_result_passes_the_check_and_only_the_retired_vendors_are_remarked_on() -> None:
    loaded = checked(CONVERTED)
    assert [warning.partition(": ")[2].partition(":")[0] for warning in loaded.warnings] == [
        "providers.edgecast-small",
        "providers.edgecast-large",
        "providers.highwinds",
    ]
    assert all("retired" in warning for warning in loaded.warnings)


@pytest.mark.parametrize("bucket", ["site", "shop", "media", "another"])
def test_the_result_asks_the_same_vendors_for_the_same_hosts(bucket: str) -> None:
    assert asks(checked(CONVERTED), bucket) == asked(yaml.safe_load(LEGACY), bucket)


def test_the_oracle_is_no_yes_man() -> None:
    """What it says of one bucket, written out by hand."""
    assert asked(yaml.safe_load(LEGACY), "shop") == {
        ("edgecast", "large", "purge", "shop.acme.it"),
        ("edgecast", "large", "purge", "shop.acme.fr"),
        ("edgecast", "small", "purge", "shop.acme.de"),
        ("akamai", "production", "purge", "shop.acme.it"),
    }


def test_a_removed_object_is_purged_but_not_loaded() -> None:
    found = asks(checked(CONVERTED), "site", ChangeKind.REMOVED)
    assert found == {use for use in asked(yaml.safe_load(LEGACY), "site") if use[2] == "purge"}


# Random files: a bucket's list for each of some vendors.

HOSTS = st.sampled_from(["www.acme.com", "acme.org", "cdn.acme.com:8080", "www.acme.com/static", "a-b.acme.co.uk"])
CHOICES = {
    "akamai": st.sampled_from(["production", "staging"]),
    "edgecast": st.sampled_from(["flash", "large", "small", "adn"]),
    "cloudflare": st.sampled_from(["023e105f4ecef8ad9ca31a8372d0c353", "9a7806061c88ada191ed06f989cc3dac"]),
    "fastly": st.just("any"),
    "highwinds": st.just("any"),
    "chinacache": st.just("any"),
}
SETTINGS = {
    "akamai": ("edgerc", "edgerc_section", "use_arl", "user"),
    "edgecast": ("hex",),
    "cloudflare": ("email",),
    "fastly": (),
    "highwinds": ("user",),
    "chinacache": (),
}
HIDDEN = {
    "akamai": "password",
    "edgecast": "token",
    "cloudflare": "apikey",
    "fastly": "token",
    "highwinds": "password",
    "chinacache": "token",
}
# No word of ours looks like one of these.
HIDDEN_VALUES = st.from_regex(r"[!-~]{0,3}S3CR3T[!-~]{1,9}", fullmatch=True)


@st.composite
def lists(draw: st.DrawFn, vendor: str) -> list[dict[str, str]]:
    entry = st.fixed_dictionaries(
        {"host": HOSTS}, optional={"platform": CHOICES[vendor], "action": st.sampled_from(["purge", "load"])}
    )
    action = st.fixed_dictionaries({"action": st.sampled_from(["purge", "load"])})
    found: list[dict[str, str]] = draw(st.lists(entry | action, max_size=4))
    return found


@st.composite
def files(draw: st.DrawFn) -> dict[str, Any]:
    vendors = draw(st.lists(st.sampled_from(sorted(CHOICES)), min_size=1, unique=True))
    accounts = {}
    for vendor in draw(st.lists(st.sampled_from(vendors), unique=True)):
        plain = {name: st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True) for name in SETTINGS[vendor]}
        optional = {**plain, HIDDEN[vendor]: HIDDEN_VALUES, "platform": CHOICES[vendor]}
        accounts[vendor] = draw(st.fixed_dictionaries({}, optional=optional))
    buckets = st.sampled_from(["site", "no", "12e4", "a.b"])
    return {
        "cdnDomains": {vendor: draw(st.dictionaries(buckets, lists(vendor), max_size=3)) for vendor in vendors},
        "cdnConfigurations": accounts,
    }


@settings(max_examples=20)  # each loads a config
@given(files())
def test_any_file_keeps_its_hosts_and_its_secrets(old: dict[str, Any]) -> None:
    text = yaml.safe_dump(old, sort_keys=False)
    buckets = {bucket for lists in old["cdnDomains"].values() for bucket in lists}
    if not any(asked(old, bucket) for bucket in buckets):
        assert problems(text) == ["1: nothing to convert: no host is behind a vendor that has a provider"]
        return
    result = convert(text, "old.yml")
    loaded = checked(result.text)
    for bucket in buckets:
        assert asks(loaded, bucket) == asked(old, bucket)
    assert "S3CR3T" not in repr(result)
    assert {stored.parameter for stored in result.secrets} == {
        secret.reference.removeprefix("${ssm:").removesuffix("}")
        for provider in loaded.providers.values()
        for secret in provider.secrets()
    }


# Grouping


def test_vendors_with_the_same_hosts_share_a_route_and_others_do_not() -> None:
    text = """\
cdnDomains:
  fastly: {b: [{host: x.acme.com}, {host: y.acme.com}]}
  akamai: {b: [{host: y.acme.com}, {host: x.acme.com}]}
  highwinds: {b: [{host: x.acme.com}], c: [{host: x.acme.com}]}
"""
    assert [(route.bucket, route.urls, route.purge) for route in checked(convert(text, "old.yml").text).routes] == [
        ("b", ("http://x.acme.com/{key}", "http://y.acme.com/{key}"), ("fastly", "akamai")),
        ("b", ("http://x.acme.com/{key}",), ("highwinds",)),
        ("c", ("http://x.acme.com/{key}",), ("highwinds",)),
    ]


def test_a_host_that_stands_twice_is_purged_once() -> None:
    result = convert(behind("fastly", WWW + WWW, "{token: t0ken}"), "old.yml")
    assert checked(result.text).routes[0].urls == ("http://www.acme.com/{key}",)


@pytest.mark.parametrize(
    ("vendor", "entries", "names"),
    [
        ("fastly", "[{host: a.acme.com}, {host: b.acme.com}]", ["fastly"]),
        ("edgecast", "[{host: a.acme.com, platform: adn}, {host: b.acme.com, platform: adn}]", ["edgecast"]),
        ("edgecast", "[{host: a.acme.com, platform: adn}, {host: b.acme.com}]", ["edgecast-adn", "edgecast-small"]),
        ("cloudflare", "[{host: a.acme.com, platform: 0a}, {host: b.acme.com, platform: 0a}]", ["cloudflare"]),
        (
            "cloudflare",
            "[{host: 'a.acme.com:81/x', platform: 0a}, {host: b.acme.com, platform: 0b}]",
            ["cloudflare-a.acme.com-81-x", "cloudflare-b.acme.com"],
        ),
        (
            "cloudflare",
            "[{host: a.acme.com, platform: 0a}, {host: a.acme.com, platform: 0b}]",
            ["cloudflare-a.acme.com", "cloudflare-a.acme.com-2"],
        ),
    ],
)
def test_instances_are_few_and_named_for_what_tells_them_apart(vendor: str, entries: str, names: list[str]) -> None:
    result = convert(f"cdnDomains:\n  {vendor}:\n    b: {entries}\n", "old.yml")
    assert list(checked(result.text).providers) == names


def test_instances_of_a_vendor_share_the_secrets_of_their_account() -> None:
    entries = "      - {host: a.acme.com, platform: adn}\n      - {host: b.acme.com, platform: large}\n"
    result = convert(behind("edgecast", entries, "{token: t0ken, hex: 12E4}"), "old.yml")
    assert result.secrets == (Stored("/multicdn/edgecast/token", "old.yml:7, cdnConfigurations.edgecast.token"),)
    assert {provider.token for provider in checked(result.text).providers.values()} == {  # type: ignore[attr-defined]
        next(checked(result.text).providers["edgecast-adn"].secrets())
    }


# URLs


def test_keys_are_encoded_though_the_old_tool_did_not_decode_them() -> None:
    new = checked(convert(behind("fastly", WWW, "{token: t0ken}"), "old.yml").text)
    spelled = {"a%20%C3%A9.jpg", "a+%C3%A9.jpg", "a%20%c3%a9.jpg"}
    assert urls(new, "fastly", "a é.jpg") == {f"http://www.acme.com/{path}" for path in spelled}


@pytest.mark.parametrize("vendor", ["akamai", "edgecast", "fastly", "highwinds"])
def test_http_alone_is_kept_where_it_reaches_both_schemes(vendor: str) -> None:
    result = convert(behind(vendor, WWW, ""), "old.yml")
    assert urls(checked(result.text), vendor, "a.css") == {"http://www.acme.com/a.css"}
    reach = "URLs keep http://, which unless configured otherwise reaches what is cached under https, too, by "
    assert list(result.notes[-3:]) == [reach + vendor.capitalize(), *ALWAYS]


def test_cloudflare_is_asked_by_both_schemes() -> None:
    result = convert(behind("cloudflare", WWW, "{platform: 0a, email: a@acme.com, apikey: k3y}"), "old.yml")
    assert urls(checked(result.text), "cloudflare", "a.css") == {
        "http://www.acme.com/a.css",
        "https://www.acme.com/a.css",
    }
    assert list(result.notes[-3:]) == ["Cloudflare caches http and https apart, so that its routes name both", *ALWAYS]


def test_loads_keep_http_and_that_is_said() -> None:
    result = convert(behind("edgecast", WWW + "      - action: load\n", "{token: t0ken}"), "old.yml")
    assert urls(checked(result.text), "edgecast", "a.css") == {"http://www.acme.com/a.css"}
    assert list(result.notes[-3:]) == [
        "Edgecast loads the scheme that it is given: write https:// in those routes if visitors use that",
        *ALWAYS,
    ]


# Actions


@pytest.mark.parametrize(
    ("entries", "action"),
    [
        ("[{host: h}]", "purge"),
        ("[{action: load}, {host: h}]", "load"),
        ("[{host: h}, {action: load}]", "load"),
        ("[{host: h}, {action: load}, {action: purge}]", "purge"),
        ("[{host: h, action: load}]", "purge"),
        ("[{host: h, action: purge}, {action: load}]", "load"),
        ("[{action: purge}, {host: h}]", "purge"),
    ],
)
def test_the_last_action_without_a_host_counts_for_the_whole_list(entries: str, action: str) -> None:
    result = convert(f"cdnDomains:\n  edgecast:\n    b: {entries}\n", "old.yml")
    assert asks(checked(result.text), "b") == {("edgecast", "small", action, "h")}


def test_an_action_holds_for_its_bucket_only() -> None:
    text = "cdnDomains:\n  edgecast:\n    b: [{host: h}, {action: load}]\n    c: [{host: h}]\n"
    loaded = checked(convert(text, "old.yml").text)
    assert [(route.purge, route.preload) for route in loaded.routes] == [((), ("edgecast",)), (("edgecast",), ())]


def test_an_action_covers_hosts_of_other_platforms_and_that_is_said() -> None:
    entries = "      - {host: x.acme.com, platform: large}\n      - action: load\n"
    result = convert(behind("edgecast", entries, "{token: t0ken, hex: 12E4}"), "old.yml")
    assert asks(checked(result.text), "b") == {("edgecast", "large", "load", "x.acme.com")}
    assert notes(result)[0] == (
        "5: cdnDomains.edgecast.b[1].action: covers the bucket's whole list; releases of the old tool that sorted "
        "hosts by platform kept it to the platform of its own entry"
    )


# What can't be carried, one thing at a time: file, and the notes that lines are to blame for.

FASTLY_SERVICE = (
    "cdnConfigurations.fastly: write the `service` of fastly into the result: id of the service (a purge by URL works "
    "without it)"
)
ENDPOINT = "base URL of whoever answers in the vendor's place, whose own API is gone"
HEEDED = "had no effect, since that was heeded only on Edgecast and ChinaCache, in an entry without a host"
KEY = "its `apikey` may do anything in the account; an API token for Cache Purge (`token`) may not"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(behind("fastly", WWW, "{token: t}"), [f"6: {FASTLY_SERVICE}"], id="fastly's service"),
        pytest.param(
            behind("fastly", WWW, ""),
            [
                "5: cdnConfigurations: no 'fastly': its settings stood in vendors/fastly/config.py",
                f"6: {FASTLY_SERVICE}",
            ],
            id="no settings",
        ),
        pytest.param(
            "cdnDomains:\n  fastly:\n    b: [{host: h}]\n",
            [
                "1: cdnConfigurations: no 'fastly': its settings stood in vendors/fastly/config.py",
                f"1: {FASTLY_SERVICE}",
            ],
            id="no cdnConfigurations",
        ),
        pytest.param(
            behind("edgecast", WWW, "{token: t, platform: adn}"),
            [
                f"6: cdnConfigurations.edgecast: write the `endpoint` of edgecast into the result: {ENDPOINT}",
                "6: cdnConfigurations.edgecast: write the `account` of edgecast into the result: `hex` in "
                "vendors/edgecast/config.py",
            ],
            id="edgecast without its hex",
        ),
        pytest.param(
            behind("highwinds", WWW, "{user: u, password: p}"),
            [
                f"6: cdnConfigurations.highwinds: write the `endpoint` of highwinds into the result: {ENDPOINT}",
                "6: cdnConfigurations.highwinds: write the `account` of highwinds into the result: the account hash, "
                "which the old tool asked the API for",
            ],
            id="highwinds",
        ),
        pytest.param(behind("akamai", WWW, "{edgerc: .edgerc}"), [], id="akamai is carried whole"),
        pytest.param(behind("akamai", WWW, "{edgerc: .edgerc, use_arl: False}"), [], id="ARLs switched off"),
        *(
            pytest.param(
                behind("akamai", WWW, f"{{edgerc: .edgerc, use_arl: {word}}}"),
                [
                    "6: cdnConfigurations.akamai.use_arl: not carried: objects are purged by URL; what needs its ARL "
                    "can be purged by `tags`"
                ],
                id=f"ARLs: {word}",
            )
            for word in ("True", "yes", "on", "1")
        ),
        pytest.param(
            behind("akamai", WWW, "{user: u, password: p}"),
            [
                f"6: cdnConfigurations.akamai.{member}: not carried: Fast Purge takes API clients only; store the "
                ".edgerc of one"
                for member in ("user", "password")
            ],
            id="akamai's user and password",
        ),
        pytest.param(
            behind("cloudflare", WWW, "{platform: 0a, email: a@acme.com, apikey: k}"),
            [f"6: cdnConfigurations.cloudflare: {KEY}"],
            id="cloudflare's key",
        ),
        pytest.param(
            behind("cloudflare", WWW, "{email: a@acme.com, apikey: k}"),
            [
                "6: cdnConfigurations.cloudflare: write the `zone` of cloudflare into the result: the zone's id, which "
                "was the `platform` of a host",
                f"6: cdnConfigurations.cloudflare: {KEY}",
            ],
            id="cloudflare without a zone",
        ),
        pytest.param(
            "cdnDomains:\n  akamai:\n    b: [{host: h}]\n  chinacache:\n    b: [{host: x.cn}, {host: y.cn}]\n"
            "    c:\n      - host: z.cn\n      - action: load\n"
            "cdnConfigurations:\n  akamai: {edgerc: e}\n  chinacache: {token: t}\n",
            [
                "5: cdnDomains.chinacache.b: not carried: x.cn, y.cn: there is no provider for ChinaCache "
                "(action: purge)",
                "6: cdnDomains.chinacache.c: not carried: z.cn: there is no provider for ChinaCache (action: load)",
                "11: cdnConfigurations.chinacache: left out: no host that was converted uses it",
            ],
            id="chinacache",
        ),
        pytest.param(
            "cdnDomains:\n  akamai:\n    b: [{host: h}]\n  Fastly:\n    b: [{host: i}]\n"
            "  cloudinary:\n    b: [{host: j}]\ncdnConfigurations: {akamai: {edgerc: e}}\n",
            [
                "5: cdnDomains.Fastly.b: not carried: i: the old tool knew no such vendor; did you mean 'fastly'?",
                "7: cdnDomains.cloudinary.b: not carried: j: "
                "the old tool knew no such vendor; did you mean 'cloudflare'?",
            ],
            id="unknown vendors",
        ),
        pytest.param(
            "cdnDomains:\n  akamai:\n    b: [{host: h, action: load, ttl: 5}, {action: load}]\n"
            "    c:\n    d: [{action: purge}]\n"
            "cdnConfigurations: {akamai: {edgerc: e, network: n}, fastly: {token: t}}\nextra: 1\n",
            [
                f"3: cdnDomains.akamai.b[0].action: not carried: `load` {HEEDED}",
                f"3: cdnDomains.akamai.b[1].action: not carried: `load` {HEEDED}",
                "3: cdnDomains.akamai.b[0].ttl: not carried: the old tool knew nothing of the kind",
                "4: cdnDomains.akamai.c: left out: it names no host",
                "5: cdnDomains.akamai.d: left out: it names no host",
                "6: cdnConfigurations.akamai.network: not carried: the old tool knew nothing of the kind",
                "6: cdnConfigurations.fastly: left out: no host that was converted uses it",
                "7: extra: not carried: the old tool knew nothing of the kind",
            ],
            id="without effect",
        ),
        pytest.param(
            behind("edgecast", "      - {host: h, action: purge}\n      - action: load\n", "{token: t, hex: 1}"),
            [
                f"4: cdnDomains.edgecast.b[0].action: not carried: `purge` {HEEDED}",
                f"7: cdnConfigurations.edgecast: write the `endpoint` of edgecast into the result: {ENDPOINT}",
            ],
            id="an action beside a host",
        ),
        pytest.param(
            behind("fastly", "      - {host: h, platform: large}\n", "{token: t, platform: small}"),
            [
                "4: cdnDomains.fastly.b[0].platform: left out: a platform means nothing to fastly",
                f"6: {FASTLY_SERVICE}",
            ],
            id="a platform without a meaning",
        ),
    ],
)
def test_what_cannot_be_carried_is_listed_exactly(text: str, expected: list[str]) -> None:
    result = convert(text, "old.yml")
    assert notes(result) == expected
    checked(result.text)


@pytest.mark.parametrize(
    ("vendor", "account", "options"),
    [
        ("akamai", "{edgerc: /etc/.edgerc, edgerc_section: purge}", {"section": "purge", "network": "production"}),
        ("akamai", "{edgerc: .edgerc, edgerc_section: default, platform: staging}", {"network": "staging"}),
        ("edgecast", "{hex: 012, token: t}", {"account": "012", "endpoint": PLACEHOLDER_ENDPOINT}),
        ("edgecast", "", {"account": PLACEHOLDER, "endpoint": PLACEHOLDER_ENDPOINT, "platform": "small"}),
        ("highwinds", "{user: 'yes', password: p}", {"user": "yes", "account": PLACEHOLDER}),
        ("highwinds", "", {"user": PLACEHOLDER, "account": PLACEHOLDER, "endpoint": PLACEHOLDER_ENDPOINT}),
        ("cloudflare", "{email: 'a#b@acme.com', apikey: k, platform: '00'}", {"email": "a#b@acme.com", "zone": "00"}),
        ("cloudflare", "", {"zone": PLACEHOLDER, "email": None, "key": None}),
        ("fastly", "{token: t}", {"service": PLACEHOLDER}),
    ],
)
def test_settings_become_options(vendor: str, account: str, options: dict[str, str | None]) -> None:
    provider = checked(convert(behind(vendor, WWW, account), "old.yml").text).providers[vendor]
    assert {name: getattr(provider, name) for name in options} == options


@pytest.mark.parametrize(
    ("vendor", "account", "stored"),
    [
        ("fastly", "", Stored("/multicdn/fastly/token", "`token` in vendors/fastly/config.py")),
        ("edgecast", "{token: }", Stored("/multicdn/edgecast/token", "`token` in vendors/edgecast/config.py")),
        (
            "akamai",
            "",
            Stored("/multicdn/akamai/edgerc", "the .edgerc of an API client that may write to CCU APIs"),
        ),
        (
            "cloudflare",
            "{email: a@acme.com}",
            Stored("/multicdn/cloudflare/key", "`apikey` in vendors/cloudflare/config.py"),
        ),
        (
            "cloudflare",
            "{apikey: k}",
            Stored(
                "/multicdn/cloudflare/token", "an API token with Zone > Cache Purge, in place of `email` and `apikey`"
            ),
        ),
    ],
)
def test_a_secret_that_is_not_in_the_file_is_listed_with_where_it_is(vendor: str, account: str, stored: Stored) -> None:
    assert convert(behind(vendor, WWW, account), "old.yml").secrets == (stored,)


def test_other_readers_of_yaml_find_the_same_texts_in_the_result() -> None:
    text = "cdnDomains: {edgecast: {'no': [{host: h}]}}\ncdnConfigurations: {edgecast: {token: t, hex: '012 # x: y'}}\n"
    read = yaml.safe_load(convert(text, "old.yml").text)
    assert (read["routes"][0]["bucket"], read["providers"]["edgecast"]["account"]) == ("no", "012 # x: y")


def test_merge_keys_are_followed() -> None:
    text = """\
cdnDomains:
  edgecast:
    b:
      - &large {host: a.acme.com, platform: large}
      - {<<: *large, host: b.acme.com}
      - {<<: [{platform: adn}, *large], host: c.acme.com}
"""
    assert asks(checked(convert(text, "old.yml").text), "b") == {
        ("edgecast", "large", "purge", "a.acme.com"),
        ("edgecast", "large", "purge", "b.acme.com"),
        ("edgecast", "adn", "purge", "c.acme.com"),
    }


# What is refused

OR_QUOTES = "leave it out, or put the text in quotes"
BLANKS = "indent with blanks, not tabs, and put texts that begin with @, % or ` in quotes"
QUOTES = "must be a text; put it in quotes if it begins with a bracket or a brace"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1: no `cdnDomains`, which every file of the old tool has"]),
        ("- a\n", ["1: no `cdnDomains`, which every file of the old tool has"]),
        ("a: 1\n", ["1: no `cdnDomains`, which every file of the old tool has"]),
        (
            "version: 1\nproviders: {}\n",
            ["1: no `cdnDomains`, which every file of the old tool has; it is one of ours already"],
        ),
        ("cdnDomains:\n", ["1: nothing to convert: no host is behind a vendor that has a provider"]),
        (
            "cdnDomains:\n  chinacache:\n    b: [{host: h}]\n",
            ["1: nothing to convert: no host is behind a vendor that has a provider"],
        ),
        ("cdnDomains: [a]\n", ["1: cdnDomains: must be a mapping of names to values"]),
        (
            "cdnDomains:\n  fastly:\n    b: {host: h}\n",
            ["3: cdnDomains.fastly.b: must be a list of entries, as in `- host: www.example.com`"],
        ),
        (
            "cdnDomains:\n  fastly:\n    b:\n      - www.acme.com\n",
            ["4: cdnDomains.fastly.b[0]: must be a mapping of names to values"],
        ),
        (
            "cdnDomains:\n  fastly:\n    b:\n      - host: h\n        action: prefetch\n      - host: [i]\n",
            [
                "5: cdnDomains.fastly.b[0].action: must be purge or load",
                f"6: cdnDomains.fastly.b[1].host: {QUOTES}",
            ],
        ),
        (
            behind("edgecast", "      - {host: h, platform: big}\n", "{platform: vast}"),
            ["4: cdnDomains.edgecast.b[0].platform: must be one of flash, large, small, adn"],
        ),
        (
            behind("akamai", WWW + WWW, "{platform: test}"),
            ["7: cdnConfigurations.akamai.platform: must be one of production, staging"],
        ),
        (
            behind("cloudflare", "      - {host: h, platform: acme.com}\n", ""),
            ["4: cdnDomains.cloudflare.b[0].platform: isn't the id of a zone"],
        ),
        (
            behind("fastly", WWW, "{token: {abc}}"),
            [f"6: cdnConfigurations.fastly.token: {QUOTES}"],
        ),
        ("cdnDomains:\n  fastly:\n    b: []\n    b: []\n", ["4: 'b' stands twice; first on line 3"]),
        (
            "cdnDomains: !!python/object/apply:os.getcwd []\n",
            [f"1: the tag tag:yaml.org,2002:python/object/apply:os.getcwd means nothing here: {OR_QUOTES}"],
        ),
        (
            "cdnDomains: !!python/name:os.system x\n",
            [f"1: the tag tag:yaml.org,2002:python/name:os.system means nothing here: {OR_QUOTES}"],
        ),
        ("cdnDomains:\n\tfastly: {}\n", [f"2: not valid YAML: found character that cannot start any token; {BLANKS}"]),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_with_every_line(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


@pytest.mark.parametrize(
    "host",
    ["https://www.acme.com", "//www.acme.com", "www acme", "münchen.de", "*.acme.com", "u:S3CR3T@h", "h/{key}", "a..b"],
)
def test_what_is_no_host_name_is_refused_and_not_repeated(host: str) -> None:
    assert problems(behind("fastly", f"      - host: '{host}'\n", "{token: t}")) == [
        "4: cdnDomains.fastly.b[0].host: isn't a host name: write www.example.com, without a scheme, in punycode"
    ]


# Secrets

LOADERS = [loader for loader in (getattr(yaml, "CSafeLoader", None), yaml.SafeLoader) if loader]


@pytest.mark.parametrize("loader", LOADERS, ids=lambda loader: loader.__name__)
@pytest.mark.parametrize(
    "line",
    [
        "token: *S3CR3T",
        "token: !S3CR3T x",
        "token: !S3CR3T!x y",
        "token: !<S3CR3T> x",
        "token: @S3CR3T",
        "token: %S3CR3T",
        "token: {S3CR3T}",
        "token: [S3CR3T]",
        "token: a: S3CR3T",
        "token: 'S3CR3T",
        'token: "\\S3CR3T"',
        "token: |S3CR3T",
        "{token:S3CR3T}",
        "{token:S3CR3T, token:S3CR3T}",
        "token: S3CR3T\n    token: S3CR3T",
        "token: S3CR3T\n    platform: [S3CR3T]",
        "S3CR3T",
        "[S3CR3T]",
    ],
)
def test_no_mistake_around_a_secret_shows_it(line: str, loader: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_source, "_Loader", loader)
    text = behind("fastly", WWW, f"\n    {line}")
    try:
        shown = repr(convert(text, "old.yml"))
    except ConfigError as error:
        shown = repr((error, error.problems, error.__cause__, error.__context__))
    assert "S3CR3T" not in shown


def run(tmp_path: Path, text: str, *arguments: str) -> Result:
    old = tmp_path / "old.yml"
    old.write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, ["config", "convert", str(old), *arguments])


def test_the_command_writes_the_file_and_says_the_rest(tmp_path: Path) -> None:
    new = tmp_path / "new.yml"
    result = run(tmp_path, LEGACY, "--out", str(new))
    assert result.exit_code == 0
    assert new.read_text(encoding="utf-8") == CONVERTED
    assert result.stdout == ""
    said = result.stderr.splitlines()
    converted = convert(LEGACY, "old.yml")
    assert said[0] == "To be stored, by `multicdn secret put ssm:NAME`:"
    assert said[1 : len(converted.secrets) + 1] == [f"  {each.parameter}: {each.source}" for each in converted.secrets]
    assert [f"  {note}" for note in converted.notes] == said[len(converted.secrets) + 2 : -3]
    assert [line.rpartition(" ")[2] for line in said[-3:]] == ["(warning)"] * 3


def test_the_command_prints_the_result_alone_on_standard_output(tmp_path: Path) -> None:
    result = run(tmp_path, LEGACY)
    assert (result.exit_code, result.stdout) == (0, CONVERTED)


def test_no_secret_is_printed_written_or_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(0):
        result = run(tmp_path, LEGACY, "--out", str(tmp_path / "new.yml"))
    everything = result.output + (tmp_path / "new.yml").read_text(encoding="utf-8") + caplog.text
    assert all(secret in LEGACY for secret in SECRETS)
    assert [secret for secret in SECRETS if secret in everything] == []


def test_the_command_never_writes_over_a_file(tmp_path: Path) -> None:
    result = run(tmp_path, LEGACY, "--out", str(tmp_path / "old.yml"))
    assert result.exit_code == 1
    assert result.output == f"{tmp_path / 'old.yml'}: can't be written: File exists\n"
    assert (tmp_path / "old.yml").read_text(encoding="utf-8") == LEGACY


def test_the_command_lists_problems_and_fails(tmp_path: Path) -> None:
    result = run(tmp_path, "cdnDomains:\n  fastly:\n    b: x\n    b: y\n", "--out", str(tmp_path / "new.yml"))
    assert (result.exit_code, result.output) == (1, "old.yml:4: 'b' stands twice; first on line 3\n")
    assert not (tmp_path / "new.yml").exists()


@pytest.mark.parametrize("content", [None, b"cdnDomains: \xff"])
def test_the_command_says_why_a_file_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    old = tmp_path / "old.yml"
    if content:
        old.write_bytes(content)
    result = CliRunner().invoke(main, ["config", "convert", str(old)])
    byte = ":1: the byte 0xff isn't UTF-8 (in Latin-1 it is ÿ): save the file as UTF-8"
    reason = byte if content else ": can't be read: No such file or directory"
    assert (result.exit_code, result.output) == (1, f"{old}{reason}\n")


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    assert run(tmp_path, "\ufeff" + LEGACY).stdout == CONVERTED


def test_the_example_in_the_documentation_is_what_comes_out() -> None:
    page = (ROOT / "docs" / "migrate.md").read_text(encoding="utf-8")
    before = re.search(r"^```yml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    after = re.search(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert before
    assert after
    assert convert(before[1], "old.yml").text == after[1]
