"""Ray Train: examples/train_ray.py with workers on this machine, offline and with the least memory that Ray takes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import ddp
import numpy as np
import pytest
from support import ROOT, framework

import make_demo_data

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

CELLS = 1201


@pytest.fixture
def ray_folder() -> Iterator[str]:
    """For Ray's sockets: their paths are to be short."""
    framework("ray.train")
    folder = tempfile.mkdtemp(prefix="ray")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_workers_train_die_and_go_on(ray_folder: str, tmp_path: Path) -> None:
    spec = make_demo_data.Spec(cells=CELLS, files=2, genes=1000, seed=5)
    data = make_demo_data.make(spec, tmp_path / "plates", quiet=True)
    script = [sys.executable, str(ROOT / "examples" / "train_ray.py")]
    common = ["--data", *map(str, data), "--batch-size", "32", "--memory", "32MB", "--save-every", "8"]

    # Ray looks after its workers that often; a report waits for it.
    env = {"RAY_TMPDIR": ray_folder, "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.3"}

    # One of two workers dies in the middle of the second epoch, or later when this process is late: Ray starts both
    # again, from one of the last checkpoints. There is one every 8 steps and at the end of an epoch of 19.
    command = [*script, *common, "--epochs", "8", "--trace", "first"]
    with ddp.running(command, tmp_path, **env) as process:
        trace = tmp_path / "first" / "rank1.jsonl"
        # Step 25 comes after the report of step 24, which waits until Ray has taken the one before.
        ddp.wait_for(lambda: ddp.lines_in(trace) >= 25, process)
        steps = ddp.lines_in(trace)
        os.kill(ddp.writer_of(trace), signal.SIGKILL)
        out, err = process.communicate(timeout=ddp.SECONDS)
    assert process.returncode == 0, out + err
    went_on = re.search(r"2 ranks(?:.|\n)*going on in epoch (\d+), after step (\d+)\n", out)
    assert went_on, out
    epoch, step = int(went_on[1]), int(went_on[2])
    saved = [s for s in range(1, 8 * 19 + 1) if s % 8 == 0 or s % 19 == 0]
    least = [s for s in saved if s < steps][-3]  # of the reports that were made, two may not have been taken
    assert step in saved and step >= least and epoch == step // 19, (steps, out)
    first = ddp.Trace.read(tmp_path / "first")
    first.check(2)

    # The same command for another epoch, with one worker, goes on where that ended.
    done = ddp.run(
        [*script, *common, "--epochs", "9", "--trace", "second", "--workers", "1"],
        tmp_path,
        **env,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 ranks" in done.stdout and "going on in epoch 8" in done.stdout
    second = ddp.Trace.read(tmp_path / "second")
    second.check(1)

    rows = {**first.rows(), **second.rows()}
    assert list(rows) == list(range(9))
    for found in rows.values():
        np.testing.assert_array_equal(found, np.arange(CELLS))
