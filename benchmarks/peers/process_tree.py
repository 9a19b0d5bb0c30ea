"""Memory and CPU time of a process and all its descendants, from /proc; the standard library is enough."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def members(pid: int) -> list[int]:
    """The process and its descendants; those that end meanwhile are left out."""
    found, todo = [], [pid]
    while todo:
        process = todo.pop()
        found.append(process)
        try:
            for task in os.listdir(f"/proc/{process}/task"):
                todo += map(int, Path(f"/proc/{process}/task/{task}/children").read_text().split())
        except OSError:
            continue
    return found


def pss(pid: int) -> int:
    """Proportional set size in bytes: pages shared inside the tree count once."""
    total = 0
    for process in members(pid):
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
                break
    return total


def cpu_seconds(pid: int) -> float:
    """User and system time of the living processes and of the children they have waited for."""
    total = 0
    for process in members(pid):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))  # utime stime cutime cstime
    return total / TICKS
