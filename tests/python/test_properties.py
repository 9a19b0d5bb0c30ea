"""Random AnnData in random layouts against anndata."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anndata
import numpy as np
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import assert_batch, canonical, random_csr, random_obs, write_h5ad

import penstock

layouts = st.fixed_dictionaries(
    {"chunks": st.none() | st.integers(1, 600), "index_chunks": st.none() | st.integers(1, 600)},
    optional={
        "compression": st.sampled_from(["gzip", "lzf"]),
        "shuffle": st.booleans(),
        "fletcher32": st.booleans(),
        "index_dtype": st.sampled_from(["int32", "int64", "uint16", "uint8"]),
        "indptr_dtype": st.sampled_from(["int32", "int64", "uint32"]),
    },
)


@st.composite
def files(draw):
    n_vars = draw(st.integers(1, 200))
    sizes = draw(st.lists(st.integers(0, 120), min_size=1, max_size=3).filter(lambda s: sum(s) > 0))
    dtype = draw(st.sampled_from(["float32", "float64", "int32", "uint8", "int64", "uint16"]))
    density = draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    return sizes, n_vars, dtype, density, [draw(layouts) for _ in sizes], draw(st.integers(0, 2**32 - 1))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    files(),
    st.integers(1, 150),
    st.booleans(),
    st.sampled_from(["csr", "dense"]),
    st.none() | st.integers(1, 60),
    st.none() | st.integers(1, 4),
    st.integers(1, 4),
)
def test_random_files(spec, batch_size, shuffle, format, block_rows, windows, world):
    sizes, n_vars, dtype, density, options, seed = spec
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        parts, paths = [], []
        for i, (n, layout) in enumerate(zip(sizes, options, strict=True)):
            x = random_csr(rng, n, n_vars, density=density, dtype=dtype)
            paths.append(write_h5ad(Path(folder) / f"{i}.h5ad", x, random_obs(rng, n), **layout))
            parts.append(anndata.read_h5ad(paths[-1]).X)
        x = sp.csr_matrix(sp.vstack(parts))
        ds = penstock.open(paths)
        keep = rng.random(ds.n_obs) < 0.8
        selected = ds[keep]
        seen = []
        for rank in range(world):
            loader = penstock.Loader(
                selected, batch_size=batch_size, shuffle=shuffle, format=format, dtype="float64", to="numpy",
                memory="64MB", seed=seed, block_rows=block_rows, rank=rank, world_size=world,
                window_rows=None if windows is None else windows * batch_size, threads=2,
            )  # fmt: skip
            for batch in loader:
                if (batch.index >= 0).all():
                    assert_batch(batch, x, np.float64)
                seen.append(batch.index[batch.index >= 0].copy())
            loader.close()
        rows = np.concatenate(seen) if seen else np.zeros(0, int)
        np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(keep))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_row_range(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    n = data.draw(st.integers(1, 200))
    x = random_csr(rng, n, 40)
    layout = data.draw(layouts)
    with tempfile.TemporaryDirectory() as folder:
        ds = penstock.open(write_h5ad(Path(folder) / "a.h5ad", x, **layout))
        for _ in range(5):
            first = data.draw(st.integers(0, n - 1))
            last = data.draw(st.integers(first, n))
            found = ds[first:last].to_anndata().X
            assert (canonical(found) != canonical(x[first:last])).nnz == 0
