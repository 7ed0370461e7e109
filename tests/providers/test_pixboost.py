"""The Pixboost provider against the simulated API: exact paths, a secret that nobody sees, and its edge."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from multicdn_providers.pixboost import Pixboost

from multicdn.errors import CredentialsRefused, RetryLater, TargetsRefused
from multicdn.model import Action, Target, TargetKind
from multicdn.provider import Call, Secret, capabilities
from multicdn.simulators import ManualClock, Origin
from multicdn.simulators.kit import faults
from multicdn.simulators.pixboost import PixboostSimulator
from multicdn.testing._conformance.failure_cases import ODD_PATHS
from multicdn.testing._conformance.side_effects import everything_said, outside_work

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = "https://pictures.acme.com"
SECRET = "s3cr3t-of-the-api/with+odd%characters&more"
ENCODED = "s3cr3t-of-the-api%2Fwith%2Bodd%25characters%26more"
CALL = Call(connect=1.0, read=2.0)


@pytest.fixture
def cdn(origin: Origin) -> Iterator[PixboostSimulator]:
    with PixboostSimulator(origin.url, secret=SECRET) as running:
        yield running


def provider_of(cdn: PixboostSimulator, secret: str | None = None) -> Pixboost:
    return Pixboost(endpoint=cdn.endpoint, secret=Secret.literal(secret or cdn.secret))


def located(url: str, action: Action = Action.PURGE) -> str:
    [target] = Pixboost(secret=Secret.literal(SECRET)).locate(Target(TargetKind.URL, url), action)
    value: str = target.value
    return value


def test_it_purges_and_preloads_urls() -> None:
    assert [(what.action, what.kind) for what in capabilities(Pixboost)] == [
        (Action.PURGE, TargetKind.URL),
        (Action.PRELOAD, TargetKind.URL),
    ]
    assert (Pixboost.url_limits.targets, Pixboost.url_limits.parallel, Pixboost.preload_limits.targets) == (1, 1, 20)


@pytest.mark.parametrize(
    ("options", "endpoint"),
    [
        ({}, "https://pixboost.com"),
        ({"domain": "images.acme.com"}, "https://images.acme.com"),
        ({"endpoint": "https://other.example.com/base"}, "https://other.example.com/base"),
        ({"domain": "images.acme.com", "endpoint": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
    ],
)
def test_the_domain_gives_the_endpoint_unless_there_is_one(options: dict[str, str], endpoint: str) -> None:
    with outside_work() as seen:
        assert Pixboost(secret=Secret.literal(SECRET), **options).endpoint == endpoint
    assert not seen


@pytest.mark.parametrize(
    "options",
    [
        {"domain": "https://images.acme.com"},
        {"domain": "images.acme.com/api"},
        {"domain": "me@images.acme.com"},
        {"domain": ""},
        {"endpoint": "http://images.acme.com"},
    ],
)
def test_what_is_no_domain_or_would_go_out_in_clear_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"domain|endpoint"):
        Pixboost(secret=Secret.literal(SECRET), **options)


def test_old_images_are_served_until_the_purge_of_their_source(cdn: PixboostSimulator, origin: Origin) -> None:
    source = f"{SOURCE}/a.png"
    pages = [
        cdn.image_url(source, "resize", size="x100"),
        cdn.image_url(source),
        cdn.image_url(source, host="i.acme.com"),
    ]
    origin.put("a.png", "old")
    for page in pages:
        cdn.fetch(page)
    origin.put("a.png", "new")
    assert {cdn.fetch(page).body for page in pages} == {b"old"}
    provider_of(cdn).purge_urls([located(source)], CALL)
    assert {cdn.fetch(page).body for page in pages} == {b"new"}


def test_a_cached_image_is_accepted_with_an_estimate_and_another_is_done_at_once(cdn: PixboostSimulator) -> None:
    cdn.fetch(cdn.image_url(f"{SOURCE}/a.png"))
    assert provider_of(cdn).purge_urls([f"{SOURCE}/a.png"], CALL).estimate == 300.0
    assert provider_of(cdn).purge_urls([f"{SOURCE}/b.png"], CALL).estimate == 0.0
    assert [call.status for call in cdn.calls] == [202, 200]


SENDABLE = {name: path for name, path in ODD_PATHS.items() if name != "dots"}


@pytest.mark.parametrize("path", SENDABLE.values(), ids=SENDABLE)
def test_odd_keys_are_purged_exactly(cdn: PixboostSimulator, path: str) -> None:
    page, other = cdn.image_url(SOURCE + path), cdn.image_url(SOURCE + path + "x")
    cdn.fetch(page)
    cdn.fetch(other)
    assert provider_of(cdn).purge_urls([located(SOURCE + path)], CALL).estimate == 300.0
    assert (cdn.fetch(page).cache, cdn.fetch(other).cache) == ("MISS", "HIT")


def test_the_source_stands_raw_in_the_path(cdn: PixboostSimulator) -> None:
    with pytest.raises(CredentialsRefused):
        provider_of(cdn, "plain-secret").purge_urls([located(f"{SOURCE}/a%20b//%2fc.png")], CALL)
    assert cdn.calls[0].target == "/api/2/img/https://pictures.acme.com/a%20b//%2fc.png?auth=plain-secret"


@pytest.mark.parametrize("path", ["/../../../api/2/all", "/a/%2e%2E/b.png", "/a/./b.png", "/a/..", "/..%2Fb.png"])
def test_dot_segments_never_stand_in_the_path(cdn: PixboostSimulator, path: str) -> None:
    with pytest.raises(TargetsRefused, match=r"segment \. or \.\."):
        located(SOURCE + path)
    with pytest.raises(TargetsRefused, match=r"segment \. or \.\."):  # as a job that comes from the queue, spelled
        provider_of(cdn).purge_urls([SOURCE + path], CALL)
    assert cdn.calls == []


@pytest.mark.parametrize(
    ("url", "spelled"),
    [
        (f"{SOURCE}/a.png?v=1", f"{SOURCE}/a.png%3Fv=1"),
        (f"{SOURCE}/a.png#top", f"{SOURCE}/a.png%23top"),
        (f"{SOURCE}/a%3Fb%23c.png", f"{SOURCE}/a%3Fb%23c.png"),
    ],
)
def test_a_query_of_the_source_cannot_swallow_the_secret(cdn: PixboostSimulator, url: str, spelled: str) -> None:
    assert located(url) == spelled
    assert provider_of(cdn).purge_urls([located(url)], CALL).estimate == 0.0  # else the answer were a 401


@pytest.mark.parametrize("path", ODD_PATHS.values(), ids=ODD_PATHS)
def test_what_is_preloaded_is_a_hit_for_the_first_client(cdn: PixboostSimulator, path: str) -> None:
    page = cdn.image_url(SOURCE + path, "fit", size="100x100")
    provider_of(cdn).preload_urls([located(page, Action.PRELOAD)], CALL)
    assert cdn.fetch(page).cache == "HIT"
    assert cdn.warmed == [page]


def test_a_preload_takes_twenty_images_byte_for_byte(cdn: PixboostSimulator) -> None:
    pages = [cdn.image_url(f"{SOURCE}/{number}.png") for number in range(20)]
    provider_of(cdn).preload_urls(pages, CALL)
    [call] = cdn.calls
    assert (call.method, call.items, call.status) == ("POST", 20, 202)
    assert json.loads(call.body) == {"images": pages}


def test_too_many_images_refuse_the_batch(cdn: PixboostSimulator) -> None:
    with pytest.raises(TargetsRefused):
        provider_of(cdn).preload_urls([cdn.image_url(f"{SOURCE}/{number}.png") for number in range(21)], CALL)


def test_accepted_is_not_done(origin: Origin) -> None:
    clock = ManualClock()
    with PixboostSimulator(origin.url, seconds=300, clock=clock) as cdn:
        page = cdn.image_url(f"{SOURCE}/a.png")
        cdn.fetch(page)
        provider_of(cdn).purge_urls([f"{SOURCE}/a.png"], CALL)
        assert cdn.fetch(page).cache == "HIT"
        clock.advance(300)
        assert cdn.fetch(page).cache == "MISS"


@pytest.mark.parametrize(("secret", "sources"), [("wrong-secret", ()), (None, ("images.other.com",))])
def test_a_401_names_both_of_its_causes(origin: Origin, secret: str | None, sources: tuple[str, ...]) -> None:
    with (
        PixboostSimulator(origin.url, sources=sources) as cdn,
        pytest.raises(CredentialsRefused, match=r"401.*secret is wrong.*domain isn't among the image sources"),
    ):
        provider_of(cdn, secret).purge_urls([f"{SOURCE}/a.png"], CALL)


def test_success_shows_the_secret_in_no_log(cdn: PixboostSimulator, caplog: pytest.LogCaptureFixture) -> None:
    provider = provider_of(cdn)
    caplog.set_level("DEBUG")
    provider.purge_urls([f"{SOURCE}/a.png"], CALL)
    assert "DELETE" in caplog.text  # urllib3 has logged the request
    assert ENCODED not in caplog.text + repr(provider)


@pytest.mark.parametrize("status", [400, 401, 500, 200])
@pytest.mark.parametrize("shown", [SECRET, ENCODED], ids=["plain", "encoded"])
def test_a_secret_that_the_vendor_repeats_is_not_shown(
    cdn: PixboostSimulator, status: int, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    # What is quoted ends within the secret, so that it must be hidden before it is cut.
    cdn.faults.once(faults.status(status, body=f"<p>{'x' * 240} can't DELETE /api/2/img/a.png?auth={shown}</p>"))
    caplog.set_level("DEBUG")
    with pytest.raises((TargetsRefused, CredentialsRefused, RetryLater)) as caught:
        provider_of(cdn).purge_urls([f"{SOURCE}/a.png"], CALL)
    assert "a.png?auth=[secret]" in caught.value.reason
    assert SECRET[:6] not in everything_said(caught.value) + caplog.text


def test_the_secret_goes_out_encoded(cdn: PixboostSimulator) -> None:
    provider_of(cdn).purge_urls([f"{SOURCE}/a.png"], CALL)
    assert cdn.calls[0].target == f"/api/2/img/{SOURCE}/a.png?auth={ENCODED}"


@pytest.mark.parametrize("body", ["", "{}", "ok", '{"status": "done"}'])
def test_any_body_but_a_page_may_go_with_success(cdn: PixboostSimulator, body: str) -> None:
    cdn.faults.once(faults.status(202, body=body))
    assert provider_of(cdn).purge_urls([f"{SOURCE}/a.png"], CALL).estimate == 300.0


def test_a_repetition_after_a_lost_answer_is_accepted(cdn: PixboostSimulator) -> None:
    page = cdn.image_url(f"{SOURCE}/a.png")
    cdn.fetch(page)
    cdn.faults.once(faults.lost())
    with pytest.raises(RetryLater):
        provider_of(cdn).purge_urls([f"{SOURCE}/a.png"], CALL)
    provider_of(cdn).purge_urls([f"{SOURCE}/a.png"], CALL)
    assert cdn.fetch(page).cache == "MISS"
