"""The LD_PRELOAD library of tests/io_shim.c: what a process really read, and reads that misbehave."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support import ROOT

SHORT, EINTR, EIO_ONCE, EIO_FOR_EVER = 1, 2, 3, 4


def build(folder: Path) -> Path:
    """Compiles the library with the system's C compiler, which `make setup` installs."""
    library = folder / "io_shim.so"
    command = ["cc", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", str(library)]
    subprocess.run([*command, str(ROOT / "tests" / "io_shim.c")], check=True)
    return library


def environment(library: Path, out: Path | None = None, fault: int = 0) -> dict[str, str]:
    """What a child process needs to run under the library."""
    env = {"LD_PRELOAD": str(library)}
    if out is not None:
        env["PENSTOCK_SHIM_OUT"] = str(out)
    if fault:
        env["PENSTOCK_SHIM_FAULT"] = str(fault)
    return {**os.environ, **env}


def read_counts(out: Path) -> dict[str, tuple[int, int]]:
    """Bytes and calls by path, written at the end of the process."""
    lines = [line.split(" ", 2) for line in out.read_text().splitlines()]
    return {path: (int(n), int(calls)) for n, calls, path in lines}
