"""examples/train_ddp.sbatch, with srun and scontrol that stand in for Slurm's: each task of srun is a process here."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import ddp
import numpy as np
import pytest
from support import ROOT

import make_demo_data

pytest.importorskip("torch")

SCRIPT = ROOT / "examples" / "train_ddp.sbatch"
CELLS = 1201
# The number of a job is also its rendezvous: other runs of these tests on this machine have other ones.
JOB = 10 * os.getpid()

# Options end at the first word that is none, as for srun. One task a machine; it fails when one does. torchruns run
# at once and find each other; anything else in turns, because these machines share a disk.
SRUN = """#!/usr/bin/env python3
import json, os, subprocess, sys
words = sys.argv[1:]
command = next(i for i, word in enumerate(words) if not word.startswith("-"))
with open(os.environ["SRUN_LOG"], "a") as log:
    log.write(json.dumps([words[:command], words[command:]]) + "\\n")
machines = int(os.environ["SLURM_NNODES"])
tasks = []
for i in range(machines):
    env = {**os.environ, "SLURM_NODEID": str(i), "SLURM_PROCID": str(i)}
    tasks.append(subprocess.Popen(words[command:], env=env))
    if words[command] != "torchrun":
        tasks[-1].wait()
sys.exit(max(task.wait() != 0 for task in tasks))
"""

# All machines are this one.
SCONTROL = """#!/usr/bin/env bash
[[ $1 == show && $2 == hostnames && $3 == "$SLURM_JOB_NODELIST" ]] || exit 1
for ((i = 0; i < SLURM_NNODES; i++)); do echo localhost; done
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slurm")
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    spec = make_demo_data.Spec(cells=CELLS, files=2, genes=1000, seed=5)
    return [str(f) for f in make_demo_data.make(spec, tmp_path_factory.mktemp("plates"), quiet=True)]


def batch_job(slurm: Path, cwd: Path, job: int, machines: int, *arguments: object, **env: str) -> str:
    """The script as Slurm runs it on the first machine; returns what it printed."""
    env = {
        "PATH": os.pathsep.join([str(slurm), ddp.environment()["PATH"]]),
        "SRUN_LOG": str(cwd / f"srun-{job}.jsonl"),
        "SLURM_JOB_ID": str(job),
        "SLURM_JOB_NODELIST": f"node[1-{machines}]",
        "SLURM_NNODES": str(machines),
        "SLURM_CPUS_PER_TASK": "2",
        "EXAMPLE": str(ddp.EXAMPLE),
        "TMPDIR": str(cwd),
        **env,
    }
    done = ddp.run(["bash", str(SCRIPT), *map(str, arguments)], cwd, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def steps_of(cwd: Path, job: int) -> list[tuple[list[str], list[str]]]:
    return [tuple(json.loads(line)) for line in (cwd / f"srun-{job}.jsonl").read_text().splitlines()]


def test_the_script_is_one() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True, timeout=60)
    lines = SCRIPT.read_text().splitlines()
    # sbatch reads its options from comments before the first command.
    command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    options = [i for i, line in enumerate(lines) if line.startswith("#SBATCH")]
    assert lines[0] == "#!/bin/bash" and max(options) < command
    assert all(re.fullmatch(r"#SBATCH --[a-z-]+(=\S+)?", lines[i]) for i in options)
    assert (ROOT / "examples" / "train_ddp.py").exists() and "examples/train_ddp.py" in SCRIPT.read_text()


@pytest.mark.slow
def test_machines_train_together_and_another_job_goes_on(
    slurm: Path, data: list[str], tmp_path: Path
) -> None:
    common = ["--data", *data, "--batch-size", 64, "--memory", "32MB", "--checkpoint", "run.pt"]
    out = batch_job(slurm, tmp_path, JOB + 1, 2, *common, "--epochs", 2, "--trace", "first", RANKS="2")
    assert "4 ranks" in out and "going on" not in out
    ((options, command),) = steps_of(tmp_path, JOB + 1)
    assert "--cpus-per-task=2" in options and "--ntasks-per-node=1" in options
    assert command[0] == "torchrun" and "--nnodes=2" in command and "--nproc-per-node=2" in command
    first = ddp.Trace.read(tmp_path / "first")
    first.check(4)
    out = batch_job(slurm, tmp_path, JOB + 2, 1, *common, "--epochs", 3, "--trace", "second", RANKS="2")
    assert "2 ranks" in out and "going on in epoch 2" in out
    second = ddp.Trace.read(tmp_path / "second")
    second.check(2)
    rows = {**first.rows(), **second.rows()}
    assert list(rows) == [0, 1, 2]
    for found in rows.values():
        np.testing.assert_array_equal(found, np.arange(CELLS))


@pytest.mark.slow
def test_machines_copy_the_data(slurm: Path, data: list[str], tmp_path: Path) -> None:
    folder = str(Path(data[0]).parent)
    common = ["--data", *data, "--batch-size", 64, "--memory", "32MB", "--epochs", 1, "--trace", "trace"]
    # One rank a machine, as on machines without GPUs.
    out = batch_job(slurm, tmp_path, JOB + 3, 2, *common, LOCAL_COPY=folder)
    assert "2 ranks" in out
    copy, train = steps_of(tmp_path, JOB + 3)
    assert copy[0] == train[0] and copy[1][0] == "bash"
    copies = [str(tmp_path / f"penstock-{JOB + 3}" / Path(name).name) for name in data]
    assert train[1][train[1].index("--data") + 1 :][:2] == copies
    trace = ddp.Trace.read(tmp_path / "trace")
    trace.check(2)
    np.testing.assert_array_equal(trace.rows()[0], np.arange(CELLS))
