"""Rows chosen by slice, mask and position."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import penstock


def rows(ds):
    return ds._handle.global_rows(0, ds.n_obs)


@pytest.fixture(scope="module")
def ds(corpus):
    return corpus.open()


@pytest.mark.parametrize(
    "key",
    [
        slice(None), slice(5, 9), slice(690, 710), slice(-10, None), slice(None, None, 7), slice(10, 5),
        slice(2990, 99999, 3), slice(7, 6, -1), slice(3, 100, -5), slice(5, 6, 10**9),
    ],
)  # fmt: skip
def test_slices(ds, key):
    expected = np.arange(3001)[key]
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
    np.testing.assert_array_equal(rows(ds[[1, 5, -1]]), [1, 5, 3000])
    np.testing.assert_array_equal(rows(ds[[-3001, -3000]]), [0, 1])
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


def test_rows_in_another_order_are_refused(ds):
    """A Dataset is a set of rows in file order: what would come back in another order than asked says so."""
    rng = np.random.default_rng(0)
    for key in (
        [5, 3, 1], [-1, 0], [3, 1, 3], [1, 2, 2], rng.permutation(3001)[:50], pd.Series([9, 8]), pd.Index([9, 8]),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"twice|not in file order: \d+ comes after \d+") as error:
            ds[key]
        assert "ds[np.unique(rows)]" in str(error.value) and "to_anndata(rows)" in str(error.value)
        np.testing.assert_array_equal(
            rows(ds[np.unique(np.arange(3001)[key])]), np.unique(np.arange(3001)[key])
        )
    for key in (slice(None, None, -1), slice(100, 3, -5)):
        with pytest.raises(ValueError, match=r"file order.*to_anndata"):
            ds[key]


JOINS = {"|": np.union1d, "&": np.intersect1d, "-": np.setdiff1d}


def joined(a, b, sign):
    return a | b if sign == "|" else a & b if sign == "&" else a - b


@pytest.mark.parametrize("sign", JOINS)
def test_joins_are_those_of_sets(ds, corpus, sign):
    parts = [ds, ds[[]], ds[::2], ds[600:1200], ds.split([0.3])[0], ds.query("n > 500")]
    copies = [pickle.loads(pickle.dumps(part)) for part in parts]
    again = [corpus.open(index_memory="100MB")[rows(part)] for part in parts]
    for a in parts:
        for others in (parts, copies, again):
            for b in others:
                both = joined(a, b, sign)
                np.testing.assert_array_equal(rows(both), JOINS[sign](rows(a), rows(b)))
                assert both.shape == (len(rows(both)), 90)
                assert both.selection.rows.dtype == np.int64
                np.testing.assert_array_equal(both.selection.rows, rows(both))
    train, val = ds.split([0.9, 0.1])
    whole = joined(train, val, "|")
    assert whole.files[0].selected == 700 and len(pickle.dumps(whole)) < 2000  # all rows are no bitmap


def test_joins_in_a_forked_child(ds):
    """A child opens files itself: its Datasets join with those that it has from its parent."""
    read, write = os.pipe()
    a, b = ds[:700], ds[500:]
    child = os.fork()
    if child == 0:
        try:
            b._native()
            os.write(write, repr([(a | b).n_obs, (a & b).n_obs, (b - a).n_obs]).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) == b"[3001, 200, 2301]"
    os.close(read)
    os.close(write)


def test_joins_say_what_differs(ds, corpus, tmp_path):
    genes = list(ds.var_names)
    for other, why in (
        (penstock.open(corpus.paths[:2]), "3 files and 2"),
        (penstock.open(corpus.paths[::-1]), "file 0 is .*part0.* in one and .*part2"),
        (corpus.open(join="inner"), "join='exact' in one and 'inner' in the other"),
        (ds[:, :5], "90 genes and 5"),
        (ds[:, genes[::-1]], "gene 0 is 'g0' in one and 'g89' in the other"),
        (
            ds.select_vars([*genes[:-1], "new"], missing="zero"),
            "gene 89 is 'g89' in one and 'new' in the other",
        ),
    ):
        for sign in JOINS:
            with pytest.raises(ValueError, match=why):
                joined(ds, other, sign)
    assert (ds[:5] | ds[7:9, genes]).n_obs == 7  # all genes are all genes, however they were asked for
    panel = ds[:, genes[3:9]]
    assert joined(panel[:5], ds[3:9, genes[3:9]], "&").shape == (2, 6)
    for other in (None, 3, [1, 2], {1}):
        with pytest.raises(TypeError, match="joins two selections, not a Dataset and a"):
            joined(ds, other, "|")


def test_joins_see_that_a_file_has_changed(corpus, tmp_path):
    import shutil

    path = tmp_path / "a.h5ad"
    shutil.copy(corpus.paths[0], path)
    before = penstock.open(path)
    shutil.copy(corpus.paths[2], path)
    with pytest.raises(ValueError, match=r"700 rows in one selection and 2,300 in the other"):
        joined(before, penstock.open(path), "|")


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
    np.testing.assert_array_equal(rows(ds[expected]), expected)
    mask = np.zeros(3001, dtype=bool)
    mask[positions] = True
    np.testing.assert_array_equal(rows(ds[mask]), expected)


def test_dataloader_on_a_dataset_is_an_error(ds):
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"penstock\.Loader"):
        next(iter(torch.utils.data.DataLoader(ds, batch_size=64)))
