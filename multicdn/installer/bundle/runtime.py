"""What a bundle is built for: one of Lambda's Python runtimes on one of its processors."""

from __future__ import annotations

import functools
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

Architecture = Literal["arm64", "x86_64"]

# Name of the processor in wheel tags, and its number in ELF headers (e_machine in elf.h).
_MACHINES = {"arm64": ("aarch64", 183), "x86_64": ("x86_64", 62)}

# Minor version of glibc: 2.26 on Amazon Linux 2, under Python 3.11; 2.34 on Amazon Linux 2023, under all later ones.
# docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html, docs.aws.amazon.com/linux/al2023/ug/compare-with-al2.html
_OLD_GLIBC, _GLIBC = 26, 34
_LAST_ON_OLD_GLIBC = (3, 11)

# The oldest that manylinux tags name: packaging.python.org/en/latest/specifications/platform-compatibility-tags/
_OLDEST_GLIBC = {"arm64": 17, "x86_64": 5}


@dataclass(frozen=True)
class Runtime:
    """One of Lambda's runtimes.

    Attributes:
        architecture: as Lambda calls the processor.
        python: minor version, such as ``3.13``.
    """

    architecture: Architecture
    python: str

    @property
    def version(self) -> tuple[int, int]:
        """The minor version as numbers."""
        major, _, minor = self.python.partition(".")
        return int(major), int(minor)

    @property
    def machine(self) -> str:
        """The processor as Linux and wheels call it."""
        return _MACHINES[self.architecture][0]

    @property
    def elf_machine(self) -> int:
        """The processor in the header of an ELF file."""
        return _MACHINES[self.architecture][1]

    @property
    def glibc(self) -> int:
        """Minor version of the C library."""
        return _OLD_GLIBC if self.version <= _LAST_ON_OLD_GLIBC else _GLIBC

    @property
    def platforms(self) -> tuple[str, ...]:
        """Platform tags of the wheels that load there, best first."""
        minors = range(self.glibc, _OLDEST_GLIBC[self.architecture] - 1, -1)
        return (*(f"manylinux_2_{minor}_{self.machine}" for minor in minors), f"manylinux2014_{self.machine}")

    @property
    def tag(self) -> str:
        """Of a wheel that was chosen for this runtime, whatever else it may be for."""
        return f"cp{''.join(map(str, self.version))}-none-linux_{self.machine}"

    @property
    def pip_options(self) -> tuple[str, ...]:
        """Options that make pip choose wheels for this runtime."""
        chosen = (f"--platform={name}" for name in self.platforms)
        return ("--only-binary=:all:", "--implementation=cp", f"--python-version={self.python}", *chosen)

    @property
    def markers(self) -> dict[str, str]:
        """Values of the environment markers in requirements.

        pip doesn't do this: whatever --platform and --python-version say, it asks the Python that it runs on
        (github.com/pypa/pip/issues/11664).
        """
        newest_patch = f"{self.python}.99"  # which one Lambda has isn't published; it follows the newest
        return {
            "implementation_name": "cpython",
            "implementation_version": newest_patch,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": newest_patch,
            "python_version": self.python,
            "sys_platform": "linux",
        }

    @property
    def is_here(self) -> bool:
        """Whether extension modules for this runtime load on this machine."""
        library, version = platform.libc_ver()
        return (
            sys.platform == "linux"
            and platform.machine() == self.machine
            and library == "glibc"
            and int(version.split(".")[1]) >= self.glibc
        )

    def interpreter(self) -> str | None:
        """A Python of this minor version on this machine: the one that runs this, or one on the search path."""
        if sys.version_info[:2] == self.version and sys.implementation.name == "cpython":
            return sys.executable
        program = shutil.which(f"python{self.python}")
        return program if program and _is_cpython(program, self.version) else None


@functools.cache
def _is_cpython(program: str, version: tuple[int, int]) -> bool:
    """Ask the program itself: version managers put scripts of that name on the path, which only say no."""
    asked = "import sys; print(sys.implementation.name, *sys.version_info[:2])"
    try:
        run = subprocess.run([program, "-I", "-c", asked], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - found on the user's own path
    except (OSError, subprocess.TimeoutExpired):
        return False
    return run.stdout.split() == ["cpython", *map(str, version)]
