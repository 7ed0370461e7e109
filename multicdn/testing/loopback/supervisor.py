"""Run a program that can't outlive the one that asked for it. A script of its own: it must not need multicdn.

    python supervisor.py GRACE FOLDER COMMAND ARGUMENT...

The program leads a process group of its own. Once it has ended, once this script is told to end, or once the other
end of this script's standard input is closed, which the kernel sees to even after SIGKILL, the group gets SIGTERM.
What is left of it when its leader has gone, or after GRACE seconds, gets SIGKILL. Then FOLDER is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading

# A signal is handled between two steps of the main thread, so the main thread must take steps.
_STEP = 0.2

_over = threading.Event()
_told_to_end = threading.Event()


def main() -> int:
    """Run the command line and return the program's exit status."""
    grace, folder, command = float(sys.argv[1]), sys.argv[2], sys.argv[3:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: _told_to_end.set())
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - our own
    threading.Thread(target=_watch_program, args=(program.pid,), daemon=True).start()
    threading.Thread(target=_watch_stdin, daemon=True).start()
    while not _told_to_end.wait(_STEP):
        pass
    _signal_group(program.pid, signal.SIGTERM)
    _over.wait(grace)
    _signal_group(program.pid, signal.SIGKILL)
    status = program.wait()
    shutil.rmtree(folder, ignore_errors=True)
    return status


def _watch_program(pid: int) -> None:
    # Not reaped here: a zombie leader keeps the number of its group from being given to strangers.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    _over.set()
    _told_to_end.set()


def _watch_stdin() -> None:
    while os.read(0, 4096):
        pass
    _told_to_end.set()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main())
