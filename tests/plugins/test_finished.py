"""When a purge counts as finished, by what a vendor says of it."""

from __future__ import annotations

import pytest
from generate import own_plugins

from multicdn import provider, terms
from multicdn.model import Receipt, TargetKind
from multicdn.provider import Confirm, Confirmation, Prove, Speed, published

URL, TAG, EVERYTHING = TargetKind.URL, TargetKind.TAG, TargetKind.EVERYTHING
OWN = own_plugins()


@pytest.mark.parametrize(
    ("vendor", "kind", "receipt", "expected"),
    [
        ("fastly", URL, Receipt(), (0.15, True)),
        ("fastly", EVERYTHING, Receipt(), (20.0, True)),
        ("fastly", URL, Receipt(estimate=3), (3.0, True)),
        ("fastly", URL, Receipt(estimate=0), (0.0, True)),
        ("cloudfront", TAG, Receipt(), (5, True)),
        ("cloudflare", TAG, Receipt(), (0.15, True)),
        ("cloudflare", URL, Receipt(), (0.0, False)),
        ("edgecast", URL, Receipt(), (0.0, False)),
        ("edgecast", URL, Receipt(estimate=60.0), (60.0, True)),
        ("pixboost", URL, Receipt(), (300.0, True)),
        ("pixboost", TAG, Receipt(), (0.0, False)),
    ],
)
def test_the_receipt_comes_before_what_is_published(
    vendor: str, kind: TargetKind, receipt: Receipt, expected: tuple[float, bool]
) -> None:
    assert published(OWN.provider_class(vendor), kind, receipt) == expected


def test_who_can_be_asked() -> None:
    classes = {name: OWN.provider_class(name) for name in OWN.providers}
    assert {name for name, cls in classes.items() if issubclass(cls, Confirm)} >= {
        "cloudfront",
        "edgecast",
        "highwinds",
    }
    assert not any(issubclass(classes[name], Confirm) for name in ("akamai", "cloudflare", "fastly", "pixboost"))
    assert [name for name in ("cloudfront", "fastly", "akamai") if issubclass(classes[name], Prove)] == ["fastly"]


def test_every_published_time_names_its_page() -> None:
    speeds = [speed for name in OWN.providers for speed in OWN.provider_class(name).speeds.values()]
    assert speeds
    assert all(isinstance(speed, Speed) and speed.page.startswith("https://") for speed in speeds)


def test_nothing_is_done_and_failed_at_once() -> None:
    with pytest.raises(ValueError, match="either done or failed"):
        Confirmation(done=True, failed=True)
    assert not Confirmation(done=False).failed


def test_plugins_find_all_values_where_they_always_were() -> None:
    for name in ("Call", "Confirmation", "Limits", "Price", "Seen", "Speed"):
        assert getattr(provider, name) is getattr(terms, name)
        assert name in provider.__all__
