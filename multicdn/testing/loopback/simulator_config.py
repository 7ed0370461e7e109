"""A config for simulators: with it and its environment variables, providers talk to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from multicdn.simulators.cloudfront.api import CloudFrontSimulator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multicdn.simulators import Simulator


class SimulatorConfig(NamedTuple):
    """The section ``providers`` of a config file, and the environment variables that it refers to."""

    providers: dict[str, dict[str, Any]]
    environment: dict[str, str]


def config_for(simulators: Mapping[str, Simulator]) -> SimulatorConfig:
    """Describe running simulators, by the names that their providers are to have."""
    config = SimulatorConfig({}, {})
    for name, simulator in simulators.items():
        variables = {option: f"{name}_{option}".upper().replace("-", "_") for option in simulator.secrets()}
        references = {option: f"${{env:{variable}}}" for option, variable in variables.items()}
        config.providers[name] = {**simulator.options(), **references}
        config.environment.update({variables[option]: value for option, value in simulator.secrets().items()})
        if isinstance(simulator, CloudFrontSimulator):
            config.environment.update(simulator.environment())
    return config
