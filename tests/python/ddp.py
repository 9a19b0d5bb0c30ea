"""For the tests of launchers: examples/train_ddp.py started by them, and what its ranks say they did."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from support import ROOT

EXAMPLE = ROOT / "examples" / "train_ddp.py"
# Nothing here takes a tenth of it; whoever hangs is to fail with its output.
SECONDS = 300
# What a launcher around the tests might have set, and what torch needs on a machine without a network.
LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


def environment(**more: str) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name not in LAUNCHER}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env["PATH"]])
    return {**env, "GLOO_SOCKET_IFNAME": "lo", **more}


def torchrun(world_size: int, *arguments: Any, script: Path = EXAMPLE, restarts: int = 0) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts", restarts]
    return [str(a) for a in [*launcher, "--nproc-per-node", world_size, script, *arguments]]


def run(command: list[str], cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=SECONDS, cwd=cwd, env=environment(**env)
    )


@dataclass
class Trace:
    """What the ranks of one run wrote, one list a rank."""

    steps: list[list[tuple[int, int, list[int]]]] = field(default_factory=list)  # (epoch, step, rows)
    parameters: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Trace:
        found = cls()
        for number in range(len(list(folder.glob("rank*.jsonl")))):
            steps: dict[int, tuple[int, int, list[int]]] = {}
            for line in (folder / f"rank{number}.jsonl").read_text().splitlines(keepends=True):
                if not line.endswith("\n"):
                    break  # killed while it wrote
                entry = json.loads(line)
                if "parameters" in entry:
                    found.parameters.append(entry["parameters"])
                    continue
                # A rank that was started again went on from a checkpoint: steps after it are done again.
                steps = {s: v for s, v in steps.items() if s < entry["step"]}
                steps[entry["step"]] = (entry["epoch"], entry["step"], entry["rows"])
            found.steps.append(list(steps.values()))
        return found

    def until(self, step: int) -> Trace:
        return Trace([[entry for entry in rank if entry[1] <= step] for rank in self.steps])

    def rows(self) -> dict[int, np.ndarray]:
        """Of each epoch, all ranks' rows; not those that a rank repeats."""
        rows: dict[int, list[int]] = {}
        for rank in self.steps:
            for epoch, _, found in rank:
                rows.setdefault(epoch, []).extend(row for row in found if row >= 0)
        return {epoch: np.sort(found) for epoch, found in sorted(rows.items())}

    def check(self, world_size: int) -> None:
        """All ranks made the same steps and ended with the same parameters."""
        assert len(self.steps) == len(self.parameters) == world_size
        assert len({tuple((epoch, step) for epoch, step, _ in rank) for rank in self.steps}) == 1
        assert len(set(self.parameters)) == 1


def writer_of(path: Path) -> int:
    """The process that has the file open: a rank, by its trace."""
    for process in os.listdir("/proc"):
        if not process.isdecimal():
            continue
        with contextlib.suppress(OSError):  # processes come and go, also while they are listed
            for number in os.listdir(f"/proc/{process}/fd"):
                with contextlib.suppress(OSError):
                    if Path(f"/proc/{process}/fd/{number}").readlink() == path:
                        return int(process)
    raise RuntimeError(f"nobody writes {path}")


def lines_in(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


@contextlib.contextmanager
def running(command: list[str], cwd: Path, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A launcher; what it started ends with it, whatever the test does."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=cwd, env=environment(**env))
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)


def wait_for(condition: Any, process: subprocess.Popen[str]) -> None:
    """Until condition() holds. Fails when the process ends before, or time is up."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.02)
