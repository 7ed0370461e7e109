"""Where the config file is."""

from __future__ import annotations

import os
from pathlib import Path

CONFIG = "MULTICDN_CONFIG"
FILE_NAME = "multicdn.config.yml"


def locate() -> Path:
    """Find the config file: ``MULTICDN_CONFIG``, or ``multicdn.config.yml`` beside the function."""
    named = os.environ.get(CONFIG)
    folder = Path(os.environ.get("LAMBDA_TASK_ROOT", "."))
    return folder / (named or FILE_NAME)
