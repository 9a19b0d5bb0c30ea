"""Row numbers, positions and names: what a batch says its rows are, and what a Dataset makes of it."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from support import write_h5ad

import penstock

torch = pytest.importorskip("torch")

SELECTIONS = {
    "all": lambda ds: ds,
    "tail": lambda ds: ds[650:],
    "scattered": lambda ds: ds[::3],
    "panel": lambda ds: ds[5:2000, :7],
    "copy": lambda ds: pickle.loads(pickle.dumps(ds[100:900:7])),
}


@pytest.fixture(scope="module", params=["h5ad", "parquet"])
def ds(request, corpus, tmp_path_factory) -> penstock.Dataset:
    """Rows are called f0c0, f0c1, ... in either format."""
    if request.param == "h5ad":
        return corpus.open()
    folder = tmp_path_factory.mktemp("rows")
    first = 0
    for i, n in enumerate([700, 1, 2300]):
        x = corpus.x[first : first + n]
        table = pd.DataFrame(
            x.toarray(), columns=[f"g{j}" for j in range(90)], index=corpus.obs.index[first : first + n]
        )
        table.to_parquet(folder / f"{i}.parquet", row_group_size=400)
        first += n
    return penstock.open(folder)


@pytest.mark.parametrize("to", ["torch", "numpy"])
@pytest.mark.parametrize("select", SELECTIONS.values(), ids=SELECTIONS)
def test_names_and_positions_of_every_batch(ds, corpus, select, to):
    part, names = select(ds), np.asarray(corpus.obs.index, dtype=object)
    loader = penstock.Loader(part, batch_size=64, memory="32MB", to=to)
    seen = []
    for batch in loader:
        index = np.asarray(batch.index)
        assert isinstance(batch.obs_names, pd.Index) and list(batch.obs_names) == list(names[index])
        positions = part.positions(batch.index)
        assert positions.dtype == np.int64 and positions.shape == (batch.n_obs,)
        assert list(part.obs_names[positions]) == list(batch.obs_names)
        assert list(ds.obs_names[batch.index]) == list(batch.obs_names)
        assert ds.obs_names[batch.index[0]] == batch.obs_names[0]
        assert part.obs_names[part.positions(batch.index[0])] == batch.obs_names[0]
        seen.extend(positions)
    assert sorted(seen) == list(range(part.n_obs))
    assert list(loader.peek().obs_names) == [names[row] for row in loader.peek().index.tolist()]


def test_what_is_made_of_a_batch_knows_its_names(ds):
    batch = next(iter(penstock.Loader(ds[40:], batch_size=16, memory="32MB", obs=[])))
    names = list(batch.obs_names)
    for made in (batch.clone(), batch.to("cpu"), batch.copy(), copy.copy(batch), copy.deepcopy(batch)):
        assert list(made.obs_names) == names
    frame = batch.obs_frame(names=True)
    assert list(frame.index) == names and batch.obs_frame().index.name == "row"
    batch.index[3] = -1  # as ranks mark a row that is repeated
    assert batch.obs_names[3] is None and list(batch.obs_names[4:]) == names[4:]
    batch["obs_names"] = ["mine"]
    assert batch.obs_names == ["mine"]


def test_a_pickled_batch_says_how_to_find_its_names(ds):
    loader = penstock.Loader(ds[40:], batch_size=16, memory="32MB")
    batch = next(iter(loader))
    lost = pickle.loads(pickle.dumps(batch))
    with pytest.raises(RuntimeError, match=r"ds\.obs_names\[ds\.positions\(batch\.index\)\].*select_rows"):
        _ = lost.obs_names
    with pytest.raises(RuntimeError, match="pickled"):
        lost.obs_frame(names=True)
    assert list(ds.obs_names[ds.positions(lost.index)]) == list(batch.obs_names)
    workers = torch.utils.data.DataLoader(loader, batch_size=None, num_workers=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sent = next(iter(workers))
    with pytest.raises(RuntimeError, match="pickled"):
        _ = sent.obs_names


def test_names_in_a_transform_and_of_the_rows_of_a_rank(ds, corpus):
    def keep_names(batch):
        batch["cells"] = list(batch.obs_names)
        return batch

    names = corpus.obs.index
    for rank in (0, 1):
        loader = penstock.Loader(
            ds, batch_size=700, memory="32MB", rank=rank, world_size=2, transform=keep_names, to="numpy"
        )
        for batch in loader:
            assert batch.cells == [None if row < 0 else names[row] for row in batch.index.tolist()]


def test_names_that_do_not_fit_are_read_again_with_a_warning(tmp_path):
    n = 150_000
    obs = pd.DataFrame(index=[f"a rather long name of cell {i}" for i in range(n)])
    path = write_h5ad(tmp_path / "a.h5ad", sp.csr_matrix((n, 3), dtype=np.float32), obs, chunks=None)
    rows = np.array([149_999, 0, 65_536, 65_535, 0, 12])
    for memory in ("16MB", "64MB"):
        ds = penstock.open(path, index_memory=memory)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for part in (ds, ds[:], ds[5:9]):
                assert list(part._names_of(rows)) == list(obs.index[rows])
        assert [str(w.message)[:9] for w in caught] == (["obs_names"] if memory == "16MB" else [])
        assert ds.nbytes < (1e4 if memory == "16MB" else 7e6)


def test_positions_take_what_holds_numbers_and_refuse_others(ds):
    part = ds[10:3000:2]
    for index in (
        [12, 10, 12],
        np.array([12, 10, 12], dtype=np.uint16),
        torch.tensor([12, 10, 12]),
        pd.Index([12, 10, 12]),
    ):
        np.testing.assert_array_equal(part.positions(index), [1, 0, 1])
    for one in (12, np.int64(12), torch.tensor(12), np.array(12)):
        assert part.positions(one) == 1 and np.ndim(part.positions(one)) == 0
    assert part.positions([]).shape == (0,) and part.positions([]).dtype == np.int64
    np.testing.assert_array_equal(part.positions([[10, 12], [14, 16]]), [[0, 1], [2, 3]])
    for select in (part.positions, part.select_rows):
        with pytest.raises(ValueError, match="row 13 of all files is not among the 1,495 rows selected"):
            select([12, 13])
        with pytest.raises(ValueError, match=r"-1 is no row: .*repeated.*index\[index >= 0\]"):
            select(torch.tensor([12, -1]))
        for missing in (3001, -2, 2**62):
            with pytest.raises(IndexError, match=f"global row {missing} is not among the 3,001 rows"):
                select([12, missing])
        with pytest.raises(TypeError, match="float64"):
            select([0.5])
        with pytest.raises(TypeError, match="bool"):
            select(np.ones(1495, dtype=bool))


def test_rows_by_their_global_numbers(ds):
    part = ds[10:3000:2]
    assert part.select_rows([16, 12, 16]).selection.rows.tolist() == [12, 16]
    assert part.select_rows(torch.tensor(40)).selection.rows.tolist() == [40]
    assert part.select_rows([]).n_obs == 0
    batch = next(iter(penstock.Loader(part, batch_size=100, memory="32MB")))
    chosen = part.select_rows(batch.index)
    assert set(chosen.obs_names) == set(batch.obs_names) and chosen.n_obs == 100
    assert (part - chosen).n_obs == part.n_obs - 100
    same = part.select_rows(part.selection.rows)
    np.testing.assert_array_equal(same.selection.rows, part.selection.rows)


def test_obs_names_is_an_index_like_any_other(ds, corpus):
    names = ds.obs_names
    plain = pd.Index(corpus.obs.index, dtype=object)
    pd.testing.assert_index_equal(names, plain)
    pd.testing.assert_index_equal(plain, names)
    pd.testing.assert_frame_equal(
        pd.DataFrame({"x": range(3001)}, index=names), pd.DataFrame({"x": range(3001)}, index=plain)
    )
    assert repr(names) == repr(plain)
    for key in (3, np.int64(3), -1, torch.tensor(3), torch.tensor(-1, dtype=torch.int32)):
        assert names[key] == plain[int(key)]
    for key in (slice(2, 9), [5, 1], np.array([5, 1]), torch.tensor([5, 1]), torch.arange(3001) % 2 == 0):
        assert names[key].equals(plain[key if isinstance(key, (slice, list)) else np.asarray(key)])
    with pytest.raises(IndexError):
        names[torch.tensor(3001)]
    for made in (pickle.loads(pickle.dumps(names)), names[:2].append(names[2:]), names.union([])):
        pd.testing.assert_index_equal(made, plain, check_names=False)
    assert type(pickle.loads(pickle.dumps(names))) is pd.Index


ORDERS = {
    "unsorted": [5, 3, 1],
    "repeated": [3, 1, 3],
    "negative": [-1, 0, -1],
    "mask": np.arange(1995) % 3 == 0,
    "backwards": slice(20, 2, -3),
    "tensor": torch.tensor([9, 1300, 700, 4]),
    "series": pd.Series([9, 2], index=["a", "b"]),
    "one": 17,
    "none": np.zeros(0, dtype=int),
    "permutation": np.random.default_rng(0).permutation(1995),
}


@pytest.mark.parametrize("key", ORDERS.values(), ids=ORDERS)
@pytest.mark.filterwarnings("ignore:Observation names are not unique", "ignore:obs columns left out")
def test_to_anndata_keeps_the_order_asked_for(corpus, key):
    whole = corpus.open(matrix="X")
    for first, ds in ((0, whole[:1995]), (5, whole[5:2000])):
        plain = key if isinstance(key, (slice, list)) else np.asarray(key)
        rows = np.atleast_1d(first + np.arange(1995)[plain])
        found = ds.to_anndata(key)
        assert list(found.obs_names) == list(corpus.obs.index[rows])
        assert (corpus.x[rows] != found.X).nnz == 0
        assert list(found.obs["n"]) == list(corpus.obs["n"].iloc[rows])
        assert list(found.obs["colour"].astype(object)) == list(
            corpus.obs["colour"].astype(object).iloc[rows]
        )


@pytest.mark.filterwarnings("ignore:obs columns left out")
def test_the_cells_of_a_batch_as_anndata(corpus):
    ds = corpus.open()[50:]
    batch = next(iter(penstock.Loader(ds, batch_size=40, memory="32MB")))
    cells = ds.to_anndata(ds.positions(batch.index))
    np.testing.assert_array_equal(cells.X.toarray(), batch.dense().numpy())
    assert list(cells.obs_names) == list(batch.obs_names)
