"""Akamai on loopback."""

from multicdn.simulators.akamai.api import AkamaiSimulator

__all__ = ["AkamaiSimulator"]
