"""The config file, read and checked."""

from multicdn.config.checker import CONFIG, Config, load, locate, parse

__all__ = ["CONFIG", "Config", "load", "locate", "parse"]
