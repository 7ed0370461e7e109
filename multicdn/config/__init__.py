"""The config file, read and checked."""

from multicdn.config.checker import Config, load, locate, parse

__all__ = ["Config", "load", "locate", "parse"]
