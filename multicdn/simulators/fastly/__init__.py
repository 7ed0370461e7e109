"""Fastly on loopback."""

from multicdn.simulators.fastly.api import FastlySimulator

__all__ = ["FastlySimulator"]
