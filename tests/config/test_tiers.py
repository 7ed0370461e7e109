"""Where providers stand, and whether routes are looked at: what is read, and everything that is refused or doubted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multicdn import config
from multicdn.config.tier_checks import fault_of_via
from multicdn.errors import ConfigError
from multicdn.plugins.discovery import Plugins
from multicdn.routing.tiers import Tier
from multicdn.routing.verify import Verify, wished

if TYPE_CHECKING:
    from multicdn.config import Config

PLUGINS = Plugins()

# Providers on lines 3 to 5, the route from line 7 on.
FILE = """\
version: 1
providers:
  site: {{type: cloudfront, distribution: E1ABCDEFGHIJKL{site}}}
  fastly: {{token: "${{env:T}}", service: SU1Z0isxPaozGVKXdv0eY{fastly}}}
  akamai: {{edgerc: "${{env:E}}"{akamai}}}
routes:
  - bucket: acme-site
    urls: ["https://www.acme.com/{{key}}"]
    purge: [{purge}]
{rest}
"""


def written(
    *, site: str = "", fastly: str = "", akamai: str = "", purge: str = "site, fastly, akamai", rest: str = ""
) -> str:
    return FILE.format(
        site=site and f", {site}", fastly=fastly and f", {fastly}", akamai=akamai and f", {akamai}", purge=purge,
        rest=rest,
    )  # fmt: skip


def parse(**parts: str) -> Config:
    return config.parse(written(**parts), "c.yml", PLUGINS)


def problems(**parts: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(**parts)
    return list(caught.value.problems)


VIA = {"site": "via: d1.cloudfront.net", "fastly": "via: acme.global.ssl.fastly.net", "akamai": "via: a.edgesuite.net"}


def test_options_of_tiers_are_read_beside_those_of_the_type() -> None:
    loaded = parse(
        site="via: 'd1.cloudfront.net'",
        fastly="pulls_from: [site], wait_for: fresh, wait_at_most: 5m, again: 5s",
        rest="    verify: true",
    )
    assert loaded.tiers == {
        "site": Tier(via="d1.cloudfront.net"),
        "fastly": Tier(pulls_from=("site",), wait_for="fresh", wait_at_most="5m", again="5s"),
    }
    assert loaded.providers.keys() == {"site", "fastly", "akamai"}


def test_a_file_that_says_nothing_of_it_has_no_tiers_and_looks_at_nothing() -> None:
    loaded = parse()
    assert (loaded.tiers, [route.verify for route in loaded.routes], loaded.warnings) == ({}, [None], ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", Verify()),
        ("false", None),
        ("{}", Verify()),
        ("{within: 90s, sample: 5}", Verify(within="90s", sample=5)),
        ("{sample: all}", Verify(sample="all")),
        ("{identity: 'metadata:X-Amz-Meta-Write'}", Verify(identity="metadata:write")),
        ("{identity: md5, removed_as: [200, 301]}", Verify(identity="md5", removed_as=(200, 301))),
        ("{urls: ['HTTPS://WWW.Acme.com:443/{key}']}", Verify(urls=("https://www.acme.com/{key}",))),
    ],
)
def test_verify_is_a_word_or_a_mapping(text: str, expected: Verify | None) -> None:
    [route] = parse(purge="site", rest=f"    verify: {text}").routes
    assert route.verify == expected


def test_verify_holds_for_each_bucket_of_a_list_and_comes_by_merge_key() -> None:
    loaded = config.parse(
        """\
version: 1
x-looked-at: &looked-at
  urls: ["https://www.acme.com/{key}"]
  verify: {sample: all}
x-outer: &outer {pulls_from: [site], again: 5s}
providers:
  site: {type: cloudfront, distribution: E1ABCDEFGHIJKL, via: d1.cloudfront.net}
  fastly: {<<: *outer, token: "${env:T}", service: SU1Z0isxPaozGVKXdv0eY, via: acme.global.ssl.fastly.net}
routes:
  - {<<: *looked-at, bucket: [acme-site, acme-docs], purge: [site, fastly]}
""",
        "c.yml",
        PLUGINS,
    )
    assert [route.verify for route in loaded.routes] == [Verify(sample="all")] * 2
    assert loaded.tiers["fastly"] == Tier(via="acme.global.ssl.fastly.net", pulls_from=("site",), again="5s")
    assert loaded.warnings == ()


def test_a_fault_in_what_is_merged_in_stands_where_it_is_written() -> None:
    text = """\
version: 1
x-outer: &outer
  pulls_from: [sight]
providers:
  site: {type: cloudfront, distribution: E1ABCDEFGHIJKL}
  fastly: {<<: *outer, token: "${env:T}", service: SU1Z0isxPaozGVKXdv0eY}
routes:
  - {bucket: a, urls: ["https://www.acme.com/{key}"], purge: [site, fastly]}
"""
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "c.yml", PLUGINS)
    assert list(caught.value.problems) == [
        "c.yml:3: providers.fastly.pulls_from[0]: no provider is called 'sight'; did you mean 'site'?"
    ]


def test_what_wished_makes_of_words() -> None:
    assert (wished(True), wished(False), wished(Verify(sample=1))) == (Verify(), None, Verify(sample=1))


@pytest.mark.parametrize(
    "via",
    [
        "d1.cloudfront.net", "d1.cloudfront.net:8443", "https://d1.cloudfront.net", "http://localhost:8080", "[::1]:80",
        "127.0.0.1", "a_b.example.com", "https://[2001:db8::1]", "acme.edgesuite.net.",
    ],
)  # fmt: skip
def test_ways_to_a_cdn(via: str) -> None:
    assert fault_of_via(via) == ""


@pytest.mark.parametrize(
    ("via", "message"),
    [
        ("https://d1.cloudfront.net/", "takes no path or query: write 'd1.cloudfront.net'"),
        ("d1.cloudfront.net/a?b", "takes no path or query: write 'd1.cloudfront.net'"),
        ("d1.cloudfront.net?x", "takes no path or query"),
        ("ftp://d1.cloudfront.net", "begins with ftp://"),
        ("*.cloudfront.net", "is no host"),
        ("{bucket}.example.com", "is no host"),
        ("d1.cloudfront.net:http", "is no host"),
        ("d1.cloudfront.net:99999", "is no host"),
        ("d1.cloudfront.net:0", "is no host"),
        ("[::1", "is no host"),
        ("bücher.example", "is no host"),
        ("https://", "is no host"),
        ("a..b", "is no host"),
    ],
)
def test_what_is_no_way_to_a_cdn(via: str, message: str) -> None:
    assert message in fault_of_via(via)


def test_a_password_in_a_way_is_refused_and_never_shown() -> None:
    [problem] = problems(site="via: 'https://me:hunter2@d1.cloudfront.net'")
    assert "takes no user" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"fastly": "pulls_from: [sight]"},
         "c.yml:4: providers.fastly.pulls_from[0]: no provider is called 'sight'; did you mean 'site'?"),
        ({"fastly": "pulls_from: [fastly]"},
         "c.yml:4: providers.fastly.pulls_from[0]: fastly can't pull from itself: name the CDN that it fetches from"),
        ({"site": "pulls_from: [fastly]", "fastly": "pulls_from: [site]"},
         "c.yml:3: providers.site.pulls_from: goes round in a circle (site → fastly → site): take out one of these "
         "arrows"),
        ({"site": "pulls_from: [akamai]", "fastly": "pulls_from: [site]", "akamai": "pulls_from: [fastly]"},
         "c.yml:3: providers.site.pulls_from: goes round in a circle (site → akamai → fastly → site): take out one of "
         "these arrows"),
        ({"fastly": "again: 16m"},
         "c.yml:4: providers.fastly.again: 16m is more than SQS can delay a message: 15m at most"),
        ({"fastly": "pull_from: [site]"},
         "c.yml:4: providers.fastly.pull_from: unknown option 'pull_from'; did you mean 'pulls_from'?"),
        ({"fastly": "wait_for: frehs"},
         "c.yml:4: providers.fastly.wait_for: unknown value 'frehs'; did you mean 'fresh'?"),
        ({"site": "via: 'http://d1.cloudfront.net'"},
         "c.yml:3: providers.site.via: 'http://d1.cloudfront.net' would ask in clear for the https URLs of the route "
         "at c.yml:7: write 'd1.cloudfront.net'"),
        ({"site": "via: '${env:VIA}'"},
         "c.yml:3: providers.site.via: ${env:VIA} is a reference, and this option is no secret: write its value; where "
         "stages differ in it, write a file for each"),
        ({"rest": "    verify: yes"},
         "c.yml:10: routes[0].verify: expected true or false or a mapping, got a text; it has the members within, "
         "sample, identity, urls, removed_as"),
        ({"rest": "    settle: 20s"},
         "c.yml:10: routes[0].settle: expected a mapping or nothing, got a text; it has the members quiet, most"),
        ({"rest": "    verify: {sample: 0}"}, "c.yml:10: routes[0].verify.sample: expected a whole number >= 1"),
        ({"rest": "    verify: {sample: every}"},
         "c.yml:10: routes[0].verify.sample: unknown value 'every' (known: all)"),
        ({"rest": "    verify: {samples: 1}"},
         "c.yml:10: routes[0].verify.samples: unknown member 'samples'; did you mean 'sample'?"),
        ({"rest": "    verify: {urls: []}"}, "c.yml:10: routes[0].verify.urls: expected a list of length >= 1"),
        ({"rest": "    verify: {removed_as: [99]}"},
         "c.yml:10: routes[0].verify.removed_as[0]: expected a whole number >= 200"),
        ({"rest": "    verify: {urls: ['/{key}']}"},
         "c.yml:10: routes[0].verify.urls[0]: '/{key}' isn't an absolute URL; write it as the browser sees it: "
         "https://www.example.com/{key}"),
        ({"rest": "    verify: {urls: ['https://a.example/{kee}']}"},
         "c.yml:10: routes[0].verify.urls[0]: unknown placeholder {kee}; known: {key}, {path}, {dir}, {name}, {stem}, "
         "{ext}, {bucket}, {first}, {rest}, {segment1} to {segment9}"),
    ],
)  # fmt: skip
def test_what_is_refused(parts: dict[str, str], problem: str) -> None:
    assert problems(**parts) == [problem]


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("within: 5", "within: expected how long after *finished*"),
        ("within: 0s", "within: expected how long after *finished*"),
        ("within: 9999999999d", "within: expected how long after *finished*"),
        ("identity: hash", "identity: expected by what new bytes are told from old ones"),
        ("identity: 'metadata:'", "identity: expected by what new bytes are told from old ones"),
        ("identity: 'metadata:a b'", "identity: expected by what new bytes are told from old ones"),
        ("identity: metadata", "identity: expected by what new bytes are told from old ones"),
    ],
)
def test_a_text_of_another_form_is_refused_with_what_the_member_means(member: str, said: str) -> None:
    [problem] = problems(rest=f"    verify: {{{member}}}")
    assert problem.startswith(f"c.yml:10: routes[0].verify.{said}")


@pytest.mark.parametrize("text", ["5", "0s", "1.5s", "5 s", "9999999999d"])
@pytest.mark.parametrize("option", ["again", "wait_at_most"])
def test_options_that_are_no_lengths_of_time(option: str, text: str) -> None:
    [problem] = problems(fastly=f"pulls_from: [site], {option}: '{text}'")
    assert problem.startswith(f"c.yml:4: providers.fastly.{option}: expected ")


@pytest.mark.parametrize("text", ["1s", "900s", "15m"])
def test_a_second_purge_comes_as_late_as_a_message_can_be_delayed(text: str) -> None:
    assert parse(fastly=f"again: {text}").tiers["fastly"].again == text


def test_a_host_made_of_keys_to_look_at_is_allowed_by_the_route() -> None:
    template = "urls: ['https://{first}.preview.acme.com/{rest}']"
    [problem] = problems(rest=f"    verify: {{{template}}}")
    assert problem.startswith("c.yml:10: routes[0].verify.urls[0]: 'https://{first}.preview.acme.com/{rest}' makes a ")
    rest = f'    verify: {{{template}}}\n    allowed_hosts: ["*.preview.acme.com"]'
    assert parse(purge="site", rest=rest).warnings == (
        "c.yml:4: providers.fastly: no route uses it", "c.yml:5: providers.akamai: no route uses it",
    )  # fmt: skip


def test_a_route_without_urls_or_purges_has_nothing_to_look_at() -> None:
    head = written().partition("  - bucket")[0]
    with pytest.raises(ConfigError) as caught:
        config.parse(f"{head}  - {{bucket: a, tags: [a], purge: [fastly], verify: true}}", "c.yml", PLUGINS)
    assert list(caught.value.problems) == [
        "c.yml:7: routes[0].verify: has nothing to look at: write `urls` below it, as clients ask for the objects"
    ]
    route = '{bucket: a, tags: [a], purge: [fastly], verify: {urls: ["https://a.example/{key}"]}}'
    assert config.parse(f"{head}  - {route}", "c.yml", PLUGINS).routes[0].verify
    px = '  px: {type: pixboost, secret: "${env:X}"}\nroutes:'
    head = head.replace("routes:", px)
    route = '{bucket: a, urls: ["https://a.example/{key}"], preload: [px], verify: true}'
    with pytest.raises(ConfigError) as caught:
        config.parse(f"{head}  - {route}", "c.yml", PLUGINS)
    assert list(caught.value.problems) == [
        "c.yml:8: routes[0].verify: has nothing to wait for: no provider purges here"
    ]


def test_without_a_queue_nothing_can_be_looked_at_later() -> None:
    found = problems(
        fastly="pulls_from: [site], again: 5s", rest="    verify: true\ninstall: {trigger: direct}"
    )  # fmt: skip
    reason = (
        "needs a queue, in which what has to be looked at later can wait, and `install.trigger: direct` has none: "
        "write `trigger: queue` there"
    )
    assert found == [
        f"c.yml:4: providers.fastly.pulls_from: {reason}",
        f"c.yml:4: providers.fastly.again: {reason}",
        f"c.yml:10: routes[0].verify: {reason}",
    ]
    assert parse(fastly="pulls_from: [site]", rest="install: {trigger: eventbridge}").tiers


def test_what_is_unknown_is_said_once_for_a_provider_with_a_problem_of_its_own() -> None:
    text = written(fastly="pulls_from: [site]").replace("service: ", "servic: ")
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "c.yml", PLUGINS)
    assert all("pulls_from" not in problem for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    ("parts", "warning"),
    [
        ({"fastly": "pulls_from: [site], wait_for: fresh"},
         "c.yml:4: providers.fastly.wait_for: is never so: no route that purges both has `verify`; write it there, or "
         "wait for `finished`"),
        ({"fastly": "wait_for: fresh"}, "c.yml:4: providers.fastly.wait_for: does nothing without `pulls_from`"),
        ({"fastly": "wait_at_most: 5m"}, "c.yml:4: providers.fastly.wait_at_most: does nothing without `pulls_from`"),
        ({"fastly": "pulls_from: [site], wait_at_most: 7h"},
         "c.yml:4: providers.fastly.wait_at_most: is longer than `give_up_after` 6h, at which what waits is given up"),
        ({"purge": "akamai, fastly", "fastly": "pulls_from: [site, akamai]"},
         "c.yml:9: routes[0].purge[1]: fastly pulls from site, which nobody purges for these keys: there is nothing to "
         "wait for, and fastly may fetch the old bytes from it again; name site here, too"),
        ({**VIA, "rest": "    verify: {within: 7h}"},
         "c.yml:10: routes[0].verify.within: is longer than `give_up_after` 6h, at which what waits is given up"),
        ({**VIA, "rest": "    on: [created]\n    verify: {removed_as: [200]}"},
         "c.yml:11: routes[0].verify.removed_as: does nothing: the route doesn't act on removed objects"),
        ({**VIA, "rest": "    verify: {urls: ['https://www.acme.com/*']}"},
         "c.yml:10: routes[0].verify.urls[0]: 'https://www.acme.com/*' ends with a *, which stands for itself: put "
         "what is before it under `prefixes`"),
        ({**VIA, "akamai": "", "rest": "    verify: true"},
         "c.yml:5: providers.akamai: has no `via`, and the route at c.yml:7 looks at several CDNs: the URL's own host "
         "is one CDN only; write `via`, where akamai is reached"),
        ({**VIA, "akamai": "via: 'https://www.acme.com'", "rest": "    verify: true"},
         "c.yml:5: providers.akamai.via: 'https://www.acme.com' is the site's own name, which leads to one CDN only: "
         "write where akamai itself is reached"),
    ],
)  # fmt: skip
def test_what_is_probably_not_meant(parts: dict[str, str], warning: str) -> None:
    assert [line for line in parse(**parts).warnings if "no route uses it" not in line] == [warning]


def test_a_single_cdn_needs_no_way_of_its_own() -> None:
    assert [line for line in parse(purge="site", rest="    verify: true").warnings if "via" in line] == []


def test_an_inner_one_that_another_route_purges_is_waited_for() -> None:
    rest = '  - {bucket: acme-site, prefix: img/, urls: ["https://a.example/{key}"], purge: [site]}'
    assert parse(purge="fastly, akamai", fastly="pulls_from: [site]", rest=rest).warnings == ()
    elsewhere = rest.replace("acme-site", "acme-docs")
    [warning] = parse(purge="fastly, akamai", fastly="pulls_from: [site]", rest=elsewhere).warnings
    assert "fastly pulls from site, which nobody purges for these keys" in warning


def test_an_inner_one_that_was_looked_at_by_a_route_of_its_own_counts_as_fresh() -> None:
    rest = '  - {bucket: acme-site, urls: ["https://a.example/{key}"], purge: [site], verify: true}'
    assert parse(purge="fastly, akamai", fastly="pulls_from: [site], wait_for: fresh", rest=rest).warnings == ()


def test_an_inner_one_that_is_retired_never_finishes() -> None:
    text = written(fastly="pulls_from: [old]").replace(
        "routes:",
        '  old: {type: highwinds, token: "${env:H}", account: a1b2c3d4, endpoint: "https://h.example"}\nroutes:',
    )
    warnings = config.parse(text.replace("[site, fastly, akamai]", "[site, fastly, akamai, old]"), "c.yml", PLUGINS)
    assert (
        "c.yml:4: providers.fastly.pulls_from[0]: old (highwinds) is retired, and never finishes: take it out"
        in warnings.warnings
    )


def test_http_is_asked_for_sites_in_clear_and_of_this_machine() -> None:
    assert parse(site="via: 'http://127.0.0.1:8080'").tiers
    text = written(site="via: 'http://d1.cloudfront.net'").replace("https://www", "http://www")
    assert config.parse(text, "c.yml", PLUGINS).tiers


@pytest.mark.parametrize(
    ("urls", "rest", "warned"),
    [
        ("https://a.example/{key}", "urls: ['https://a.example/']", "is the same for all objects"),
        ("https://a.example/", "", "has nothing to look at, unless a hook adds it"),
        ("https://a.example/{dir}", "", "has nothing to look at, unless a hook adds it"),
        ("https://a.example/{dir}", "urls: ['https://a.example/{dir}']", ""),
        ("https://a.example/{rest}", "", ""),
    ],
)
def test_a_url_that_is_not_of_one_object_is_told(urls: str, rest: str, warned: str) -> None:
    head = written().partition("  - bucket")[0]
    route = f"{{bucket: a, urls: ['{urls}'], purge: [fastly], verify: {{sample: 5, {rest}}}}}"
    told = [each for each in config.parse(f"{head}  - {route}", "c.yml", PLUGINS).warnings if ".verify" in each]
    assert [warned in each for each in told] == [True] * bool(warned)
