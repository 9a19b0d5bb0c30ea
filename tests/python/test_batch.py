"""What a Batch is and does."""

from __future__ import annotations

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from support import assert_batch, to_scipy

import penstock

torch = pytest.importorskip("torch")

LABELS = ["colour", "line", "n", "small", "score", "score32", "flag"]


@pytest.fixture
def loader(corpus):
    with penstock.Loader(corpus.open(), batch_size=100, memory="16MB", obs=LABELS) as loader:
        yield loader


def test_torch_csr(loader, corpus):
    batch = next(iter(loader))
    assert isinstance(batch, dict) and list(batch) == ["X", "obs", "index"]
    assert batch.X is batch["X"] and batch.X.layout == torch.sparse_csr and batch.X.shape == (100, 90)
    assert batch.X.dtype == torch.float32 and batch.index.dtype == torch.int64 and batch.n_obs == 100
    assert_batch(batch, corpus.x)
    with pytest.raises(AttributeError, match="layers"):
        _ = batch.layers
    assert "100 x 90" in repr(batch) and "colour" in repr(batch)


def test_no_warnings(corpus):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for batch in penstock.Loader(corpus.open(), batch_size=500, memory="16MB"):
            batch.dense()


def test_dense(corpus):
    for batch in penstock.Loader(corpus.open(), batch_size=100, memory="16MB", format="dense"):
        assert batch.X.layout == torch.strided and batch.X.is_contiguous()
        assert_batch(batch, corpus.x)
        assert batch.dense() is batch.X


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "bfloat16", "int32", "int64", "int16", "uint8"]
)
@pytest.mark.parametrize("format", ["csr", "dense"])
def test_dtypes(corpus, dtype, format):
    for spelled in (dtype, getattr(torch, dtype)):
        loader = penstock.Loader(corpus.open(), batch_size=500, memory="16MB", dtype=spelled, format=format)
        batch = next(iter(loader))
        assert batch.X.dtype == getattr(torch, dtype)
        expected = torch.from_numpy(corpus.x[batch.index.numpy()].toarray()).to(getattr(torch, dtype))
        assert torch.equal(batch.dense(), expected)


def test_numpy_dtypes(corpus):
    for spelled in (np.float64, np.dtype("float64"), "f8", float):
        assert next(iter(penstock.Loader(corpus.open(), dtype=spelled, to="numpy"))).X.dtype == np.float64
    for bad in ("complex64", "float33", None, np.uint64):
        with pytest.raises(ValueError, match="dtype"):
            penstock.Loader(corpus.open(), dtype=bad)
    with pytest.raises(ValueError, match="bfloat16"):
        penstock.Loader(corpus.open(), dtype="bfloat16", to="numpy")
    with pytest.raises(ValueError, match="float16"):
        penstock.Loader(corpus.open(), dtype="float16", to="numpy")


def test_numpy_and_scipy(corpus):
    loader = penstock.Loader(corpus.open(), batch_size=100, memory="16MB", to="numpy", obs=LABELS)
    for batch in loader:
        assert isinstance(batch.X, sp.csr_matrix) and batch.X.has_canonical_format
        assert batch.index.dtype == np.int64 and batch.index.flags.writeable
        assert_batch(batch, corpus.x)
        np.testing.assert_array_equal(batch.dense(), batch.X.toarray())
    with pytest.raises(TypeError, match="torch"):
        batch.to("cpu")
    dense = next(iter(penstock.Loader(corpus.open(), to="numpy", format="dense")))
    assert isinstance(dense.X, np.ndarray) and dense.X.flags.c_contiguous
    assert dense.dense(np.float64).dtype == np.float64


def test_dense_method(loader):
    batch = next(iter(loader))
    expected = batch.X.to_dense()
    for dtype in (None, "float64", torch.bfloat16, np.float16, "int32", torch.uint8, torch.bool, "complex64"):
        found = batch.dense(dtype)
        wanted = batch.X.dtype if dtype is None else torch.empty(0).to(found.dtype).dtype
        assert found.dtype == wanted and torch.equal(found, expected.to(found.dtype))
    held = [batch.dense() for _ in range(3)]
    assert len({x.data_ptr() for x in held}) == 3
    with pytest.raises(ValueError, match="dtype"):
        batch.dense("nonsense")


def test_dense_keeps_gradients(loader):
    batch = next(iter(loader)).clone()
    values = batch.X.values().clone().requires_grad_()
    batch.X = torch.sparse_csr_tensor(
        batch.X.crow_indices().long(),
        batch.X.col_indices().long(),
        values,
        size=batch.X.shape,
        check_invariants=False,
    )
    batch.dense().sum().backward()
    assert values.grad is not None


def test_dense_refuses_a_broken_matrix(loader):
    batch = next(iter(loader))
    batch.X.col_indices()[3] = 90
    with pytest.raises(ValueError, match="valid CSR"):
        batch.dense()
    batch.X.col_indices()[3] = -1
    with pytest.raises(ValueError, match="valid CSR"):
        batch.dense()
    batch = next(iter(loader))
    batch.X.crow_indices()[1] = 10**6
    with pytest.raises(ValueError, match="valid CSR"):
        batch.dense()


def test_labels(loader, corpus):
    types = {"colour": torch.int64, "line": torch.int64, "n": torch.int64, "small": torch.int64, "flag": torch.bool,
             "score": torch.float64, "score32": torch.float32}  # fmt: skip
    assert {name for name, known in loader.categories.items() if known is not None} == {"colour", "line"}
    assert loader.categories["colour"] == ["blue", "green", "red"]
    for batch in loader:
        assert {k: v.dtype for k, v in batch.obs.items()} == types
        expected = corpus.obs.iloc[batch.index.numpy()]
        for name in ("n", "small", "score", "score32", "flag"):
            np.testing.assert_array_equal(batch.obs[name].numpy(), expected[name].to_numpy())
        for name in ("colour", "line"):
            codes = batch.obs[name].numpy()
            texts = [loader.categories[name][c] if c >= 0 else None for c in codes]
            assert texts == [None if pd.isna(v) else v for v in expected[name]]
    assert loader.stats()["labels_missing"] == corpus.obs["line"].isna().sum()


def test_given_categories(corpus):
    ds = corpus.open()
    given = {"colour": ["red", "blue"], "n": None, "line": pd.Index(["b2"])}
    loader = penstock.Loader(ds, memory="16MB", obs=given)
    assert loader.categories == {"colour": ["red", "blue"], "n": None, "line": ["b2"]}
    for batch in loader:
        expected = (
            corpus.obs["colour"].iloc[batch.index.numpy()].map({"red": 0, "blue": 1, "green": -1}).astype(int)
        )
        np.testing.assert_array_equal(batch.obs["colour"].numpy(), expected)
    same = penstock.Loader(ds[:10], memory="16MB", obs=loader.categories)
    assert same.categories == loader.categories
    for bad, error in (
        (["colour", "colour"], ValueError), ({"colour": ["a", "a"]}, ValueError), ({"colour": "red"}, TypeError),
        (["color"], KeyError), ({"n": ["1"]}, ValueError),
    ):  # fmt: skip
        with pytest.raises(error):
            penstock.Loader(ds, memory="16MB", obs=bad)
    assert list(next(iter(penstock.Loader(ds, memory="16MB", obs="colour"))).obs) == ["colour"]


def test_obs_frame(loader, corpus):
    batch = next(iter(loader))
    frame = batch.obs_frame()
    expected = corpus.obs.iloc[batch.index.numpy()]
    assert list(frame.columns) == LABELS and list(frame.index) == batch.index.tolist()
    assert isinstance(frame["line"].dtype, pd.CategoricalDtype)
    for name in LABELS:
        left, right = frame[name].astype(object), expected[name].astype(object)
        assert [None if pd.isna(v) else v for v in left] == [None if pd.isna(v) else v for v in right]


def test_writing_never_changes_a_later_batch(large):
    ds = large.open()
    for format in ("csr", "dense"):
        loader = penstock.Loader(ds, batch_size=64, memory="16MB", format=format, obs=["n", "flag"])
        for _ in range(2):
            for batch in loader:
                assert_batch(batch, large.x)
                rows = batch.index.numpy().copy()
                np.testing.assert_array_equal(batch.obs["n"].numpy(), large.obs["n"].to_numpy()[rows])
                np.testing.assert_array_equal(batch.obs["flag"].numpy(), large.obs["flag"].to_numpy()[rows])
                if format == "csr":
                    batch.X.values().log1p_().add_(7)
                    batch.X.col_indices().fill_(12345)
                    batch.X.crow_indices().fill_(-1)
                else:
                    batch.X += 1
                    batch["X"].mul_(-3)
                batch.index.fill_(-9)
                batch.obs["n"].fill_(77)
                batch.obs["flag"].logical_not_()


def test_attributes_can_be_set(loader):
    batch = next(iter(loader))
    batch.X = batch.dense()
    batch.X += 1
    assert batch["X"].min() == 1
    batch.extra = torch.ones(3)
    assert "extra" in batch


def test_batches_outlive_the_loader(corpus):
    loader = penstock.Loader(corpus.open(), batch_size=100, memory="16MB", obs=["n"])
    kept = [batch.clone() for batch in loader]
    last = next(iter(loader))
    values = last.X.values()
    before = values.clone()
    loader.close()
    del loader, last
    assert torch.equal(values, before)
    assert sum(b.n_obs for b in kept) == 3001
    for batch in kept:
        assert_batch(batch, corpus.x)


def test_clone_copy_and_pickle(loader, corpus):
    batch = next(iter(loader))
    clone, shallow, deep = batch.clone(), copy.copy(batch), copy.deepcopy(batch)
    pickled = pickle.loads(pickle.dumps(batch))
    assert shallow.X is batch.X and shallow.obs is batch.obs
    for other in (clone, shallow, deep, pickled, batch.to("cpu")):
        assert type(other) is penstock.Batch and list(other) == list(batch)
        assert_batch(other, corpus.x)
        pd.testing.assert_frame_equal(other.obs_frame(), batch.obs_frame())
    assert clone.X.values().data_ptr() != batch.X.values().data_ptr()
    assert clone.obs["n"].data_ptr() != batch.obs["n"].data_ptr()


def test_to_a_device(loader):
    batch = next(iter(loader)).to("meta", non_blocking=True)
    assert (
        batch.X.device.type == "meta"
        and batch.obs["n"].device.type == "meta"
        and batch.index.device.type == "meta"
    )
    assert type(batch) is penstock.Batch


def test_many_dtypes_of_values_in_files(tmp_path):
    from support import random_csr, write_h5ad

    for dtype in ("int8", "uint16", "int64", "float64"):
        x = random_csr(np.random.default_rng(0), 200, 30, dtype=dtype)
        ds = penstock.open(write_h5ad(tmp_path / f"{dtype}.h5ad", x, chunks=50, compression="gzip"))
        for batch in penstock.Loader(ds, batch_size=50, memory="16MB"):
            assert_batch(batch, x)


def test_conversion_follows_numpy(tmp_path):
    from support import write_h5ad

    values = np.array(
        [0.0, -0.0, 1e-300, 1.0000001, 2**24 + 1, 1e30, -1e30, np.inf, -np.inf, np.nan, 65520.0, 255.5]
    )
    x = sp.csr_matrix((values, np.arange(12), [0, 12]), shape=(1, 12))
    ds = penstock.open(write_h5ad(tmp_path / "a.h5ad", x))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype in ("float32", "float64"):
            loader = penstock.Loader(ds, dtype=dtype, to="numpy", memory="16MB")
            batch = next(iter(loader))
            assert batch.X.data.tobytes() == values.astype(dtype).tobytes()
        assert loader.stats()["values_rounded"] == 0
        half = next(iter(penstock.Loader(ds, dtype="float16", to="numpy", format="dense", memory="16MB"))).X
        assert half.tobytes() == values.astype(np.float16).tobytes()


def test_to_scipy_helper(loader):
    batch = next(iter(loader))
    np.testing.assert_array_equal(to_scipy(batch.X).toarray(), batch.X.to_dense().numpy())


@pytest.mark.parametrize("to", ["torch", "numpy"])
def test_dense_into_a_tensor_that_is_kept(corpus, to):
    loader = penstock.Loader(corpus.open(), batch_size=48, memory="64MB", to=to)
    columns = corpus.x.shape[1]
    out = torch.full((64, columns), 7.0) if to == "torch" else np.full((64, columns), 7.0, np.float32)
    for batch in loader:
        got = batch.dense(out=out)
        assert got.shape == (batch.n_obs, columns)
        assert got.data_ptr() == out.data_ptr() if to == "torch" else got.base is out
        np.testing.assert_array_equal(np.asarray(got), np.asarray(batch.dense()))
        half = out[:, :].astype(np.float64) if to == "numpy" else out.double()
        np.testing.assert_array_equal(np.asarray(batch.dense(out=half)), np.asarray(batch.dense()))
    batch = loader.peek()
    with pytest.raises(ValueError, match="48 rows or more"):
        batch.dense(out=out[:3])
    with pytest.raises(ValueError, match="columns are needed"):
        batch.dense(out=out[:, 1:])
    with pytest.raises(ValueError, match="not both"):
        batch.dense("float64", out=out)


# --- what is kept of batches ---

FEW = {"batch_size": 50, "obs": LABELS, "totals": True, "slot_timeout": 0.2}


def least_memory(ds, **options):
    """A budget that a whole number of batches fills: four, or a few more."""
    for memory in range(500_000, 20_000_000, 100_000):
        try:
            loader = penstock.Loader(ds, memory=memory, threads=1, **options)
        except penstock.MemoryBudgetError:
            continue
        return memory, loader.plan.slots
    raise AssertionError("no budget is enough")


@pytest.mark.parametrize("to", ["torch", "numpy"])
@pytest.mark.parametrize("format", ["csr", "dense"])
def test_labels_row_numbers_and_totals_keep_no_batch(corpus, format, to):
    options = {**FEW, "format": format, "to": to}
    ds = corpus.open()
    memory, slots = least_memory(ds, **options)
    assert slots < 20
    loader = penstock.Loader(ds, memory=memory, threads=1, **options)
    kept = []
    for batch in loader:
        kept.append((batch.index, batch.total, dict(batch.obs), batch.obs_frame()))
        assert loader.stats()["slots_held"] <= 2
    del batch
    assert len(kept) == len(loader) == 61 and loader.stats()["slots_held"] == 0
    loader.close()
    # They are what the file says, and not what later batches wrote.
    rows = np.concatenate([np.asarray(index) for index, *_ in kept])
    np.testing.assert_array_equal(np.sort(rows), np.arange(3001))
    totals = np.concatenate([np.asarray(total) for _, total, *_ in kept])
    np.testing.assert_allclose(totals, np.asarray(corpus.x.sum(1)).ravel()[rows])
    for name in ("n", "score", "flag"):
        found = np.concatenate([np.asarray(obs[name]) for _, _, obs, _ in kept])
        np.testing.assert_array_equal(found, corpus.obs[name].to_numpy()[rows])
    frame = pd.concat([frame for *_, frame in kept])
    assert list(frame["colour"]) == list(corpus.obs["colour"].iloc[rows])


@pytest.mark.parametrize("to", ["torch", "numpy"])
@pytest.mark.parametrize("format", ["csr", "dense"])
def test_what_is_kept_of_x_keeps_its_batch(corpus, format, to):
    loader = penstock.Loader(corpus.open(), memory="16MB", format=format, to=to, batch_size=50, obs=["n"])
    batch = next(iter(loader))
    dense = format == "dense"
    x = batch.X if dense else batch.X.crow_indices() if to == "torch" else batch.X.indptr
    index = batch.index
    del batch
    assert loader.stats()["slots_held"] == 1
    del x
    assert loader.stats()["slots_held"] == 0 and len(index) == 50


def test_arrays_of_a_batch_share_no_memory(corpus):
    loader = penstock.Loader(
        corpus.open(), memory="16MB", to="numpy", batch_size=50, obs=["n", "flag"], totals=True
    )
    it = iter(loader)
    batch = next(it)
    expected = loader.peek()
    kept = [array.copy() for array in (batch.X.data, batch.obs["n"], batch.total)]
    batch.index[:] = -7
    batch.obs["flag"][:] = True
    for array, before in zip((batch.X.data, batch.obs["n"], batch.total), kept, strict=True):
        np.testing.assert_array_equal(array, before)
    following = next(it)
    np.testing.assert_array_equal(following.index, expected.index)
    np.testing.assert_array_equal(following.obs["flag"], expected.obs["flag"])
