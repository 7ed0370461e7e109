"""The one rule for the region of AWS, where neither an option, a config nor a URL names one."""

from __future__ import annotations

import os


def of_environment() -> str | None:
    """The region of ``AWS_REGION``, which every SDK but boto3 reads.

    Returns:
        None leaves the choice to boto3: ``AWS_DEFAULT_REGION``, and then the profile.
    """
    return os.environ.get("AWS_REGION") or None
