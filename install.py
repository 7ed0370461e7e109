#!/usr/bin/env python3
"""The installer's door: ``install.py plan | apply | status | destroy | template``, the same as ``multicdn install``."""

from multicdn.cli.install import install

install(prog_name="install.py")
