"""CloudFront on loopback."""

from multicdn.simulators.cloudfront.api import CloudFrontSimulator

__all__ = ["CloudFrontSimulator"]
