"""Let ministack take alarms on metric math, as CloudFormation does. Python runs this when ministack's process starts.

It evaluates no math; such an alarm is kept as one on the first metric that its expression reads.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from typing import Any

# The functions that it runs are to see nothing of this.
os.environ.pop("PYTHONPATH", None)

_PLACE = "ministack.services.cloudformation.provisioners"


def _amend() -> None:
    provisioners: Any = importlib.import_module(_PLACE)
    plain = provisioners._cw_metric_alarm_record  # noqa: SLF001 - it has no other place for that

    def record(name: str, properties: dict[str, Any]) -> Any:
        if not properties.get("Metrics"):
            return plain(name, properties)
        read = next(each["MetricStat"] for each in properties["Metrics"] if "MetricStat" in each)
        others = {key: value for key, value in properties.items() if key != "Metrics"}
        return plain(name, {**others, **read["Metric"], "Period": read["Period"], "Statistic": read["Stat"]})

    provisioners._cw_metric_alarm_record = record  # noqa: SLF001


with contextlib.suppress(ImportError, AttributeError):  # another version says itself what it doesn't take
    _amend()
