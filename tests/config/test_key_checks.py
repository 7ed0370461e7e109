"""What a route says of buckets and keys that can't be, or of other tools: told with what to write instead."""

from __future__ import annotations

import pytest
from kit.sample_plugins import installed

from multicdn import config
from multicdn.config import bucket_names, key_checks
from multicdn.config.foreign_patterns import doubt
from multicdn.errors import ConfigError

HEAD = 'version: 1\nproviders: {full: {token: "${env:T}", service: s}, warmer: }\nroutes:\n'
URLS = 'urls: ["https://docs.example.org/{key}"], purge: [full]'


def said(route: str) -> tuple[list[str], list[str]]:
    """Problems and warnings of a file whose only route is on line 4, without place and member's route."""
    try:
        found = config.parse(f"{HEAD}  - {{{route}}}\n", "c.yml", installed())
    except ConfigError as error:
        return [_short(problem) for problem in error.problems], []
    return [], [_short(warning) for warning in found.warnings if "no route uses it" not in warning]


def _short(line: str) -> str:
    assert line.startswith("c.yml:4: routes[0]"), line
    return line.removeprefix("c.yml:4: routes[0]").removeprefix(".")


# Buckets

BEHIND = "write the name of the bucket behind it, by which events call it"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s3://media-prod", "is a URI: write `bucket: media-prod`"),
        ("s3a://media-prod/covers/", "is a URI: write `bucket: media-prod`, and put `covers/` under `prefix`"),
        ("media-prod/covers", "is a path: write `bucket: media-prod`, and put `covers/` under `prefix`"),
        ("media-prod/covers/a.jpg", "is a path: write `bucket: media-prod`, and put `covers/a.jpg` under `prefix`"),
        ("media-prod/", "is a path: write `bucket: media-prod`"),
        ("/media-prod", "is a path: write `bucket: media-prod`"),
        (" media-prod", "has blanks around it: write `bucket: media-prod`"),
        ("media-prod\xa0", "has blanks around it: write `bucket: media-prod`"),
        ("media-prod.s3.amazonaws.com", "is an address of S3: write `bucket: media-prod`"),
        ("media.s3-logs.s3-website-eu-west-1.amazonaws.com", "is an address of S3: write `bucket: media.s3-logs`"),
        ("media.prod.s3.eu-west-1.amazonaws.com", "is an address of S3: write `bucket: media.prod`"),
        ("https://media-prod.s3-website-eu-west-1.amazonaws.com/", "is an address of S3: write `bucket: media-prod`"),
        ("http://media-prod.s3-website.eu-central-1.amazonaws.com", "is an address of S3: write `bucket: media-prod`"),
        ("media-prod.s3-accelerate.dualstack.amazonaws.com", "is an address of S3: write `bucket: media-prod`"),
        ("https://s3.cn-north-1.amazonaws.com.cn/media-prod/img%20x/",
         "is an address of S3: write `bucket: media-prod`, and put `img x/` under `prefix`"),
        ("s3.eu-west-1.amazonaws.com", "is an address of S3 without a bucket's name"),
        ("https://eu-west-1.console.aws.amazon.com/s3/buckets/media-prod?region=eu-west-1&prefix=covers/&tab=objects",
         "is a page of AWS's console: write `bucket: media-prod`, and put `covers/` under `prefix`"),
        ("https://www.example.org", f"is a URL: {BEHIND}"),
        ("gs://media-prod", f"is a URI of gs, not of S3: {BEHIND}"),
        ("arn:aws:s3:::media-prod", "is an ARN: write `bucket: media-prod`"),
        ("arn:aws-cn:s3:::media-prod/covers/*",
         "is an ARN: write `bucket: media-prod`, and put `covers/` under `prefix`"),
        ("arn:aws:s3:eu-west-1:123456789012:accesspoint/media",
         f"is the ARN of an access point: {BEHIND}"),
        ("arn:aws:sqs:eu-west-1:123456789012:media",
         f"is an ARN, and none of a bucket: {BEHIND}"),
        ("arn:aws", f"is an ARN, and none of a bucket: {BEHIND}"),
        ("media-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias",
         f"is the alias of an access point: {BEHIND}"),
        ("media--ol-s3",
         f"is the alias of an Object Lambda access point: {BEHIND}"),
        ("*", "is no pattern: name each bucket, `bucket: [one, two]` or one route for each"),
        ("media-*", "is no pattern: name each bucket, `bucket: [one, two]` or one route for each"),
        ("media-prod, media-eu", "is more than one name: write `bucket: [media-prod, media-eu]`"),
        ("media-{stage}", "holds a placeholder, and nothing fills one in here: write the whole name"),
        ("media-$STAGE", "holds a placeholder, and nothing fills one in here: write the whole name"),
        ("192.168.5.4", "is an IP address, and no bucket is called so"),
        ("größe", r"holds '\xdf', '\xf6': names of buckets have a-z, 0-9, hyphens and dots"),
        ("media-prod\u200b", r"holds '\u200b': names of buckets have a-z, 0-9, hyphens and dots"),
        ("m" * 256, "has 256 characters, and names have 63 at most"),
    ],
)  # fmt: skip
def test_a_name_that_no_bucket_has_is_an_error_with_its_remedy(name: str, text: str) -> None:
    escaped = name.replace("\xa0", r"\xa0").replace("\u200b", r"\u200b")
    assert said(f'bucket: "{escaped}", {URLS}') == ([f"bucket: {name!r} {text}"], [])


@pytest.mark.parametrize("name", ["", " ", "\t"])
def test_no_name_is_an_error(name: str) -> None:
    assert said(f'bucket: "{name}", {URLS}') == (["bucket: is empty"], [])


IS_IT = "; is it written as S3 lists it?"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Media_Prod", "has capitals or underscores, as no bucket has but those made in us-east-1 before March 2018"),
        ("media_prod", "has capitals or underscores, as no bucket has but those made in us-east-1 before March 2018"),
        ("ab", "has 2 characters, where AWS asks for 3 to 63"),
        ("m" * 64, "has 64 characters, where AWS asks for 3 to 63"),
        ("xn--media", "begins as AWS lets no name begin"),
        ("media..prod",
         "has dots side by side, or a sign other than a letter or a digit at an end, as AWS lets no name have"),
        ("-media",
         "has dots side by side, or a sign other than a letter or a digit at an end, as AWS lets no name have"),
    ],
)  # fmt: skip
def test_a_name_that_hardly_a_bucket_has_is_a_warning(name: str, text: str) -> None:
    assert said(f"bucket: {name}, {URLS}") == ([], [f"bucket: {name!r} {text}{IS_IT}"])


def test_a_directory_bucket_is_a_warning() -> None:
    text = "'fast--use1-az4--x-s3' is a directory bucket, of whose objects S3 sends no notifications"
    assert said(f"bucket: fast--use1-az4--x-s3, {URLS}") == ([], [f"bucket: {text}"])


@pytest.mark.parametrize("name", ["abc", "media-prod", "1.2.x", "www.example.org", "media--prod", "m" * 63, "s3alias"])
def test_a_name_that_a_bucket_can_have_is_none(name: str) -> None:
    assert bucket_names.flaw(name) is None
    assert said(f"bucket: {name}, {URLS}") == ([], [])


@pytest.mark.parametrize(
    "name", ["Media", "ab", "a-", "-ab", "m" * 64, "a_b", "ä" * 4, "x--x-s3", "x-s3alias", "²" * 3, "a\n"]
)
def test_the_short_way_lets_no_odd_name_pass(name: str) -> None:
    assert not key_checks._is_plain_name(name)


# Prefixes


@pytest.mark.parametrize(
    ("prefix", "text"),
    [
        ("/docs/", "begins with a slash, and keys in S3 rarely do"),
        ("docs/*", "holds a *, which stands for itself: leave it out to match all that follows"),
        ("./docs/", "begins with ./, which no tool leaves in a key: write 'docs/'"),
        ("../docs/", "begins with ../, which no tool leaves in a key: write 'docs/'"),
        ("img%20x/", "is percent-encoded, and keys are compared as they are: write 'img x/'"),
        ("gr%C3%B6%C3%9Fe/", "is percent-encoded, and keys are compared as they are: write 'größe/'"),
        ("docs//img/", "holds two slashes, and keys rarely do: write 'docs/img/'"),
        (r"docs\\img/", "holds a backslash, and folders in keys end with a slash: write 'docs/img/'"),
        ("s3://acme-site/docs/", "is a URI, and keys have no bucket in them: write 'docs/'"),
        ("{tenant}/", "holds a placeholder, and nothing fills one in here"),
        (" docs/", "has blanks around it, and keys rarely do: write 'docs/'"),
    ],
)
def test_a_prefix_that_hardly_a_key_has_is_a_warning(prefix: str, text: str) -> None:
    assert said(f'bucket: acme-site, prefix: "{prefix}", {URLS}') == ([], [f"prefix: {text}"])


def test_a_prefix_that_is_longer_than_a_key_is_an_error() -> None:
    assert said(f"bucket: acme-site, prefix: {'ö' * 513}/, {URLS}") == (["prefix: is longer than any key"], [])
    assert said(f"bucket: acme-site, prefix: {'o' * 1023}/, {URLS}") == ([], [])


@pytest.mark.parametrize("prefix", ["docs/", "a b/", "größe/", ".well-known/", "100%/", "a.b-c_d/", "docs", "404.html"])
def test_a_prefix_that_keys_have_is_none(prefix: str) -> None:
    assert said(f'bucket: acme-site, prefix: "{prefix}", {URLS}') == ([], [])


def test_a_prefix_without_its_slash_under_path_names_the_remedy() -> None:
    """Case 12: keys below docs/ were purged with two slashes, and those of docs-old/ as -old/."""
    route = 'bucket: shop-web, prefix: docs, index: index.html, bare: true, urls: ["https://docs.example.org/{path}"]'
    assert said(f"{route}, purge: [full]") == (
        [],
        [
            "prefix: ends without a slash, so the key docs/a has the URL https://docs.example.org//a, with two "
            "slashes, and docs-b counts as well: write 'docs/'"
        ],
    )


@pytest.mark.parametrize(
    ("prefix", "url", "warned"),
    [
        ("docs/", "https://a.example/{path}", ""),
        ("docs", "https://a.example/docs{path}", ""),
        ("docs", "https://a.example/{key}", ""),
        ("docs", "https://a.example/v2/{path}?x=1", "prefix: ends without a slash"),
        ("docs/", "https://a.example/docs{path}", "urls[0]: 'https://a.example/docs{path}' has no slash before {path}"),
        ("", "https://a.example/docs{key}", "urls[0]: 'https://a.example/docs{key}' has no slash before {key}"),
        ("", "https://a.example//{key}", "urls[0]: 'https://a.example//{key}' has two slashes in its path"),
        ("", "https://a.example/-{key}", ""),
        ("", "https://img.example/https://a.example/{key}/size", ""),
        ("", "https://a.example/x?key={key}", ""),
        ("", "https://a.example/x/{bucket}/{dir}{stem}.webp", ""),
    ],
)
def test_slashes_between_prefix_and_url(prefix: str, url: str, warned: str) -> None:
    problems, warnings = said(f'bucket: shop-web, prefix: "{prefix}", urls: ["{url}"], purge: [full]')
    assert not problems
    assert [warning[: len(warned)] for warning in warnings] == ([warned] if warned else [])


# Patterns


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("**/*.map", "has **/, after which a slash must be in the key: write *.map, since * also matches slashes"),
        ("docs/**/a.html", "has **/, and doesn't match without a folder there: add docs/a.html"),
        ("!keep.css",
         "begins with !, which takes nothing back here: name the keys to act on under `include`"),
        ("*.{png,jpg}", "has braces, which stand for themselves: write *.png, *.jpg"),
        ("{a,b}/*.{x,y}", "has braces, which stand for themselves: write a/*.x, a/*.y, b/*.x, b/*.y"),
        ("{a,b}{a,b}{a,b}{a,b}{a,b}", "has braces, which stand for themselves: write a pattern for each"),
        (r"^.*\.map$", "looks like a regular expression, and is a shell pattern: write *.map"),
        (r"\.(png|jpe)$", "looks like a regular expression, and is a shell pattern: write *.png, *.jpe"),
        ("^drafts/", "looks like a regular expression, and is a shell pattern: write drafts/*"),
        (r"\d+\.html",
         "looks like a regular expression, and is a shell pattern: `match` takes regular expressions"),
        (".*", "matches keys that begin with a dot: write * for all, or add */.* for hidden files in folders"),
        ("[^a]*", "has [^, which is no negation here: write [!a]*"),
        ("*.map, *.txt", "is one pattern: write a list, *.map, *.txt"),
        ("/docs/*", "begins with a slash or ./, and keys rarely do: write docs/*"),
        ("./docs/*", "begins with a slash or ./, and keys rarely do: write docs/*"),
        ("node_modules/", "matches no key below the folder: write node_modules/*"),
        (".map", "matches that one key at the root: write *.map for all keys that end so"),
        ("img%20x/*", "is percent-encoded, and keys are compared as they are: write img x/*"),
        ("s3://acme-site/docs/*", "is a URI, and keys have no bucket in them: write docs/*"),
    ],
)  # fmt: skip
def test_a_pattern_of_another_tool_is_a_warning(pattern: str, text: str) -> None:
    quoted = f"'{pattern}'"
    expected = f"{pattern!r} {text}"
    assert said(f"bucket: acme-site, exclude: [{quoted}], {URLS}") == ([], [f"exclude[0]: {expected}"])
    also = f'also: [{{keys: [{quoted}], as: ["{{key}}.webp"]}}]'
    assert said(f"bucket: acme-site, {also}, {URLS}") == ([], [f"also[0].keys[0]: {expected}"])


@pytest.mark.parametrize(
    "patterns",
    [
        ["*.map"], ["docs/*"], ["docs/**"], ["*/.*"], [".git*"], ["*.tar.gz"], ["[!a]*"], ["a?c"], ["index.*"],
        [".*", "*/.*"], [".map", "*/.map"], ["docs/**/a", "docs/a"], ["a$b"], ["a,b.txt"], ["a (1).txt"], ["50%*"],
    ],
)  # fmt: skip
def test_a_pattern_that_may_be_meant_so_is_none(patterns: list[str]) -> None:
    assert [doubt(pattern, patterns) for pattern in patterns] == [""] * len(patterns)
    assert said(f"bucket: acme-site, exclude: {patterns}, {URLS}") == ([], [])


@pytest.mark.parametrize(
    ("prefix", "pattern", "written"),
    [("docs/", "drafts/*", "docs/drafts/*"), ("docs/", "a.html", "docs/a.html"), ("docs/", "news/?", "docs/news/?")],
)
def test_a_pattern_that_matches_nothing_below_the_prefix_is_a_warning(prefix: str, pattern: str, written: str) -> None:
    text = f"{pattern!r} is compared with whole keys, and matches none below {prefix}: write {written}"
    assert said(f"bucket: acme-site, prefix: {prefix}, exclude: ['{pattern}'], {URLS}") == ([], [f"exclude[0]: {text}"])


@pytest.mark.parametrize("pattern", ["*.map", "docs/drafts/*", "do*s/x", "[d]ocs/*.map", "docs/?"])
def test_a_pattern_that_may_match_below_the_prefix_is_none(pattern: str) -> None:
    assert said(f"bucket: acme-site, prefix: docs/, exclude: ['{pattern}'], {URLS}") == ([], [])


# Routes that never act


@pytest.mark.parametrize(
    ("route", "problem"),
    [
        ("exclude: ['*']", "exclude[0]: '*' leaves out every key of the bucket, so the route never acts"),
        ("exclude: ['*.map', '**']", "exclude[1]: '**' leaves out every key of the bucket, so the route never acts"),
        ("prefix: docs/, exclude: ['docs/*']",
         "exclude[0]: 'docs/*' leaves out every key below docs/, so the route never acts"),
        ("prefix: docs/img/, exclude: ['docs*']",
         "exclude[0]: 'docs*' leaves out every key below docs/img/, so the route never acts"),
        ("prefix: docs/, exclude: ['*/*']",
         "exclude[0]: '*/*' leaves out every key below docs/, so the route never acts"),
    ],
)  # fmt: skip
def test_a_route_that_excludes_all_its_keys_is_an_error(route: str, problem: str) -> None:
    assert said(f"bucket: acme-site, {route}, {URLS}") == ([problem], [])


@pytest.mark.parametrize("route", ["exclude: ['*/*']", "prefix: docs/, exclude: ['docs/*.map', 'docs/?*']"])
def test_a_route_that_leaves_some_keys_is_none(route: str) -> None:
    assert said(f"bucket: acme-site, {route}, {URLS}") == ([], [])


@pytest.mark.parametrize(
    ("route", "problem"),
    [
        ("include: ['*.html'], exclude: ['*.html']",
         "include: picks no key that the rest of the route leaves, so the route never acts"),
        ("suffix: .html, exclude: ['*.html']",
         "exclude[0]: '*.html' leaves out every key of the bucket, so the route never acts"),
        ("suffix: [.html, .xhtml], exclude: ['*html']",
         "exclude[0]: '*html' leaves out every key of the bucket, so the route never acts"),
    ],
)  # fmt: skip
def test_a_route_whose_members_leave_nothing_to_each_other_is_an_error(route: str, problem: str) -> None:
    assert said(f"bucket: acme-site, {route}, {URLS}") == ([problem], [])


def test_includes_that_pick_nothing_are_an_error() -> None:
    problem = "include: picks no key that the rest of the route leaves, so the route never acts"
    assert said(f"bucket: acme-site, prefix: docs/, include: ['news/*', 'a.html'], {URLS}") == ([problem], [])
    assert said(f"bucket: acme-site, suffix: .html, include: ['*.css'], {URLS}") == ([problem], [])


@pytest.mark.parametrize(
    "route",
    [
        "suffix: .html, exclude: ['drafts/*', '*-draft.html']",
        "suffix: [.html, .css], exclude: ['*.html']",
        "suffix: .html, include: ['docs/*', '*l', '*.h?ml', '*.htm[l]']",
        "ignore_case: true, suffix: .HTML, include: ['DOCS/*.html']",
        "include: ['*.html', 'a'], exclude: ['*.html']",
        "ignore_case: true, prefix: docs/, include: ['DOCS/*']",
    ],
)
def test_members_that_leave_something_to_each_other_are_none(route: str) -> None:
    assert said(f"bucket: acme-site, {route}, {URLS}") == ([], [])


def test_a_pattern_that_no_suffix_lets_match_is_a_warning() -> None:
    assert said(f"bucket: acme-site, suffix: [.html, .css], exclude: ['*.map'], {URLS}") == (
        [], ["exclude[0]: '*.map' matches no key that ends with .html or .css"],
    )  # fmt: skip


def test_each_name_of_a_list_of_buckets_is_looked_at() -> None:
    problems, _ = said(f"bucket: [acme-site, 's3://media-prod', 'media-*'], {URLS}")
    assert problems == [
        "bucket: 's3://media-prod' is a URI: write `bucket: media-prod`",
        "bucket: 'media-*' is no pattern: name each bucket, `bucket: [one, two]` or one route for each",
    ]


def test_a_preload_of_what_was_removed_never_happens() -> None:
    text = "preload: never happens: only what was created is loaded, and `on` leaves that out"
    urls = 'urls: ["https://a.example/{key}"]'
    assert said(f"bucket: acme-site, on: [removed], {urls}, preload: [warmer]") == ([text], [])
    assert said(f"bucket: acme-site, on: [removed], {urls}, purge: [full], preload: [warmer]") == ([], [text])


def test_members_that_do_nothing_are_warnings() -> None:
    text = "does nothing without `urls`: it is about the paths of URLs"
    route = "bucket: acme-site, index: index.html, strip: [.html], tags: [a], purge: [full]"
    assert said(route) == ([], [f"index: {text}", f"strip: {text}"])
    assert said(f"{route}, prefixes: ['https://a.example/{{dir}}']") == ([], [])
    gone = f"bucket: acme-site, soft: true, {URLS}"
    assert said(f"{gone}, on: [removed]") == ([], ["soft: does nothing: what was removed is always dropped"])
    assert said(f"{gone}, on: [created]") == ([], [])


def test_tags_of_what_was_removed_are_gone() -> None:
    text = "tags_from: gives no tag: what was removed has no metadata left, and `on` names nothing else"
    assert said("bucket: acme-site, on: [removed], tags_from: cache-tag, purge: [full]") == ([text], [])
    assert said(f"bucket: acme-site, on: [removed], tags_from: cache-tag, {URLS}") == ([], [])


def test_the_same_route_twice_is_a_warning() -> None:
    route = f"  - {{bucket: acme-site, {URLS}}}\n"
    found = config.parse(f"{HEAD}{route}{route.replace('acme-site', 'other')}{route}", "c.yml", installed())
    assert found.warnings[0] == "c.yml:6: routes[2]: is the same as the route at c.yml:4, and does nothing more"
    assert len(found.warnings) == 2  # and that nothing is loaded


# Templates


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://docs.example.org/${key}", "${key} is no placeholder here: write {key}"),
        ("https://docs.example.org/{{ key }}", "{{ key }} is no placeholder here: write {key}"),
        ("https://docs.example.org/%(filename)s", "%(filename)s is no placeholder here: write {name}"),
        ("https://docs.example.org/<path>", "<path> is no placeholder here: write {path}"),
        ("https://docs.example.org/${rest}", "${rest} is no placeholder here: write {rest}"),
        ("https://docs.example.org/#{key}", "#{key} is no placeholder here: write {key}"),
        ("https://docs.example.org/${stage}", "${stage} is no placeholder here: placeholders are written as {key}"),
        ("https://docs.example.org/{filename}", "unknown placeholder {filename}: write {name}"),
        ("https://docs.example.org/{key}?v={extension}", "unknown placeholder {extension}: write {ext}"),
    ],
)
def test_a_placeholder_of_another_tool_is_an_error(url: str, problem: str) -> None:
    assert said(f'bucket: acme-site, urls: ["{url}"], purge: [full]') == ([f"urls[0]: {problem}"], [])


@pytest.mark.parametrize(
    ("url", "warning"),
    [
        ("https://docs.example.org/$key", "$key stands for itself: write {key} if the object is meant"),
        ("https://docs.example.org/:path", ":path stands for itself: write {path} if the object is meant"),
        ("https://docs.example.org/%s", "%s stands for itself: write {key} if the object is meant"),
        ("https://docs.example.org/docs/*",
         "'https://docs.example.org/docs/*' ends with a *, which stands for itself: "
         "put what is before it under `prefixes`"),
    ],
)  # fmt: skip
def test_what_looks_like_a_placeholder_is_a_warning(url: str, warning: str) -> None:
    assert said(f'bucket: acme-site, urls: ["{url}"], purge: [full]') == ([], [f"urls[0]: {warning}"])


@pytest.mark.parametrize(
    "url",
    ["https://a.example:8443/{key}", "https://a.example/@{key}", "https://a.example/$metadata/{key}",
     "https://a.example/%20/{key}", "https://a.example/x:y/{key}"],
)  # fmt: skip
def test_signs_that_a_url_may_hold_are_none(url: str) -> None:
    assert said(f'bucket: acme-site, urls: ["{url}"], purge: [full]') == ([], [])


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("https://www.acme.com/docs", "is a URL: write www.acme.com"),
        ("//www.acme.com", "is a URL: write www.acme.com"),
        ("www.acme.com/docs", "is more than a host name: write www.acme.com"),
        ("user@www.acme.com:80", "is more than a host name: write www.acme.com"),
        ("*.acme.com", "is no pattern: write each host by its name"),
        ("größe.example", "holds characters that hosts spell in punycode: write its form that begins with xn--"),
        ("www acme com", "isn't a host name; write www.example.com"),
    ],
)
def test_a_host_that_is_more_than_a_name_is_an_error(host: str, text: str) -> None:
    assert said(f'bucket: acme-site, hosts: ["{host}"], purge: [full]') == ([f"hosts[0]: {host!r} {text}"], [])
