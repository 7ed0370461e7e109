"""Tell every CDN in front of an S3 bucket what changed."""

from __future__ import annotations

__all__ = ["DOCS", "__version__"]

# No wheel holds the documentation; errors, help and the first config lead here.
DOCS = "https://github.com/multicdn/multicdn/blob/main/docs"


def __getattr__(name: str) -> str:
    """Look the version up when it is asked for: importing the metadata reader costs a cold start 30 ms."""
    if name == "__version__":
        from importlib.metadata import version

        return version("multicdn")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
