#!/usr/bin/env python3
"""The installer's door: ``install.py plan | apply | status | destroy | template``, the same as ``multicdn install``.

In a clone it goes on in the clone's own ``.venv``, where there is one. It runs on any Python 3, to say what to do.
"""

import os
import sys

_CLONE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - an old Python has these, too
_OWN = os.path.join(_CLONE, ".venv", "bin", "python")  # noqa: PTH118
_MAKE = "python3 -m venv .venv && .venv/bin/python -m pip install -e '.[all]'"


def _is_installed() -> bool:
    """Whether this Python has multicdn and what it needs: the folder beside this file alone won't do."""
    if sys.version_info < (3, 11):  # noqa: UP036 - somebody may well run it on an older one
        return False
    try:
        from importlib.metadata import version

        import multicdn.cli.install  # noqa: F401

        return bool(version("multicdn"))
    except ImportError:
        return False


def _go_elsewhere() -> None:
    if os.access(_OWN, os.X_OK) and os.path.abspath(sys.executable) != _OWN:  # noqa: PTH100
        os.execv(_OWN, [_OWN, *sys.argv])  # noqa: S606 - the clone's own interpreter
    sys.exit("install.py needs multicdn, in Python 3.11 or newer; once, in " + _CLONE + ": " + _MAKE)


if not _is_installed():
    _go_elsewhere()

from multicdn.cli.install import install  # noqa: E402

install(prog_name="install.py")
