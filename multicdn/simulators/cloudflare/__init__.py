"""Cloudflare on loopback."""

from multicdn.simulators.cloudflare.api import CloudflareSimulator

__all__ = ["CloudflareSimulator"]
