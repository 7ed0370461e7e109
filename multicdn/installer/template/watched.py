"""What alarms and the dashboard look at: metrics of AWS's own, and those of the function."""

from __future__ import annotations

from typing import Any, NamedTuple

from multicdn.metrics import NAMESPACE

# Logical id of a resource, or what the function measures itself -> namespace and dimension of its metrics.
_SOURCES = {
    "Function": ("AWS/Lambda", "FunctionName"),
    "Queue": ("AWS/SQS", "QueueName"),
    "DeadLetterQueue": ("AWS/SQS", "QueueName"),
    "Changes": (NAMESPACE, "FunctionName"),
}


class Watched(NamedTuple):
    """A metric, and how its values are put together.

    Attributes:
        source: a resource of the stack, or ``Changes`` for what the function measures itself.
        name: of the metric.
        statistic: of the values of a period.
        period: seconds.
        of: a further dimension; empty for none.
        value: of that dimension.
    """

    source: str
    name: str
    statistic: str
    period: int = 60
    of: str = ""
    value: str = ""

    def metric(self) -> dict[str, Any]:
        """As CloudFormation names it."""
        namespace, dimension = _SOURCES[self.source]
        further = [{"Name": self.of, "Value": self.value}] if self.of else []
        return {
            "Namespace": namespace,
            "MetricName": self.name,
            "Dimensions": [{"Name": dimension, "Value": name_of(self.source)}, *further],
        }

    def line(self) -> list[str]:
        """As a dashboard names it, with the name of the source to be filled in."""
        namespace, dimension = _SOURCES[self.source]
        further = [self.of, self.value] if self.of else []
        return [namespace, self.name, dimension, f"${{{self.source}Name}}", *further]


def name_of(source: str) -> dict[str, Any]:
    """The name of a source, as CloudFormation finds it out."""
    return {"Fn::GetAtt": [source, "QueueName"]} if "Queue" in source else {"Ref": "Function"}
