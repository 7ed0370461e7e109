"""Tell every CDN in front of an S3 bucket what changed."""

from __future__ import annotations

__all__ = ["DOCS", "__version__"]

__version__ = "0.1.0"

# No wheel holds the documentation; errors, help and the first config lead here.
DOCS = "https://github.com/multicdn/multicdn/blob/main/docs"
