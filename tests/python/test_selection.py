"""Rows chosen by slice, mask and position."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def rows(ds):
    return ds._handle.global_rows(0, ds.n_obs)


@pytest.fixture(scope="module")
def ds(corpus):
    return corpus.open()


@pytest.mark.parametrize(
    "key",
    [
        slice(None), slice(5, 9), slice(690, 710), slice(-10, None), slice(None, None, 7), slice(10, 5),
        slice(2990, 99999, 3), slice(None, None, -1), slice(100, 3, -5), slice(3, 100, -5),
    ],
)  # fmt: skip
def test_slices(ds, key):
    expected = np.sort(np.arange(3001)[key])
    np.testing.assert_array_equal(rows(ds[key]), expected)
    np.testing.assert_array_equal(rows(ds[key, :]), expected)
    np.testing.assert_array_equal(rows(ds[key, ...]), expected)


def test_masks(ds, corpus):
    mask = np.random.default_rng(0).random(3001) < 0.3
    expected = np.flatnonzero(mask)
    for key in (mask, list(mask), pd.Series(mask), pd.Series(mask, index=corpus.obs.index), pd.array(mask)):
        np.testing.assert_array_equal(rows(ds[key]), expected)
    np.testing.assert_array_equal(
        rows(ds[ds.obs["colour"] == "red"]), np.flatnonzero(corpus.obs["colour"] == "red")
    )
    np.testing.assert_array_equal(rows(ds[ds.obs_names.isin(["f0c3", "f2c5"])]), [3, 706])


def test_positions(ds):
    np.testing.assert_array_equal(rows(ds[[5, 1, -1]]), [1, 5, 3000])
    np.testing.assert_array_equal(rows(ds[np.array([2, 700], dtype=np.uint16)]), [2, 700])
    np.testing.assert_array_equal(rows(ds[pd.Index([7])]), [7])
    np.testing.assert_array_equal(rows(ds[3]), [3])
    np.testing.assert_array_equal(rows(ds[np.int64(-1)]), [3000])
    assert ds[[]].n_obs == 0 and ds[np.zeros(0, dtype=int)].n_obs == 0
    selected = ds.obs["n"]
    np.testing.assert_array_equal(rows(ds[selected.index[selected > 500]]), np.flatnonzero(selected > 500))


def test_selections_of_selections(ds):
    part = ds[100:1000]
    assert part.shape == (900, 90)
    np.testing.assert_array_equal(rows(part[::10]), np.arange(100, 1000, 10))
    np.testing.assert_array_equal(rows(part[[0, 899]]), [100, 999])
    np.testing.assert_array_equal(
        rows(part[part.obs["n"] > 500]), 100 + np.flatnonzero(ds.obs["n"][100:1000] > 500)
    )
    assert [f.selected for f in part.files] == [600, 1, 299]
    assert list(part.obs_names) == list(ds.obs_names[100:1000])
    pd.testing.assert_series_equal(part.obs["score"], ds.obs["score"][100:1000].reset_index(drop=True))


def test_bad_keys(ds):
    with pytest.raises(ValueError, match="twice|duplicate"):
        ds[[1, 1]]
    for key in ([3001], [-3002], np.ones(3000, dtype=bool), np.zeros((2, 2), dtype=int)):
        with pytest.raises(IndexError):
            ds[key]
    for key in ("f0c1", ["f0c1"], [0.5], True, None):
        with pytest.raises(TypeError):
            ds[key]
    with pytest.raises(ValueError, match="missing"):
        ds[pd.array([True, None] + [False] * 2999, dtype="boolean")]
    with pytest.raises(KeyError, match="no gene 'nope'"):
        ds[:, ["nope"]]
    with pytest.raises(IndexError):
        ds[1, 2, 3]
    with pytest.raises(TypeError, match=r"penstock\.Loader"):
        iter(ds)


def test_pickle_carries_the_selection(ds):
    for part in (ds, ds[10:900:3], ds.split([0.5])[0], ds[[]]):
        copy = pickle.loads(pickle.dumps(part))
        np.testing.assert_array_equal(rows(copy), rows(part))
        assert copy.shape == part.shape and copy.matrix == part.matrix
    assert len(pickle.dumps(ds)) < 2000


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3000), unique=True, max_size=200))
def test_any_positions(ds, positions):
    expected = np.sort(np.array(positions, dtype=np.int64))
    np.testing.assert_array_equal(rows(ds[positions]), expected)
    mask = np.zeros(3001, dtype=bool)
    mask[positions] = True
    np.testing.assert_array_equal(rows(ds[mask]), expected)


def test_dataloader_on_a_dataset_is_an_error(ds):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"penstock\.Loader"):
        next(iter(torch.utils.data.DataLoader(ds, batch_size=64)))
