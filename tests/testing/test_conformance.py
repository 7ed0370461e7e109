"""Every built-in provider obeys the conformance suite that plugin authors get."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from multicdn_providers.akamai import Akamai
from multicdn_providers.cloudflare import Cloudflare
from multicdn_providers.cloudfront import CloudFront
from multicdn_providers.edgecast import Edgecast
from multicdn_providers.fastly import Fastly
from multicdn_providers.highwinds import Highwinds
from multicdn_providers.pixboost import Pixboost
from multicdn_providers.warm import Warm

from multicdn.errors import CredentialsRefused, RetryLater, TargetsRefused
from multicdn.provider import Secret
from multicdn.simulators import Origin
from multicdn.simulators.akamai.api import AkamaiSimulator
from multicdn.simulators.cloudflare.api import CloudflareSimulator
from multicdn.simulators.cloudfront import xml
from multicdn.simulators.cloudfront.api import AccessKey, CloudFrontSimulator
from multicdn.simulators.edgecast import EdgecastSimulator
from multicdn.simulators.fastly.api import FastlySimulator
from multicdn.simulators.highwinds import HighwindsSimulator
from multicdn.simulators.pixboost import PixboostSimulator
from multicdn.testing._conformance.failure_cases import REDIRECTS
from multicdn.testing.conformance import Expected, ProviderConformance, Vendor
from multicdn.testing.recording import RecordingVendor, Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multicdn.provider import Capability, Provider
    from multicdn.simulators import Simulator

pytestmark = pytest.mark.slow

KEY = AccessKey("AKIACONFORMANCE00000", "conformance/secret/access/key/of/40/char", "conformance-session-token")

# What AWS calls the errors of these statuses.
AWS_CODES = {
    400: "InvalidArgument",
    401: "UnrecognizedClientException",
    403: "AccessDenied",
    404: "NoSuchDistribution",
    413: "BatchTooLarge",
    429: "Throttling",
    500: "InternalError",
    503: "ServiceUnavailable",
}


class Simulated(ProviderConformance):
    """A built-in provider before the simulator of its vendor, with its limits on."""

    site = "https://www.acme.com"
    simulator: ClassVar[type[Simulator]]

    @contextmanager
    def vendor(self) -> Iterator[Vendor]:
        with Origin() as origin, self.simulator(origin.url) as cdn:
            yield Vendor(self.configured(cdn), cdn)

    def configured(self, cdn: Simulator, **more: object) -> Provider:
        options: dict[str, Any] = {name: value for name, value in cdn.options().items() if name != "type"}
        secrets = {name: Secret.literal(value) for name, value in cdn.secrets().items()}
        return self.plugin(**{**options, **secrets, **more})


class TestAkamai(Simulated):
    plugin, simulator = Akamai, AkamaiSimulator

    def refusal(self, status: int) -> Response:
        problem = {"httpStatus": status, "title": "Refused", "detail": "not today", "supportId": "17PY-1"}
        return Response.json(problem, status, {"Content-Type": "application/problem+json"})


IN_A_PATH = "the URL stands in the path of the request, where a proxy would resolve the dots to another one"


class TestCloudflare(Simulated):
    plugin, simulator = Cloudflare, CloudflareSimulator

    def refusal(self, status: int) -> Response:
        errors = [{"code": 1, "message": "refused"}]
        return Response.json({"success": False, "errors": errors, "messages": [], "result": None}, status)


@pytest.mark.usefixtures("lean_aws")  # quicker: there are hundreds of tests
class TestCloudFront(Simulated):
    plugin, simulator = CloudFront, CloudFrontSimulator
    expected: ClassVar[Mapping[str, Expected]] = {
        "403 for one kind": Expected(CredentialsRefused, "cloudfront:CreateInvalidation is for all kinds"),
        "429 with Retry-After": Expected(RetryLater, "AWS sends none: its clients are to back off by themselves"),
        "503 with Retry-After": Expected(RetryLater, "AWS sends none: its clients are to back off by themselves"),
    }
    refused_urls: ClassVar[Mapping[str, str]] = {
        "tilde": "CloudFront invalidates no tilde, and here the wildcard in its place would be /*, that is everything"
    }
    further_calls: ClassVar[Mapping[str, str]] = {
        "purge_tags": "asks whether the distribution keeps tags, since CloudFront takes a purge of tags from any"
    }
    other_secrets = (KEY.secret_key, KEY.session_token)

    @contextmanager
    def vendor(self) -> Iterator[Vendor]:
        with (
            pytest.MonkeyPatch.context() as patch,
            Origin() as origin,
            CloudFrontSimulator(origin.url, credentials=KEY) as cdn,
        ):
            for name, value in cdn.environment().items():
                patch.setenv(name, value)
            yield Vendor(self.configured(cdn), cdn)

    @pytest.mark.parametrize("status", [status for status in REDIRECTS if status != 303])
    def test_a_redirect_is_never_followed(self, running: Vendor, what: Capability, status: int) -> None:
        # A 303, which AWS never sends, makes urllib3 stumble over botocore's headers, and it leaves the socket open.
        super().test_a_redirect_is_never_followed(running, what, status)

    def refusal(self, status: int) -> Response:
        body = xml.error(AWS_CODES[status], "refused", sender=status < 500, request_id="1")
        return Response(status, {"Content-Type": "text/xml"}, body)


class TestEdgecast(Simulated):
    plugin, simulator = Edgecast, EdgecastSimulator


class TestFastly(Simulated):
    plugin, simulator = Fastly, FastlySimulator
    refused_urls: ClassVar[Mapping[str, str]] = {"dots": IN_A_PATH}

    def refusal(self, status: int) -> Response:
        return Response.json({"msg": "Refused", "detail": "not today"}, status)


class TestHighwinds(Simulated):
    plugin, simulator = Highwinds, HighwindsSimulator


class TestPixboost(Simulated):
    plugin, simulator = Pixboost, PixboostSimulator
    refused_urls: ClassVar[Mapping[str, str]] = {"dots": IN_A_PATH}


class TestWarm(ProviderConformance):
    """It asks a site rather than an API, to which most statuses are answers like others."""

    plugin = Warm
    site = "http://www.acme.com"
    expected: ClassVar[Mapping[str, Expected]] = {
        "401": Expected(TargetsRefused, "it has no credentials that could be wrong: the page isn't for everybody"),
        "403": Expected(TargetsRefused, "the same"),
    }
    right_answers: ClassVar[Mapping[str, str]] = {
        "404": "that nothing is there is cached as well",
        "page in place of an answer": "it asks for pages",
        **{f"redirect {status}": "a redirect is cached as well" for status in REDIRECTS},
    }

    @contextmanager
    def vendor(self) -> Iterator[Vendor]:
        with RecordingVendor(Response(200, {"Content-Type": "text/css"}, b"body { }")) as edge:
            yield Vendor(Warm(via=edge.endpoint), edge)
