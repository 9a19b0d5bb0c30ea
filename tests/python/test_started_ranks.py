"""Ranks that begin as copies of a process, by fork or spawn, with the loaders that it made."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import flat, indices

import penstock

pytest.importorskip("torch")

SMALL: dict[str, Any] = {"batch_size": 64, "memory": "16MB"}


def run_script(script: Path, *arguments: Any) -> str:
    env = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    done = subprocess.run(
        [sys.executable, str(script), *map(str, arguments)],
        capture_output=True, text=True, timeout=400, cwd=script.parent,
        env={**env, "GLOO_SOCKET_IFNAME": "lo"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def assert_epochs(shares: list[list[list[int]]], first: int, ds: penstock.Dataset) -> None:
    """Of each rank, the rows of each epoch: complete, disjoint, and those of the epochs from `first` on."""
    for number in range(len(shares[0])):
        every = np.concatenate([share[number] for share in shares])
        np.testing.assert_array_equal(np.sort(every[every >= 0]), np.arange(ds.n_obs))
    for rank, share in enumerate(shares):
        loader = penstock.Loader(ds, **SMALL, rank=rank, world_size=len(shares), to="numpy")
        for number, rows in enumerate(share):
            loader.set_epoch(first + number)
            np.testing.assert_array_equal(rows, flat(loader))


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_each_rank_counts_for_itself(corpus: Any, tmp_path: Path, method: str) -> None:
    pytest.importorskip("lightning")
    run_script(Path(__file__).with_name("started_ranks.py"), method, tmp_path / "out", *corpus.paths)
    found = [json.loads((tmp_path / f"out.{rank}.json").read_text()) for rank in range(2)]
    for kind in ("new", "peeked", "in its second epoch", "module", "workers", "more workers"):
        first = 1 if kind == "in its second epoch" else 0
        assert_epochs([rank[kind] for rank in found], first, corpus.open())
        for rank in found:
            state = rank[f"{kind}: state"]
            if "workers" in kind:
                assert "iterated by a DataLoader's worker" in state
            else:
                assert state == [first + 3, []]


LIGHTNING = """
    import json, sys, lightning, torch, penstock
    from penstock.lightning import PenstockDataModule

    class Model(lightning.LightningModule):
        def __init__(self, out):
            super().__init__()
            self.layer, self.out, self.seen = torch.nn.Linear(90, 3), out, []
        def on_train_epoch_start(self):
            self.seen.append([])
        def training_step(self, batch, i):
            self.seen[-1] += batch.index.tolist()
            return self.layer(batch.dense()).sum()
        def on_train_end(self):
            with open(f"{self.out}.{self.global_rank}.json", "w") as file:
                json.dump(self.seen, file)
        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.01)

    def data_of(kind, paths):
        ds = penstock.open(paths)
        if kind == "module":
            module = PenstockDataModule(ds, memory="16MB", batch_size=64, threads=1)
            module.loader("train").peek()
            return module
        loader = penstock.Loader(ds, memory="16MB", batch_size=64, threads=1)
        if kind == "peeked":
            loader.peek()
        return loader

    if __name__ == "__main__":
        strategy, kind, out, *paths = sys.argv[1:]
        data = data_of(kind, paths)
        lightning.Trainer(accelerator="cpu", devices=2, strategy=strategy, max_epochs=3, logger=False,
                          enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
                          ).fit(Model(out), data)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["new", "peeked", "module"])
@pytest.mark.parametrize("strategy", ["ddp_spawn", "ddp_fork", "ddp_notebook"])
def test_strategies_of_lightning(corpus: Any, tmp_path: Path, strategy: str, kind: str) -> None:
    pytest.importorskip("lightning")
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(LIGHTNING))
    run_script(script, strategy, kind, tmp_path / "out", *corpus.paths)
    shares = [json.loads((tmp_path / f"out.{rank}.json").read_text()) for rank in range(2)]
    assert [len(share) for share in shares] == [3, 3]
    # Lightning calls iter() once to see whether it can: epoch 0 is not read.
    assert_epochs(shares, 1, corpus.open())


# --- copies that are not processes ---


@pytest.mark.parametrize("to", ["torch", "numpy"])
@pytest.mark.parametrize("through", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy, copy.copy])
def test_a_copy_keeps_the_place(corpus: Any, to: str, through: Any) -> None:
    loader = penstock.Loader(corpus.open(), **SMALL, to=to)
    whole = [indices(loader), indices(loader)]
    for epoch in range(2):
        for done in (0, 1, 20, 46):
            loader.set_epoch(epoch)
            it = iter(loader)
            for _ in range(done):
                next(it)
            other = through(loader)
            assert other.state_dict() == loader.state_dict() and len(other) == 47
            assert other.epoch == loader.epoch == epoch
            np.testing.assert_array_equal(flat(other), np.concatenate(whole[epoch][done:]))
            assert other.epoch == epoch + 1
            # Neither moves the other.
            np.testing.assert_array_equal(flat(it), np.concatenate(whole[epoch][done:]))
            loader.set_epoch(7)
            assert other.epoch == epoch + 1
            other.set_epoch(epoch)
            np.testing.assert_array_equal(flat(other), np.concatenate(whole[epoch]))


def test_a_copy_at_the_ends(corpus: Any) -> None:
    loader = penstock.Loader(corpus.open(), **SMALL, to="numpy")
    loader.peek()
    assert pickle.loads(pickle.dumps(loader)).state_dict() == loader.state_dict()
    it = iter(loader)
    for _ in range(47):
        next(it)
    other = pickle.loads(pickle.dumps(loader))
    assert other.epoch == loader.epoch == 1 and other.state_dict() == loader.state_dict()
    assert next(it, None) is None
    loader.set_epoch(5)
    assert pickle.loads(pickle.dumps(loader)).epoch == loader.epoch == 5


def test_a_copy_with_a_transform(corpus: Any) -> None:
    loader = penstock.Loader(corpus.open(), **SMALL, to="numpy", transform=penstock.Batch.clone)
    plain = indices(penstock.Loader(corpus.open(), **SMALL, to="numpy"))
    it = iter(loader)
    for _ in range(5):
        next(it)
    other = pickle.loads(pickle.dumps(loader))
    np.testing.assert_array_equal(flat(other), np.concatenate(plain[5:]))


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_of_numpy_loaders_have_new_epochs_too(corpus: Any, context: str) -> None:
    import torch

    loader = penstock.Loader(corpus.open(), **SMALL, to="numpy")
    plain = penstock.Loader(corpus.open(), **SMALL, to="numpy")
    wrapped = torch.utils.data.DataLoader(
        loader,
        batch_size=None,
        num_workers=1,
        multiprocessing_context=context,
        collate_fn=penstock.Batch.copy,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):
            np.testing.assert_array_equal(flat(wrapped), flat(plain))
