"""Clients for CloudFront, built when they are first needed, or in INIT."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from multicdn.aws_clients import client
from multicdn.bounds import bounded

from .errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_cloudfront import CloudFrontClient

    from multicdn.provider import Call

ENDPOINT = "https://cloudfront.amazonaws.com"

# Bytes: a page of ListDistributions describes 100 of them.
_LARGEST_PAGE = 4 << 20

_T = TypeVar("_T")


class Clients:
    """The clients of one configured provider, shared by all that it discovers: a session costs some 70 ms.

    Args:
        endpoint, region: as in the provider's options.

    Attributes:
        with_tags: distributions and tenants that were seen to keep the tags of their objects.
    """

    def __init__(self, endpoint: str, region: str) -> None:
        self.with_tags: set[str] = set()
        self._endpoint = endpoint
        self._region = region
        self._clients: dict[tuple[float, float], CloudFrontClient] = {}
        self._lock = threading.Lock()

    def ask(self, call: Call, question: Callable[[CloudFrontClient], _T], repeated: int = 0) -> _T:
        """Put a question to CloudFront within the limits of a call, and return its answer.

        Args:
            call: its ``read`` is for all of it, however many pages the answer has.
            question: asked with a client.
            repeated: bytes of the question that the answer repeats.

        Raises:
            ProviderError: as in ``translated``.
        """
        with translated(), bounded(call.read, _LARGEST_PAGE + repeated):
            return question(self._fitting(call))

    def prepare(self, call: Call, question: Callable[[CloudFrontClient], object]) -> None:
        """Build the client that a call with such limits takes, and let it rehearse a question."""
        from .rehearsal import rehearse

        limits = _limits(call)
        with self._lock:
            if limits not in self._clients:
                built = self._build(*limits)
                rehearse(built, question)
                self._clients[limits] = built

    def _fitting(self, call: Call) -> CloudFrontClient:
        """The client whose timeouts fit: botocore sets them per client."""
        limits = _limits(call)
        with self._lock:
            if limits not in self._clients:
                self._clients[limits] = self._build(*limits)
            return self._clients[limits]

    def _build(self, connect: float, read: float) -> CloudFrontClient:
        from botocore.config import Config

        built: CloudFrontClient = client(
            "cloudfront",
            region=self._region,
            # Left to botocore, each region signs for its partition, and cn-* goes to China's own endpoint.
            endpoint_url=None if self._endpoint.rstrip("/") == ENDPOINT else self._endpoint,
            config=Config(
                connect_timeout=connect,
                read_timeout=read,
                # Pace and retries are the core's: it knows the time that is left, and other vendors' needs.
                retries={"total_max_attempts": 1, "mode": "standard"},
                user_agent_extra="multicdn",
            ),
        )
        return built


def _limits(call: Call) -> tuple[float, float]:
    """Whole seconds, so that few clients are built."""
    return _whole(call.connect), _whole(call.read)


def _whole(seconds: float) -> float:
    return float(int(seconds)) if seconds >= 1 else max(seconds, 0.05)
