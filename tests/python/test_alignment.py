"""Series as masks, weights and labels: aligned by their index, or refused; never taken by place in silence."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from support import write_h5ad

import penstock

N = 400


@pytest.fixture(scope="module")
def ds(tmp_path_factory) -> penstock.Dataset:
    folder = tmp_path_factory.mktemp("alignment")
    paths = []
    for file in range(2):
        x = sp.random(N, 12, 0.4, "csr", np.float32, np.random.default_rng(file))
        obs = pd.DataFrame({"n": np.arange(N)}, index=[f"f{file}c{i}" for i in range(N)])
        paths.append(write_h5ad(folder / f"{file}.h5ad", x, obs))
    return penstock.open(paths)[100:500]


def chosen(ds, series):
    """The positions that a mask keeps."""
    return ds.positions(ds[series > 0].selection.rows)


def weighted(ds, series):
    loader = penstock.Loader(ds, memory="32MB", to="numpy", weights=series, epoch_size=120)
    return np.unique(
        [ds.positions(batch.index[0]) for batch in loader]
        + [p for b in loader for p in ds.positions(b.index)]
    )


def grouped(ds, series):
    return next(
        ds.positions(part.selection.rows)
        for part in ds.split([0.1, 0.9], group_by=series.astype(int))
        if part.n_obs == 40
    )


def balanced(ds, series):
    """The positions that come more than three times when two classes of 40 and 360 are balanced."""
    loader = penstock.Loader(ds, memory="32MB", to="numpy", balance=series > 0, epoch_size=800)
    times = np.bincount(np.concatenate([ds.positions(batch.index) for batch in loader]), minlength=N)
    return np.flatnonzero(times > 3)


INDEXES = {
    "range": lambda ds: pd.RangeIndex(N),
    "positions": lambda ds: pd.Index(np.arange(N)),
    "unsigned": lambda ds: pd.Index(np.arange(N, dtype=np.uint64)),
    "small": lambda ds: pd.Index(np.arange(N, dtype=np.int16)),
    "nullable": lambda ds: pd.Index(pd.array(np.arange(N), dtype="Int64")),
    "names": lambda ds: pd.Index(list(ds.obs_names)),
    "text": lambda ds: pd.Index(list(ds.obs_names), dtype="string"),
    "categories": lambda ds: pd.CategoricalIndex(list(ds.obs_names)),
}


@pytest.mark.parametrize("use", [chosen, weighted, grouped, balanced])
@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_a_series_goes_to_the_rows_that_its_index_names(ds, use, index):
    series = pd.Series((np.arange(N) % 10 == 3) * 1.0, index=index(ds))
    want = np.arange(3, N, 10)
    for given in (series, series.sample(frac=1, random_state=1), series.sort_values(), series[::-1]):
        np.testing.assert_array_equal(use(ds, given), want)


STRANGE = {
    "shifted": pd.RangeIndex(1, N + 1),
    "global": pd.RangeIndex(100, 500),
    "repeated": pd.Index([*range(N - 1), 0]),
    "other names": pd.Index([f"x{i}" for i in range(N)]),
    "floats": pd.Index(np.arange(N) + 0.5),
    "dates": pd.date_range("2024-01-01", periods=N),
    "missing": pd.Index(pd.array([*range(N - 1), None], dtype="Int64")),
    "two levels": pd.MultiIndex.from_product([range(N // 2), ["a", "b"]]),
}


@pytest.mark.parametrize("use", [chosen, weighted, grouped, balanced])
@pytest.mark.parametrize("index", STRANGE.values(), ids=STRANGE)
def test_an_index_that_names_no_rows_is_refused(ds, use, index):
    series = pd.Series((np.arange(N) % 10 == 3) * 1.0, index=index)
    with pytest.raises(
        ValueError, match=r"neither the positions 0 to 399 nor obs_names.*series\.to_numpy\(\)"
    ):
        use(ds, series)


def test_names_that_are_not_unique_align_in_their_order_only(tmp_path):
    obs = pd.DataFrame(index=["a", "b", "a", "c"])
    ds = penstock.open(write_h5ad(tmp_path / "a.h5ad", sp.csr_matrix(np.eye(4, dtype=np.float32)), obs))
    mask = pd.Series([True, False, False, True], index=obs.index)
    assert ds[mask].selection.rows.tolist() == [0, 3]
    with pytest.raises(ValueError, match="obs_names, each once"):
        ds[mask.sort_index()]


def test_masks_of_genes_align_by_their_names(ds):
    mask = pd.Series(np.arange(12) % 4 == 1, index=ds.var_names)
    for given in (mask, mask.sample(frac=1, random_state=0), mask.reset_index(drop=True)[::-1]):
        assert list(ds[:, given].var_names) == ["g1", "g5", "g9"]
    assert list(ds[:, ds.var_names.isin(["g3"])].var_names) == ["g3"]
    with pytest.raises(ValueError, match="nor var_names"):
        ds[:, mask.set_axis(range(1, 13))]


def test_a_filtered_column_and_a_frame(ds):
    column = ds.obs["n"]
    assert ds[(column > 300).sort_values()].n_obs == (column > 300).sum()
    with pytest.raises(IndexError, match="300 entries for 400 rows"):
        ds[column[:300] > 0]
    with pytest.raises(ValueError, match=r"shape \(300,\)"):
        penstock.Loader(ds, weights=column[:300])
    for use in (
        lambda frame: penstock.Loader(ds, weights=frame),
        lambda frame: ds.split([0.5], group_by=frame),
    ):
        with pytest.raises(TypeError, match="DataFrame: give one of its columns"):
            use(column.to_frame())
