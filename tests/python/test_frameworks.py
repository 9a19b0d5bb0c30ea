"""Inside torch's DataLoader and Lightning."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from support import assert_batch, flat

import penstock

torch = pytest.importorskip("torch")


@pytest.fixture
def loader(corpus):
    return penstock.Loader(corpus.open(), batch_size=64, memory="8MB", obs=["colour", "n"])


def test_is_an_iterable_dataset(loader, corpus):
    assert isinstance(loader, torch.utils.data.IterableDataset) and isinstance(loader, penstock.Loader)
    assert type(loader).__name__ == "Loader" and type(loader).__module__ == "penstock.loader"

    class Mine(penstock.Loader):
        pass

    mine = Mine(corpus.open(), memory="8MB")
    assert isinstance(mine, Mine) and isinstance(mine, torch.utils.data.IterableDataset)


def test_dataloader_in_process(loader, corpus):
    wrapped = torch.utils.data.DataLoader(loader, batch_size=None)
    assert len(wrapped) == 47
    seen = []
    for batch in wrapped:
        assert type(batch) is penstock.Batch
        assert_batch(batch, corpus.x)
        seen.append(batch.index.numpy().copy())
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(3001))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    "options",
    [{}, {"format": "dense"}, {"to": "numpy"}, {"transform": lambda batch: (batch.dense(), batch.obs["n"])}],
)
def test_dataloader_that_would_stack_batches(corpus, workers, options):
    loader = penstock.Loader(corpus.open(), batch_size=64, memory="8MB", obs=["n"], **options)
    for more in ({}, {"batch_size": 4}):
        wrapped = torch.utils.data.DataLoader(loader, num_workers=workers, **more)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(TypeError, match=r"DataLoader\(loader, batch_size=None\)"):
                next(iter(wrapped))


def test_datasets_around_a_loader_are_not_stacked_either(loader, corpus):
    class Around(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield from loader

    with pytest.raises(TypeError, match=r"DataLoader\(loader, batch_size=None\)"):
        next(iter(torch.utils.data.DataLoader(Around())))
    # Who says what is to be made of several batches knows what they are.
    both = torch.utils.data.DataLoader(loader, batch_size=2, collate_fn=list)
    first = next(iter(both))
    assert [batch.n_obs for batch in first] == [64, 64]
    del first
    assert sum(batch.n_obs for batch in torch.utils.data.DataLoader(Around(), batch_size=None)) == 3001


@pytest.mark.parametrize("context", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("workers", [1, 2])
def test_dataloader_workers(corpus, workers, context):
    if context != "fork" and workers == 1:
        pytest.skip("covered by two workers")
    ds = corpus.open()[100:1100]
    plain = penstock.Loader(ds, batch_size=64, memory="8MB", obs=["colour", "n"])
    expected = [flat(plain) for _ in range(2)]
    loader = penstock.Loader(ds, batch_size=64, memory="8MB", obs=["colour", "n"])
    wrapped = torch.utils.data.DataLoader(
        loader, batch_size=None, num_workers=workers, multiprocessing_context=context
    )
    for epoch in range(2):
        seen = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for batch in wrapped:
                assert type(batch) is penstock.Batch and batch.X.layout == torch.sparse_csr
                assert_batch(batch, corpus.x)
                assert set(batch.obs_frame()["colour"]) <= {"red", "green", "blue"}
                seen.append(batch.index.numpy().copy())
        np.testing.assert_array_equal(np.concatenate(seen), expected[epoch])


def test_dataloader_workers_warn_once(corpus):
    from support import run_python

    code = """
        import sys, torch, penstock
        loader = penstock.Loader(penstock.open(sys.argv[1:]), batch_size=500, memory="8MB")
        for batch in torch.utils.data.DataLoader(loader, batch_size=None, num_workers=3):
            pass
    """
    done = run_python(code, *corpus.paths)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("num_workers=0 is faster") == 1


def test_pin_memory_goes_through_the_batch(loader):
    batch = next(iter(loader))
    if torch.accelerator.is_available():
        assert batch.pin_memory().obs["n"].is_pinned()
    else:
        with pytest.raises(RuntimeError):
            batch.pin_memory()


def test_lightning_finds_the_batch_size(loader):
    data = pytest.importorskip("lightning.pytorch.utilities.data")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.extract_batch_size(next(iter(loader))) == 64


def test_lightning_moves_batches(loader):
    apply = pytest.importorskip("lightning.fabric.utilities.apply_func")
    moved = apply.move_data_to_device(next(iter(loader)), torch.device("meta"))
    assert type(moved) is penstock.Batch and moved.X.device.type == "meta"


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_lightning_trains(corpus, tmp_path, devices):
    pytest.importorskip("lightning")
    script = Path(__file__).with_name("lightning_ddp.py")
    out = tmp_path / "seen"
    env = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    done = subprocess.run(
        [sys.executable, str(script), str(out), str(devices), *corpus.paths],
        capture_output=True, text=True, timeout=300, cwd=tmp_path, env=env,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    epochs = []
    for epoch in range(2):
        shares = [json.loads(Path(f"{out}.{epoch}.{rank}").read_text()) for rank in range(devices)]
        assert len({len(share) for share in shares}) == 1
        rows = np.concatenate([np.concatenate(share) for share in shares])
        np.testing.assert_array_equal(np.sort(rows[rows >= 0]), np.arange(3001))
        epochs.append(rows)
    assert not np.array_equal(*epochs) if len(epochs[0]) == len(epochs[1]) else True
