"""What the URL of an SQS queue says: its region, its VPC endpoint, which queue it is. Pure."""

from __future__ import annotations

from functools import lru_cache

from multicdn.patterns import lazy_pattern

# Hosts of docs.aws.amazon.com/general/latest/gr/sqs-service.html: of today, FIPS, dual-stack, in China, legacy ones, of
# which the one without a region is that of us-east-1; and of VPC endpoints:
# docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-internetwork-traffic-privacy.html
_HOST = lazy_pattern(
    r"https?://(?:(?:vpce-[a-z0-9-]+\.)?sqs(?:-fips)?\.(?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9]+)\.(?:vpce\.)?"
    r"|(?:(?P<legacy>[a-z]{2,4}(?:-[a-z]+)+-[0-9]+)\.)?queue\.)(?:amazonaws\.com(?:\.cn)?|api\.aws)(?=[:/])"
)
_PRIVATE = lazy_pattern(r"https?://vpce-[a-z0-9.-]+\.vpce\.amazonaws\.com(?:\.cn)?(?=[:/])")
_QUEUE = lazy_pattern(r"https?://[^/]+/(?:.*/)?(?P<account>\d+)/(?P<name>[^/]+)/?")


def region_in(url: str) -> str:
    """The region that the URL of a queue names; empty if it names none, as that of an endpoint of one's own."""
    match = _HOST.match(url)
    return (match["region"] or match["legacy"] or "us-east-1") if match else ""


def vpc_endpoint_in(url: str) -> str | None:
    """The VPC endpoint that the URL of a queue names; None if it names none."""
    match = _PRIVATE.match(url)
    return match[0] if match else None


@lru_cache(maxsize=16)
def is_at(url: str, arn: str) -> bool:
    """Whether an ARN is that of the queue at a URL."""
    parts = arn.split(":")
    match = _QUEUE.fullmatch(url)
    if match is None or len(parts) != 6 or parts[2] != "sqs" or parts[4:] != [match["account"], match["name"]]:
        return False
    return region_in(url) in ("", parts[3])
