"""Sets that are large in metadata and small on disk (tools/make_scale_data.py) hold what h5py reads of them."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import penstock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import make_scale_data


@pytest.fixture(scope="module")
def pools() -> dict[tuple[int, int], make_scale_data.Pool]:
    return {(9, file): make_scale_data.make_pool(9, file) for file in (0, 1)}


@pytest.mark.parametrize("files", [1, 2])
@pytest.mark.parametrize("indptr", ["h5py", "1000", "contiguous"])
def test_every_row_is_what_h5py_reads(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pools: dict[tuple[int, int], make_scale_data.Pool],
    files: int,
    indptr: str,
) -> None:
    monkeypatch.setattr(make_scale_data, "POOL_CHUNKS", 9 * files)
    spec = make_scale_data.Spec(901 * files, files, indptr)
    paths = make_scale_data.make(spec, tmp_path, pools)
    rows, first = [], 0
    for path in paths:
        with h5py.File(path) as file:
            x = file["X"]
            assert (x["indptr"].chunks is None) == (indptr == "contiguous")
            ends, genes, counts = x["indptr"][:], x["indices"][:], x["data"][:]
            assert x["data"].id.get_num_chunks() > 64, "more than one node of the B-tree"
            rows += [(genes[a:b], counts[a:b]) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        first += len(ends) - 1
    pool = pools[9, 0].lengths
    np.testing.assert_array_equal(rows[len(pool)][0], rows[0][0])  # the pool once more
    seen = 0
    with penstock.Loader(penstock.open(paths), batch_size=128, memory="50MB", to="numpy") as loader:
        for batch in loader:
            for i, row in enumerate(batch.index):
                got = batch.X[i]
                np.testing.assert_array_equal(got.indices, rows[row][0])
                np.testing.assert_array_equal(got.data, rows[row][1])
            seen += batch.n_obs
    assert seen == first == 901 * files
