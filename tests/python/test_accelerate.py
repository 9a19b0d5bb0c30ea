"""Hugging Face accelerate: prepare(loader) is right, what would share out a loader's batches again is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ddp import run, torchrun
from support import flat, framework

import penstock

SCRIPT = Path(__file__).with_name("accelerated.py")
WAY_OUT = "leave out the DataLoader, accelerator.prepare(loader), and move each batch by batch.to(accelerator.device)"


def results(corpus: Any, folder: Path, ranks: int) -> list[dict[str, Any]]:
    framework("accelerate")
    out = folder / "out"
    arguments = [str(out), *corpus.paths]
    command = (
        [sys.executable, str(SCRIPT), *arguments]
        if ranks == 1
        else torchrun(ranks, *arguments, script=SCRIPT)
    )
    done = run(command, folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((folder / f"out.{rank}.json").read_text()) for rank in range(ranks)]


def check_training(found: list[dict[str, Any]], n_obs: int) -> None:
    """Stopped and gone on as if not, by accelerate's checkpoint."""
    for rank in found:
        done = rank["training"]
        assert done["first"] + done["rest"] == done["whole"]
    rows = np.concatenate([row for rank in found for row in rank["training"]["whole"]])
    np.testing.assert_array_equal(np.sort(rows[rows >= 0]), np.repeat(np.arange(n_obs), 2))


def test_one_process(corpus: Any, tmp_path: Path) -> None:
    (found,) = results(corpus, tmp_path, 1)
    plain = penstock.Loader(corpus.open(), batch_size=64, memory="8MB", to="numpy")
    expected = [flat(plain).tolist() for _ in range(2)]
    for name, rows in found.items():
        if name == "training":
            continue
        if name.startswith("stacked"):
            assert rows.startswith("TypeError: a DataLoader would stack batches"), name
        elif "csr" in name and "dataloader" in name and "False" not in name:
            # By default, and with True, accelerate reads ahead by torch.cat, which has no CSR.
            assert rows.startswith("RuntimeError: accelerate's DataLoaderDispatcher") and WAY_OUT in rows, (
                name
            )
        else:
            assert rows == expected, name
    check_training([found], 3001)


@pytest.mark.slow
def test_two_processes(corpus: Any, tmp_path: Path) -> None:
    found = results(corpus, tmp_path, 2)
    for name in found[0]:
        if name == "training":
            continue
        both = [rank[name] for rank in found]
        if name.startswith("loader"):
            for epoch in range(2):
                rows = np.concatenate([share[epoch] for share in both])
                np.testing.assert_array_equal(np.sort(rows[rows >= 0]), np.arange(3001))
        elif name.startswith("stacked"):
            assert all("Error: a" in text for text in both), name
        else:
            kind = "IterableDatasetShard" if "False" in name else "DataLoaderDispatcher"
            for text in both:
                assert text.startswith(f"RuntimeError: accelerate's {kind} would share out"), name
                assert "which gives each process its share of the rows itself" in text and WAY_OUT in text
    check_training(found, 3001)
