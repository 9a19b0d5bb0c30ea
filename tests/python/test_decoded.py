"""The plan's bytes to decode are what is decoded, whatever the storage: exactly where row offsets are in memory and
the codec is HDF5's, else within 5 %."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from support import random_csr, random_obs, write_h5ad
from test_parquet import gene_table, list_table, write_triplets

import penstock

GZIP = {"compression": "gzip", "compression_opts": 1}
SHAPES: dict[str, dict[str, Any]] = {
    "few genes": {"genes": 30, "density": 0.3, "chunks": 2000, **GZIP},
    "many genes": {"genes": 5000, "density": 0.2, "chunks": 10_000, **GZIP},
    "wide chunks": {"genes": 300, "density": 0.1, "chunks": 100_000, **GZIP},
    "tiny chunks": {"genes": 300, "density": 0.1, "chunks": 50, **GZIP},
    "chunks of their own": {"genes": 300, "density": 0.1, "chunks": 3000, "index_chunks": 701, **GZIP},
    "shuffled": {"genes": 300, "density": 0.1, "chunks": 4000, "shuffle": True, **GZIP},
    "lzf": {"genes": 300, "density": 0.1, "chunks": 4000, "compression": "lzf"},
    "no codec": {"genes": 300, "density": 0.1, "chunks": 4000},
    "one piece": {"genes": 300, "density": 0.1},
    "bytes": {
        "genes": 200,
        "density": 0.2,
        "chunks": 5000,
        "dtype": np.uint8,
        "index_dtype": np.uint8,
        **GZIP,
    },
}


def make(folder: Path, shape: str, rows: int, **changes: Any) -> str:
    layout = {**SHAPES[shape], **changes}
    rng = np.random.default_rng(len(shape))
    x = random_csr(
        rng, rows, layout.pop("genes"), density=layout.pop("density"), dtype=layout.pop("dtype", np.float32)
    )
    return write_h5ad(folder / "a.h5ad", x, random_obs(rng, rows), **layout)


def epochs(loader: penstock.Loader) -> list[tuple[int, int]]:
    """(predicted, counted) of three epochs."""
    engine, found = loader._for_reading(), []
    for epoch in range(3):
        for _ in loader:
            pass
        stats = loader.stats()
        assert stats["rows_deferred"] == 0
        found.append((engine.epoch_cost(epoch)["bytes_to_decode"], stats["epoch_bytes_decoded"]))
    assert found[0][0] == loader.plan.bytes_to_decode
    assert stats["bytes_decoded"] >= sum(counted for _, counted in found)
    return found


@pytest.mark.parametrize("part", ["all", "scattered", "runs"])
@pytest.mark.parametrize("shape", list(SHAPES))
def test_files_of_every_shape(tmp_path: Path, shape: str, part: str) -> None:
    rows = 1200
    path = make(tmp_path, shape, rows)
    number = np.arange(rows)
    chosen = {"all": number >= 0, "scattered": number % 7 == 3, "runs": number // 50 % 3 == 1}[part]
    for options in (
        {"memory": "64MB"},
        {"memory": "64MB", "block_rows": 9, "window_rows": 192},
        {"memory": "64MB", "shuffle": False},
        {"memory": "64MB", "rank": 1, "world_size": 3},
    ):
        loader = penstock.Loader(penstock.open(path)[chosen], batch_size=32, to="numpy", threads=2, **options)
        assert loader.plan.resident_offsets
        for predicted, counted in epochs(loader):
            assert predicted == counted, (options, predicted / counted)


@pytest.mark.parametrize(
    ("shape", "rows", "density", "memory"),
    [
        ("few genes", 60_000, 0.3, "2MB"),
        ("many genes", 80_000, 0.004, "3MB"),
        ("wide chunks", 320_000, 0.01, "11MB"),
        ("tiny chunks", 100_000, 0.02, "4MB"),
        ("bytes", 60_000, 0.2, "2MB"),
    ],
)
def test_row_offsets_that_are_read_again(
    tmp_path: Path, keep_nothing: None, shape: str, rows: int, density: float, memory: str
) -> None:
    path = make(tmp_path, shape, rows, density=density)
    loader = penstock.Loader(penstock.open(path), batch_size=16, to="numpy", threads=1, memory=memory)
    assert not loader.plan.resident_offsets
    engine = loader._for_reading()
    for epoch in range(2):
        for _ in loader:
            pass
        counted = loader.stats()["epoch_bytes_decoded"]
        assert engine.epoch_cost(epoch)["bytes_to_decode"] == pytest.approx(counted, rel=0.05)


def test_chunks_that_were_never_written_are_not_decoded(tmp_path: Path) -> None:
    path = make(tmp_path, "few genes", 1200)
    with h5py.File(path, "r+") as file:
        data = file["X/data"]
        shape, dtype = data.shape, data.dtype
        del file["X/data"]
        file["X"].create_dataset("data", shape, dtype, chunks=(2000,), fillvalue=3, **GZIP)
    options = {"batch_size": 32, "memory": "64MB", "to": "numpy"}
    with penstock.Loader(penstock.open(path), **options) as loader:
        assert all((batch.X.data == 3).all() for batch in loader)
    with penstock.Loader(penstock.open(path), **options) as loader:
        for predicted, counted in epochs(loader):
            assert predicted == counted > 0


def test_the_plan_says_when_offsets_are_dear_to_read_again(tmp_path: Path, keep_nothing: None) -> None:
    path = make(tmp_path, "wide chunks", 60_000, density=0.01)
    plan = penstock.Loader(penstock.open(path), batch_size=16, to="numpy", memory="20MB").plan
    notes = [note for note in plan.notes if note.kind == "offsets_reread"]
    assert len(notes) == 1 and 'memory="' in notes[0]
    penstock._core.keep_nothing(False)
    plan = penstock.Loader(penstock.open(path), batch_size=16, to="numpy", memory="20MB").plan
    assert plan.resident_offsets and plan.resident_labels
    assert not [note for note in plan.notes if note.kind == "offsets_reread"]


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("kind", ["lists", "triplets", "wide"])
def test_parquet(tmp_path: Path, kind: str, compression: str) -> None:
    x = sp.csr_matrix(np.random.default_rng(1).poisson(0.3, (3000, 60)).astype(np.float32))
    written = {"compression": compression, "data_page_size": 8000}
    if kind == "lists":
        path = tmp_path / "a.parquet"
        gene_table(tmp_path)
        pq.write_table(list_table(x), path, row_group_size=900, **written)
    elif kind == "triplets":
        path = write_triplets(x, tmp_path / "x", row_group_size=20_000, **written)
    else:
        path = tmp_path / "wide.parquet"
        dense = x.toarray()
        pq.write_table(
            pa.table({f"G{c}": dense[:, c] for c in range(60)}), path, row_group_size=500, **written
        )
    rows = np.arange(3000)
    for chosen in (rows >= 0, rows // 100 % 3 == 1):
        loader = penstock.Loader(
            penstock.open(path)[chosen], batch_size=64, memory="64MB", to="numpy", threads=2
        )
        for predicted, counted in epochs(loader):
            assert predicted == pytest.approx(counted, rel=0.05)
