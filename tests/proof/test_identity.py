"""What an edge's answer proves: each instrument, what it doesn't say, and whose turn it is when S3 has moved on."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest

from multicdn.aws.s3 import StoredObject
from multicdn.proof import signs
from multicdn.proof.identity import Verdict, judge, wants_body
from multicdn.sequel import Subject
from multicdn.terms import Seen

OLD, NEW, NEXT = "0" * 32, "1" * 32, "2" * 32
EVENT = 1_800_000_000.4  # 2027-01-15T08:00:00.400Z
TIME = "2027-01-15T08:00:00.400Z"
PURGED, NOW = EVENT + 10, EVENT + 30


def subject(**changes: Any) -> Subject:
    return Subject(**{"url": "https://e.org/a", "bucket": "b", "key": "a", "time": TIME, "etag": NEW, **changes})


def stored(etag: str = NEW, at: float = EVENT, **changes: Any) -> StoredObject:
    md5 = etag if len(etag) == 32 else ""
    return StoredObject(etag, **{"size": 100, "modified": float(int(at)), "md5": md5, "type": "text/css", **changes})


def seen(status: int = 200, **headers: Any) -> Seen:
    md5, size, reason, pop = (headers.pop(name, "") for name in ("md5", "size", "reason", "pop"))
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    return Seen(status=status, headers=named, md5=md5, size=size or None, reason=reason, pop=pop)


def date(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


def judged(answer: Seen, now: StoredObject | None = None, told: Subject | None = None, **how: Any) -> Verdict:
    settings = {"identity": "auto", "removed_as": (), "purged": PURGED, "now": NOW, **how}
    return judge(told or subject(), now or stored(), answer, **settings)


FRESH = {
    "etag": seen(etag=f'"{NEW}"'),
    "etag without quotes": seen(etag=NEW),
    "weak etag": seen(etag=f'W/"{NEW}"', content_encoding="gzip", size=60),
    **{f"etag {mark}": seen(etag=f'"{NEW}{mark}"') for mark in ("-gzip", "--gzip", ";gzip", "-br", "-df", "/gzip")},
    "version id": seen(x_amz_version_id="v2", etag='"of-the-server"'),
    "md5": seen(md5=NEW),
    "md5, though the server has an ETag of its own": seen(md5=NEW, etag='"5f3-60a"'),
    "time and size": seen(last_modified=date(EVENT), size=100),
    "time, where a coding makes the size another": seen(last_modified=date(EVENT), size=60, content_encoding="gzip"),
    "time and size, without a coding": seen(last_modified=date(EVENT), size=100, content_encoding="identity"),
    "time alone": seen(last_modified=date(EVENT)),
    "polished, by its time": seen(cf_polished="origSize=100", last_modified=date(EVENT), size=60),
    "polished, by its ETag": seen(cf_polished="origSize=100", etag=f'W/"{NEW}"', size=60),
    "same bytes of an older version": seen(x_amz_version_id="v1", etag=f'"{NEW}"'),
    "same bytes of an older upload": seen(last_modified=date(EVENT - 900), md5=NEW),
    "a page of another type, by its ETag": seen(content_type="text/html", etag=f'"{NEW}"'),
    "a page that Cloudflare has put something into, by its time": seen(
        server="cloudflare", content_type="text/html", md5=OLD, size=120, last_modified=date(EVENT)
    ),
    "a type that the site puts in where S3 has none": seen(content_type="image/png", etag=f'"{NEW}"'),
    "newer, with an ETag of S3": seen(etag=f'"{NEXT}"', last_modified=date(EVENT + 2)),
}


@pytest.mark.parametrize("name", FRESH)
def test_new_bytes_are_told(name: str) -> None:
    verdict = judged(FRESH[name], stored(version="v2"), subject(version="v2"))
    assert (verdict.state, verdict.expected) == ("fresh", f'ETag "{NEW}"')


STALE = {
    "etag": seen(etag=f'"{OLD}"'),
    "weak etag": seen(etag=f'W/"{OLD}"', size=60),
    "compressed": seen(etag=f'"{OLD}-gzip"', content_encoding="gzip"),
    "etag, though the time is of the same second": seen(etag=f'"{OLD}"', last_modified=date(EVENT)),
    "etag of parts": seen(etag=f'"{OLD}-12"'),
    "version id": seen(x_amz_version_id="v1"),
    "md5": seen(md5=OLD),
    "md5, whatever the metadata are called": seen(md5=OLD, x_amz_meta_transform="none"),
    "time": seen(last_modified=date(EVENT - 1)),
    "time of a page that Cloudflare has put something into": seen(
        server="cloudflare", content_type="text/html", md5=OLD, last_modified=date(EVENT - 9)
    ),
    "page, by MD5, of a time before": seen(content_type="text/css", md5=OLD, last_modified=date(EVENT - 9)),
    "time in the form of C, in UTC": seen(last_modified="Fri Jan 15 07:59:59 2027"),
    "time of what was transformed": seen(last_modified=date(EVENT - 900), cf_polished="1", etag='"own"', size=60),
    "version id of what was transformed": seen(x_amz_version_id="v1", fastly_io_info="ofmt=webp"),
}


@pytest.mark.parametrize("name", STALE)
def test_old_bytes_are_told(name: str) -> None:
    assert judged(STALE[name], stored(version="v2"), subject(version="v2")).state == "stale"


UNKNOWN = {
    "nothing that compares": (seen(), "shows no version id"),
    "a server's own ETag": (seen(etag='"5f3-60a"'), "shows no version id"),
    "no answer": (seen(0, reason="no answer within 5 s"), "no answer within 5 s"),
    "login": (seen(401), "login needed"),
    "refused": (seen(403), "login needed, or refused: it answers 403"),
    "redirect": (seen(301, location="https://www.e.org/a?token=x"), "redirects to https://www.e.org/a (301)"),
    "in trouble": (seen(503), "answers 503"),
    "throttled": (seen(429), "answers 429"),
    "not served": (seen(404), "doesn't serve it at this URL"),
    "not served since the purge": (seen(404, age=3), "doesn't serve it at this URL"),
    "polished": (seen(cf_polished="origSize=100", etag=f'W/"{OLD}"'), "cf-polished: origSize=100"),
    "polished within the second": (seen(cf_polished="1", etag=f'"{OLD}"', last_modified=date(EVENT)), "cf-polished"),
    "optimised": (seen(fastly_io_info="ofmt=webp", md5=OLD), "fastly-io-info"),
    "said by itself": (seen(warning='214 proxy "Transformation Applied"', md5=OLD), "Warning: 214"),
    "a transformer's status": (seen(203, md5=OLD), "Warning: 214"),
    "another type": (seen(content_type="image/webp", md5=OLD), "Content-Type image/webp, in S3 text/css"),
    "a weak ETag of another length": (seen(etag='W/"own"', size=60, md5=OLD), "weak ETag, and 60 bytes"),
    "the same, packed on its way": (
        seen(etag='W/"own"', size=60, md5=OLD, content_encoding="gzip"),
        "weak ETag, and 60 bytes",
    ),
    "named a transform": (seen(x_acme_transform="w=200", md5=OLD), "x-acme-transform"),
    "another length of the same second": (seen(last_modified=date(EVENT), size=60), "60 bytes where S3 has 100"),
    "a time of the site's own": (seen(last_modified=date(NOW)), "shows no version id"),
    "another length of the same second, not coded": (
        seen(last_modified=date(EVENT), size=60, content_encoding="identity"),
        "60 bytes where S3 has 100",
    ),
    "a page rewritten at Cloudflare": (
        seen(server="cloudflare", content_type="text/html", cf_cache_status="DYNAMIC", md5=OLD),
        "Content-Type text/html",
    ),
    "other bytes of the same second": (seen(md5=OLD, last_modified=date(EVENT)), "Last-Modified as in S3, but"),
    "same length, other bytes of the same second": (
        seen(md5=OLD, size=100, last_modified=date(EVENT)),
        "Last-Modified as in S3, but another MD5",
    ),
    "an ETag of what ImageKit made": (seen(x_server="ImageKit.io", etag=f'"{OLD}"'), "x-server: ImageKit.io"),
    "an ETag of what Cloudinary made": (seen(server="Cloudinary", etag=f'"{OLD}"'), "server: Cloudinary"),
    "PageSpeed": (seen(x_page_speed="1.13", md5=OLD), "x-page-speed"),
    "a time before there was S3": (seen(last_modified=date(0)), "shows no version id"),
    "CloudFront's page for errors": (
        seen(etag=f'"{OLD}"', x_cache="Error from cloudfront"),
        "doesn't serve it at this URL: it answers 200 with its page for errors",
    ),
    "a token behind a fragment": (seen(302, location="/login#id_token=x"), "redirects to /login (302)"),
    "a challenge": (seen(403, cf_mitigated="challenge"), "refused by the CDN itself (cf-mitigated: challenge)"),
    "version null": (seen(x_amz_version_id="null"), "shows no version id"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_cannot_be_told_is_neither(name: str) -> None:
    answer, reason = UNKNOWN[name]
    verdict = judged(answer, stored(version="null"))
    assert verdict.state == "unknown"
    assert reason in verdict.reason
    assert "token" not in verdict.reason


@pytest.mark.parametrize("etag", [f"{NEW}-3", NEW])
def test_an_etag_that_is_no_md5_still_proves_itself(etag: str) -> None:
    """Of parts, or encrypted with KMS."""
    now = stored(etag, md5="")
    assert judged(seen(etag=f'"{etag}"', md5=OLD), now, subject(etag=etag)).state == "fresh"
    assert judged(seen(md5=OLD), now, subject(etag=etag)).state == "unknown"


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (seen(content_type="text/html", server="cloudflare", md5=OLD), "unknown"),
        (seen(content_type="text/html", md5=OLD), "unknown"),
        (seen(content_type="text/html", md5=NEW), "fresh"),
        (seen(content_type="text/html", etag='"own"', md5=OLD), "unknown"),
        (seen(content_type="text/html", etag='"own"', md5=OLD, last_modified=date(EVENT - 9)), "stale"),
        (seen(content_type="text/html", etag=f'W/"{OLD}"', md5=OLD), "stale"),
    ],
)
def test_a_page_without_what_s3_sends_may_be_rewritten(answer: Seen, state: str) -> None:
    assert judged(answer, stored(type="text/html")).state == state


def test_a_config_may_say_that_pages_are_not_rewritten() -> None:
    answer = seen(content_type="text/html", md5=OLD)
    assert judged(answer, stored(type="text/html"), identity="md5").state == "stale"


def test_a_type_that_s3_was_not_told_says_nothing() -> None:
    assert judged(seen(content_type="image/png", etag=f'"{OLD}"'), stored(type="binary/octet-stream")).state == "stale"


def test_an_object_that_is_stored_compressed_has_no_md5_without_its_coding() -> None:
    now = stored(encoding="gzip")
    assert judged(seen(md5=OLD, content_encoding="gzip"), now).state == "unknown"
    assert judged(seen(last_modified=date(EVENT), size=300), now).state == "fresh"


def test_a_media_type_is_the_same_with_parameters() -> None:
    assert judged(seen(content_type="Text/CSS; charset=utf-8", md5=OLD)).state == "stale"


METADATA = {"12": "fresh", "13": "fresh", "9": "stale", "": "unknown", "x": "stale"}


@pytest.mark.parametrize(("number", "state"), METADATA.items())
def test_a_write_number_decides_alone_and_is_compared_as_a_number(number: str, state: str) -> None:
    answer = seen(x_amz_meta_write=number, etag=f'"{NEW}"')
    verdict = judged(answer, stored(metadata={"write": "12"}), identity="metadata:write")
    assert verdict.state == state
    assert verdict.expected == "x-amz-meta-write 12"


def test_a_write_number_is_never_guessed() -> None:
    answer = seen(x_amz_meta_write="9", etag=f'"{NEW}"')
    assert judged(answer, stored(metadata={"write": "12"})).state == "fresh"


@pytest.mark.parametrize(
    ("identity", "state"),
    [("auto", "fresh"), ("version", "stale"), ("etag", "fresh"), ("md5", "unknown"), ("modified", "stale")],
)
def test_a_config_may_say_which_instrument_to_believe(identity: str, state: str) -> None:
    answer = seen(etag=f'"{NEW}"', x_amz_version_id="v1", last_modified=date(EVENT - 60), reason="")
    assert judged(answer, stored(version="v2"), subject(version="v2"), identity=identity).state == state


def test_a_time_is_not_believed_where_another_instrument_is_named() -> None:
    assert judged(seen(etag=f'"{NEXT}"', last_modified=date(EVENT + 2)), identity="etag").state == "stale"


def test_an_etag_of_a_directory_bucket_proves_itself_alone() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-express-differences.html: they are no MD5s."""
    now = stored("f9bbd1c2a4-express")
    assert judged(seen(etag='"f9bbd1c2a4-express"'), now, subject(etag="")).state == "fresh"
    assert judged(seen(etag=f'"{OLD}"'), now, subject(etag="")).state == "unknown"


def test_an_instrument_that_is_silent_is_named() -> None:
    answer = seen(reason="the MD5 of its body isn't known: it broke off")
    assert judged(answer, identity="md5").reason == (
        "MD5 can't be compared: the MD5 of its body isn't known: it broke off"
    )
    assert "x-amz-meta-write can't be compared" in judged(seen(), identity="metadata:write").reason


def test_a_purge_by_hand_from_a_machine_whose_clock_is_behind_finds_stale_edges() -> None:
    verdict = judged(seen(etag=f'"{OLD}"'), stored(NEW, EVENT + 60), subject(time="", etag=NEW))
    assert verdict.state == "stale"


# S3 has moved on.

LATER = stored(NEXT, EVENT + 3)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (seen(etag=f'"{NEW}"'), "fresh"),  # what the event told of
        (seen(etag=f'W/"{NEXT}-gzip"'), "fresh"),  # what S3 has now
        (seen(etag='"own"', last_modified=date(EVENT + 2)), "fresh"),  # something in between
        (seen(etag=f'"{OLD}"', last_modified=date(EVENT - 9)), "superseded"),
        (seen(etag=f'"{OLD}"', age=600), "superseded"),
        (seen(cf_polished="1", md5=OLD), "superseded"),
        (seen(404, age=600), "superseded"),
        (seen(503), "unknown"),
        (seen(302), "unknown"),
    ],
)
def test_an_object_that_changed_again_is_never_stale(answer: Seen, state: str) -> None:
    assert judged(answer, LATER).state == state


def test_the_same_bytes_again_do_not_make_those_of_the_event_old() -> None:
    """As when a deploy uploads everything once more, and a site shows nothing but times."""
    assert judged(seen(last_modified=date(EVENT)), stored(at=EVENT + 5)).state == "superseded"


def test_what_an_event_does_not_name_may_be_what_was_there_in_the_same_second() -> None:
    answer = seen(etag=f'"{OLD}"', last_modified=date(EVENT))
    assert judged(answer, told=subject(etag="")).state == "unknown"
    assert judged(answer, told=subject(etag="", version="v1")).state == "stale"


@pytest.mark.parametrize(
    ("told", "now", "another"),
    [
        ({"version": "v1"}, {"version": "v2", "etag": NEW}, True),
        ({"version": "v1"}, {"version": "v1", "etag": NEXT}, False),
        ({"version": "null"}, {"version": "null", "etag": NEW}, False),
        ({"version": "null"}, {"version": "null", "etag": NEXT}, True),
        ({}, {"etag": NEW, "at": EVENT + 60}, True),  # the same bytes again: others may have been there in between
        ({}, {"etag": NEW, "at": EVENT - 60}, False),  # an upload in parts, that began long before
        ({"etag": ""}, {"etag": NEXT, "at": EVENT + 1}, True),
        ({"etag": ""}, {"etag": NEXT, "at": EVENT}, False),
        ({"etag": "", "time": ""}, {"etag": NEXT, "at": PURGED}, False),
        ({"etag": "", "time": ""}, {"etag": NEXT, "at": PURGED + 1}, True),  # after its purge
        ({"etag": "", "time": "yesterday"}, {"etag": NEXT, "at": PURGED}, False),
    ],
)
def test_what_counts_as_another_object(told: dict[str, Any], now: dict[str, Any], another: bool) -> None:
    verdict = judged(seen(etag=f'"{OLD}"'), stored(**now), subject(**told))
    assert verdict.state == ("superseded" if another else "stale")


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (seen(404), "fresh"),
        (seen(403), "fresh"),
        (seen(403, cf_mitigated="challenge"), "unknown"),
        (seen(etag=f'"{OLD}"', x_cache="Error from cloudfront"), "fresh"),
        (seen(etag=f'"{NEW}"'), "fresh"),
        (seen(etag=f'"{OLD}"'), "superseded"),
        (seen(500), "unknown"),
    ],
)
def test_an_object_that_was_removed_since(answer: Seen, state: str) -> None:
    verdict = judge(subject(), None, answer, identity="auto", purged=PURGED, now=NOW)
    assert (verdict.state, verdict.expected) == (state, "403 or 404 or 410")


# Removed, or closed to readers.


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (seen(404), "fresh", "answers 404"),
        (seen(403, age=600), "fresh", "answers 403"),
        (seen(410), "fresh", "answers 410"),
        (seen(418), "fresh", "answers 418"),
        (seen(200, age=3), "fresh", "what the site serves instead"),
        (seen(403, server="CloudFront"), "unknown", "refused by the CDN itself (Server: CloudFront)"),
        (seen(403, server="AkamaiGHost"), "unknown", "refused by the CDN itself"),
        (seen(403, server="AmazonS3"), "fresh", "answers 403"),
        (seen(404, server="CloudFront"), "fresh", "answers 404"),
        (seen(200, x_cache="Error from cloudfront"), "fresh", "page for errors"),
        (seen(302, age=3), "fresh", "what the site serves instead"),
        (seen(200, age=21), "unknown", "as old as the purge"),
        (seen(200, age=20), "unknown", "as old as the purge"),
        (seen(200, age=19), "fresh", "what the site serves instead"),
        (seen(200, age=22), "stale", "cached before the purge"),
        (seen(200, age="3, 600"), "fresh", "what the site serves instead"),
        (seen(200), "unknown", "doesn't say since when"),
        (seen(200, age="old"), "unknown", "`removed_as`"),
        (seen(302, location="/"), "unknown", "redirects to / (302)"),
        (seen(401), "unknown", "login needed"),
        (seen(502), "unknown", "answers 502"),
        (seen(0), "unknown", "no answer"),
    ],
)
def test_a_removed_object(answer: Seen, state: str, reason: str) -> None:
    gone = subject(gone=True, etag="")
    verdict = judge(gone, None, answer, identity="auto", removed_as=(418,), purged=PURGED, now=NOW)
    assert verdict.state == state
    assert reason in verdict.reason


@pytest.mark.parametrize(("age", "state"), [(600, "stale"), (3, "fresh"), (None, "fresh")])
def test_a_site_may_answer_200_for_removed_objects(age: int | None, state: str) -> None:
    answer = seen(200) if age is None else seen(200, age=age)
    verdict = judge(subject(gone=True), None, answer, identity="auto", removed_as=(200,), purged=PURGED, now=NOW)
    assert verdict.state == state


def test_without_a_purge_no_age_is_before_or_after_it() -> None:
    answer = seen(200, age=600)
    verdict = judge(subject(gone=True), None, answer, identity="auto", purged=None, now=NOW)
    assert verdict.state == "unknown"


@pytest.mark.parametrize(
    ("answer", "state"),
    [(seen(etag=f'"{NEXT}"'), "fresh"), (seen(etag=f'"{OLD}"'), "superseded"), (seen(404), "fresh")],
)
def test_an_object_that_came_back(answer: Seen, state: str) -> None:
    assert judged(answer, LATER, subject(gone=True, etag="")).state == state


def test_an_object_that_came_back_within_the_second() -> None:
    assert judged(seen(etag=f'"{NEXT}"'), stored(NEXT, EVENT), subject(gone=True, etag="")).state == "fresh"


@pytest.mark.parametrize(
    ("answer", "state"), [(seen(age=600), "stale"), (seen(), "unknown"), (seen(age=1), "fresh"), (seen(403), "fresh")]
)
def test_an_object_that_was_closed_is_there_still(answer: Seen, state: str) -> None:
    assert judged(answer, stored(at=EVENT - 900), subject(gone=True)).state == state


# What people read.


def test_a_verdict_says_what_was_seen_and_why() -> None:
    answer = seen(
        etag=f'"{OLD}"', age=312, x_cache="Hit from cloudfront", vary="Origin, Accept-Encoding",
        set_cookie="(not shown)", pop="FRA56-P1",
    )  # fmt: skip
    assert judged(answer) == Verdict(
        "stale",
        "ETag is not that of S3; cached before the purge, which did not reach this copy or the one behind it; "
        "x-cache: Hit from cloudfront; "
        "Vary: Origin, so there may be a copy for each; sets a cookie, so it may be kept for some visitors alone",
        f'ETag "{OLD}", 312 s old',
        f'ETag "{NEW}"',
        "FRA56-P1",
        312.0,
    )


def test_old_bytes_that_came_after_the_purge_are_of_an_inner_cache() -> None:
    assert "a shield, another CDN" in judged(seen(etag=f'"{OLD}"', age=3)).reason


def test_a_page_that_was_missing_before_the_purge_is_stale() -> None:
    verdict = judged(seen(404, age=600))
    assert (verdict.state, verdict.seen) == ("stale", "404, 600 s old")
    assert judged(seen(403, age=600, server="AmazonS3")).state == "stale", "so says S3 where nobody may list"
    assert judged(seen(403, age=600)).state == judged(seen(403, age=3, server="AmazonS3")).state == "unknown"


def test_nothing_of_an_edge_steers_a_terminal() -> None:
    verdict = judged(seen(etag='"\x1b[2J"', x_cache="\x1b[31m" + "x" * 500, last_modified=date(0)))
    assert "\x1b" not in verdict.reason + verdict.seen
    assert len(verdict.reason) < 400


@pytest.mark.parametrize(
    ("answer", "told", "wanted"),
    [
        (seen(etag='"own"'), {}, True),
        (seen(), {}, True),
        (seen(etag=f'"{OLD}"'), {}, False),
        (seen(x_amz_version_id="v"), {}, False),
        (seen(), {"etag": f"{NEW}-2"}, False),
        (seen(), {"gone": True}, False),
        (seen(404), {}, False),
    ],
)
def test_a_body_is_read_only_where_headers_cannot_tell(answer: Seen, told: dict[str, Any], wanted: bool) -> None:
    assert wants_body(answer, subject(**told)) is wanted


@pytest.mark.parametrize(
    ("headers", "pop"),
    [
        ({"x-amz-cf-pop": "FRA56-P1", "via": "1.1 varnish, 1.1 x (CloudFront)", "x-served-by": "a"}, "FRA56-P1"),
        ({"x-amz-cf-pop": "FRA56-P1", "via": "1.1 x (CloudFront), 1.1 varnish", "x-served-by": "a, b"}, "b"),
        ({"server": "ECAcc (fra/8A6B)"}, "fra/8A6B"),
        ({"server": "BunnyCDN-DE1-1049"}, "DE1-1049"),
        ({"x-hw": "1600000000.dop123.fr8.t,1600000000.cds014.fr8.c"}, "1600000000.cds014.fr8.c"),
        ({"server": "nginx"}, ""),
    ],
)
def test_the_pop_that_answered_is_named(headers: dict[str, str], pop: str) -> None:
    """Not that of a CDN behind it."""
    assert signs.pop(headers) == pop
