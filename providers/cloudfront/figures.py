"""What AWS publishes about invalidations: limits, times, a price."""

from __future__ import annotations

from functools import partial

from multicdn.provider import Limits, Price, Speed

GUIDE = "https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide"
_ANNOUNCED = "https://aws.amazon.com/about-aws/whats-new/2026/04/cloudfront-invalidation-cache-tag/"

# AWS staff named 0.5 calls a second for an account. Nobody saw the first five in a row throttled: that began at the
# sixth to tenth within a second (aws/aws-sdk-js#3983).
_limits = partial(Limits, calls_per_second=0.5, burst=5, quota="cloudfront", page=f"{GUIDE}/InvalidationLimits.html")

# 3,000 single paths in progress (guide, InvalidationLimits, older copies); 150 paths or tags a second (quotas page of
# 2026); length: InvalidationLimits.
URLS = _limits(targets=3000, target_bytes=4000, targets_per_second=150)
# 15 wildcards in progress (InvalidationLimits, older copies); one wildcard a second (quotas page of 2026).
PREFIXES = _limits(targets=15, target_bytes=4000, targets_per_second=1)
# A tag counts as a path; `#` and at most 256 characters: invalidation-specifying-tags.
TAGS = _limits(targets=3000, target_bytes=257, targets_per_second=150)
EVERYTHING = _limits(targets=1, targets_per_second=1, target_burst=15)
# No rate is published for questions: a budget apart, so that none of them delays a purge. At the pace of purges, one of
# five seconds would be known to be done after nine.
QUESTIONS = _limits(targets=1, calls_per_second=2, burst=10, quota="cloudfront, questions")

COMPLETED = 25.0  # seconds within which 95 % are reported Completed: _ANNOUNCED
# The same page; all ways of purging go through the same pipeline.
EFFECTIVE = Speed(seconds=5, share="95 %", page=_ANNOUNCED)
# A wildcard and a tag count as one path each: guide, PayingForInvalidation.
PRICE = Price(dollars=0.005, free=1000, page="https://aws.amazon.com/cloudfront/pricing/")
