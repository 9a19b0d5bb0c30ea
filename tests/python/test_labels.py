"""Columns of obs: every kind of value exactly or refused by name, thousands of columns, names that are no text."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from support import write_h5ad

import penstock

N = 8
BIG = 2**53 + 1


def write(path: Path, columns: dict[str, Any] | pd.DataFrame) -> Path:
    n = len(next(iter(columns.values()))) if isinstance(columns, dict) else len(columns)
    obs = pd.DataFrame(columns)
    obs.index = pd.Index([f"{path.stem}{i}" for i in range(n)])
    ad.AnnData(sp.eye(n, 3, format="csr", dtype=np.float32), obs=obs).write_h5ad(path)
    return path


def write_parquet(path: Path, columns: dict[str, Any]) -> Path:
    lists = {"genes": [[0, 1]] * N, "expressions": [[1.0, 2.0]] * N}
    pq.write_table(pa.table({**lists, **columns}), path)
    pq.write_table(
        pa.table({"token_id": [0, 1], "ensembl_id": ["E0", "E1"], "gene_symbol": ["A", "B"]}),
        path.with_name("gene_metadata.parquet"),
    )
    return path


def plain(values: Any) -> list[Any]:
    return [None if pd.isna(value) else value for value in values]


def labels(dataset: penstock.Dataset, column: str, **options: Any) -> tuple[list[Any], penstock.Loader]:
    """Of all rows, in file order."""
    loader = penstock.Loader(dataset, obs=[column], memory="64MB", shuffle=False, to="numpy", **options)
    return [value for batch in loader for value in batch.obs[column].tolist()], loader


# Every encoding that anndata writes for a column of obs.
KINDS: dict[str, Any] = {
    "int8": np.arange(N, dtype=np.int8),
    "big_endian": np.arange(N, dtype=">i4"),
    "uint64": np.array([2**64 - 1, 2**63, 0, 1] * 2, dtype=np.uint64),
    "float16": np.arange(N, dtype=np.float16),
    "bool": np.arange(N) % 2 == 0,
    "nullable_bool": pd.array([True, None] * 4, dtype="boolean"),
    "nullable_int": pd.array([BIG, None] * 4, dtype="Int64"),
    "nullable_uint": pd.array([2**64 - 1, None] * 4, dtype="UInt64"),
    "all_missing": pd.array([None] * N, dtype="Int64"),
    "nullable_string": pd.array(["a", None] * 4, dtype="string"),
    "string": np.array(list("abcdefgh"), dtype=object),
    "category": pd.Categorical(["b", None] * 4, categories=["b", "a"], ordered=True),
    "of_ints": pd.Categorical(np.array([-(2**63), 2**63 - 1] * 4)),
    "of_uints": pd.Categorical(np.array([2**63 + 1, 2] * 4, dtype=np.uint64)),
    "of_floats": pd.Categorical([0.5, 1e22] * 4),
    "of_bools": pd.Categorical([True, False] * 4),
    "of_nullable_ints": pd.Categorical(pd.array([1, 2**60 + 1] * 4, dtype="Int64")),
    "of_nothing": pd.Categorical([None] * N),
    "of_no_floats": pd.Categorical(pd.Series([np.nan] * N, dtype=float)),
}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> tuple[penstock.Dataset, pd.DataFrame]:
    with ad.settings.override(allow_write_nullable_strings=True):
        path = write(tmp_path_factory.mktemp("kinds") / "kinds.h5ad", KINDS)
    return penstock.open(path), ad.read_h5ad(path).obs


def test_every_encoding_is_read_as_anndata_reads_it(kinds: tuple[penstock.Dataset, pd.DataFrame]) -> None:
    ds, want = kinds
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = ds.obs.to_frame()
        assert ds.obs.head(3).shape == (3, len(KINDS))
    assert list(got.columns) == list(want.columns)
    for name in KINDS:
        assert plain(got[name]) == plain(want[name]), name
        if isinstance(want[name].dtype, pd.CategoricalDtype):
            assert got[name].cat.categories.tolist() == want[name].cat.categories.tolist()
            assert got[name].cat.ordered == want[name].cat.ordered


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("memory", ["64MB", "3MB"])
def test_labels_are_exact_or_refused_by_name(
    kinds: tuple[penstock.Dataset, pd.DataFrame], name: str, memory: str
) -> None:
    ds, want = kinds
    if name in ("uint64", "nullable_int", "nullable_uint"):
        with pytest.raises(ValueError, match=rf"kinds.h5ad: /obs/{name}: row 0 is .*does not hold"):
            penstock.Loader(ds, obs=[name], memory=memory, to="numpy")
        return
    loader = penstock.Loader(ds, obs=[name], memory=memory, shuffle=False, to="numpy")
    batch = loader.peek()
    known = loader.categories[name]
    if known is None:
        assert plain(batch.obs[name]) == plain(want[name])
    else:
        assert [None if code < 0 else known[code] for code in batch.obs[name]] == [
            None if pd.isna(value) else str(value) for value in want[name]
        ]
    assert plain(batch.obs_frame()[name].astype(object)) == plain(
        want[name] if known is None else want[name].astype(object).map(lambda v: v if pd.isna(v) else str(v))
    )


def test_integers_that_fit_are_labels(tmp_path: Path) -> None:
    columns = {
        "hash": np.array([2**63 - 1, 0] * 4, dtype=np.uint64),
        "ident": pd.array([2**53, None, -(2**53), 2**62] * 2, dtype="Int64"),
    }
    ds = penstock.open(write(tmp_path / "a.h5ad", columns))
    assert labels(ds, "hash")[0] == [2**63 - 1, 0] * 4
    assert plain(labels(ds, "ident")[0]) == [2**53, None, -(2**53), 2**62] * 2


def test_an_integer_that_streams_is_refused_where_it_is(tmp_path: Path) -> None:
    n = 200_000
    hashes = np.arange(n, dtype=np.uint64)
    hashes[n - 1] = 2**63
    x = sp.csr_matrix(np.ones((n, 3), dtype=np.float32))
    path = write_h5ad(
        tmp_path / "a.h5ad", x, pd.DataFrame({"h": hashes}, index=[str(i) for i in range(n)]), chunks=4096
    )
    loader = penstock.Loader(
        penstock.open(path), obs=["h"], memory="8MB", shuffle=False, to="numpy", batch_size=64
    )
    assert loader.plan.memory_by_tag["obs"] < n  # it is read with the rows
    rows = 0
    with pytest.raises(ValueError, match=rf"/obs/h: row {n - 1} is {2**63}, which int64 does not hold"):
        for batch in loader:
            rows += batch.n_obs
            np.testing.assert_array_equal(batch.obs["h"], batch.index)
    assert rows > 0


def test_integers_of_parquet_are_exact_or_refused_by_name(tmp_path: Path) -> None:
    columns = {
        "hash": pa.array([2**63 + 1, 7] * 4, pa.uint64()),
        "ident": pa.array([BIG, None] * 4, pa.int64()),
        "nullable_hash": pa.array([2**64 - 1, None] * 4, pa.uint64()),
        "whole": pa.array([BIG, -BIG] * 4, pa.int64()),
        "small": pa.array([2**53, None] * 4, pa.int64()),
    }
    ds = penstock.open(write_parquet(tmp_path / "a.parquet", columns))
    for name, values in columns.items():
        assert plain(ds.obs[name]) == values.to_pylist()
        if name in ("whole", "small"):
            assert plain(labels(ds, name)[0]) == values.to_pylist()
            continue
        with pytest.raises(ValueError, match=f"a.parquet: {name}: row 0 is .*does not hold"):
            labels(ds, name)


def test_integers_among_the_fractions_of_other_files(tmp_path: Path) -> None:
    a = write(
        tmp_path / "a.h5ad",
        {"x": np.array([1, BIG]), "c": pd.Categorical([1, BIG]), "u": np.array([1, 2**63 + 1], "u8")},
    )
    b = write(
        tmp_path / "b.h5ad", {"x": np.array([0.5, 2]), "c": pd.Categorical([0.5, 2]), "u": np.array([-1, 1])}
    )
    ds = penstock.open([a, b])
    for what in ("x", "c", "u"):
        with pytest.raises(ValueError, match=f"{BIG if what != 'u' else 2**63 + 1}"):
            ds.obs[what]
        with pytest.raises(ValueError, match=rf"{what}"):
            labels(ds, what)
    for what in ("x", "u"):
        with pytest.raises(ValueError, match=rf"in obs column '{what}' is no float64 exactly"):
            ds.query(f"{what} == 2")
    # Where they fit, they are numbers among others.
    small = write(
        tmp_path / "s.h5ad",
        {"x": np.array([1, 2**53]), "c": pd.Categorical([1, 2]), "u": np.array([1, 5], "u8")},
    )
    ds = penstock.open([small, b])
    assert ds.obs["x"].tolist() == labels(ds, "x")[0] == [1, 2**53, 0.5, 2]
    assert ds.obs["u"].tolist() == labels(ds, "u")[0] == [1, 5, -1, 1]
    assert ds.obs["c"].tolist() == [1, 2, 0.5, 2]
    assert ds.query("u == 1 and x == 1").shape[0] == 1
    # The other columns of the files are there.
    with pytest.warns(UserWarning, match="obs columns left out: x .*, u "):
        assert penstock.open([a, b]).obs.head().shape[1] == 0


def test_queries_splits_and_weights_of_large_integers(tmp_path: Path) -> None:
    columns = {
        "hash": np.array([2**63 + 1, 2**63 + 2] * 4, dtype=np.uint64),
        "ident": pd.array([BIG, None, BIG - 1, BIG] * 2, dtype="Int64"),
        "kind": pd.Categorical(np.array([2**63 + 1, 2**63 + 2] * 4, dtype=np.uint64)),
    }
    ds = penstock.open(write(tmp_path / "a.h5ad", columns))
    assert len(ds.query(f"hash == {2**63 + 1}")) == len(ds.query("kind == @k", k=2**63 + 1)) == 4
    assert len(ds.query(f"ident == {BIG}")) == 4 and len(ds.query(f"ident == {BIG - 1}")) == 2
    assert len(ds.query("ident in @some", some=[BIG - 1])) == 2
    for part in ds.split([0.5, 0.5], group_by="hash"):
        assert part.obs["hash"].nunique() == 1
    parts = ds.split([0.5, 0.3, 0.2], group_by="ident")  # three groups: the missing ones are one
    assert sorted(len(part.obs["ident"].drop_duplicates()) for part in parts) == [1, 1, 1]
    for options in ({"balance": "hash"}, {"weights": "hash"}, {"weights": "ident"}):
        with pytest.raises(ValueError, match=next(iter(options.values()))):
            penstock.Loader(ds, memory="64MB", to="numpy", **options)  # type: ignore[arg-type]
    weights = {"kind": {str(2**63 + 1): 1.0, 2**63 + 2: 0.0}}
    drawn, loader = labels(ds, "kind", weights=weights)
    assert loader.categories["kind"] == [str(2**63 + 1), str(2**63 + 2)] and set(drawn) == {0}


# --- categories ---


def test_labels_of_another_loader(tmp_path: Path) -> None:
    numbers = {"depth": np.arange(N) * 0.5, "n": np.arange(N), "doublet": np.arange(N) % 2 == 0}
    train = penstock.open(
        write(tmp_path / "t.h5ad", {"n2": numbers["n"], "kind": pd.Categorical(["T", "B"] * 4), **numbers})
    )
    val = penstock.open(write(tmp_path / "v.h5ad", {"kind": pd.Categorical(["B", "DC"] * 4), **numbers}))
    loader = penstock.Loader(train, memory="64MB", obs=["depth", "kind", "doublet", "n"], to="numpy")
    assert loader.categories == {"depth": None, "kind": ["B", "T"], "doublet": None, "n": None}
    assert list(loader.categories) == ["depth", "kind", "doublet", "n"]
    other = penstock.Loader(val, memory="64MB", obs=loader.categories, shuffle=False, to="numpy")
    batch = other.peek()
    assert list(batch.obs) == ["depth", "kind", "doublet", "n"] and other.categories == loader.categories
    assert batch.obs["kind"].tolist() == [0, -1] * 4
    for name, values in numbers.items():
        np.testing.assert_array_equal(batch.obs[name], values)
        np.testing.assert_array_equal(batch.obs_frame()[name], values)
    assert plain(batch.obs_frame()["kind"]) == ["B", None] * 4


@pytest.mark.parametrize("to", ["numpy", "torch"])
def test_categories_that_are_none(tmp_path: Path, to: str) -> None:
    ds = penstock.open(
        write(
            tmp_path / "a.h5ad", {"note": pd.Categorical([None] * N), "kind": pd.Categorical(["T", "B"] * 4)}
        )
    )
    loader = penstock.Loader(ds, memory="64MB", obs=["note", "kind"], to=to)
    assert loader.categories == {"note": [], "kind": ["B", "T"]} and ds.categories("note") == []
    for obs in (loader.categories, {"note": None, "kind": []}):
        batch = penstock.Loader(ds, memory="64MB", obs=obs, to=to).peek()  # type: ignore[arg-type]
        assert set(batch.obs["note"].tolist()) == {-1}
        assert batch.obs_frame()["note"].isna().all()
    assert set(batch.obs["kind"].tolist()) == {-1} and batch.obs_frame()["kind"].isna().all()
    assert any("'note': 8 of 8 rows have no value among its categories" in note for note in loader.plan.notes)
    assert loader.mixing("note").n_categories == 0  # a missing value is none
    page = loader.report(tmp_path / "report.html").read_text()
    assert '"label":"kind"' in page.replace(" ", "")
    with pytest.raises(ValueError, match="8 of 8 rows have no value in obs 'note'"):
        penstock.Loader(ds, memory="64MB", balance="note")


def test_missing_fractions_are_not_called_categories(tmp_path: Path) -> None:
    ds = penstock.open(write(tmp_path / "a.h5ad", {"score": np.array([0.5, np.nan] * 4)}))
    loader = penstock.Loader(ds, memory="64MB", obs=["score"], to="numpy")
    assert "obs 'score': 4 of 8 rows have no value and come as NaN" in loader.plan.notes
    assert "categor" not in str(loader.plan)


# --- many columns, and their names ---


def test_time_grows_with_columns_not_with_their_square(tmp_path: Path) -> None:
    def made(columns: int) -> Path:
        values = np.zeros((5, columns), dtype=np.float32)
        frame = pd.DataFrame(values, columns=[f"a long name of score {i}" for i in range(columns)])
        return write(tmp_path / f"{columns}.h5ad", frame)

    def seconds(path: Path, columns: int) -> float:
        ds = penstock.open(path)
        begin = time.perf_counter()
        assert ds.obs.head().shape == (5, columns)
        names = ds.obs.columns[::10].tolist()
        assert ds.obs[names].shape == (5, len(names)) and "no such" not in ds.obs
        assert len(penstock.Loader(ds, obs=names[:60], memory="64MB", to="numpy").categories) == min(
            60, len(names)
        )
        return time.perf_counter() - begin

    seconds(made(10), 10)
    small, large = made(100), made(800)
    few = many = np.inf
    for _ in range(20):  # whatever else runs on the machine only makes one of them longer
        few, many = min(few, seconds(small, 100)), min(many, seconds(large, 800))
        if many < 8 * 3 * few:
            break
    assert many < 8 * 3 * few  # the square would be 64 times


def test_a_name_that_is_not_utf8_disables_its_column_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5ad", {"a": np.arange(N), "b": pd.Categorical(["x", "y"] * 4)})
    with h5py.File(path, "r+") as file:
        obs = file["obs"]
        obs.create_dataset(b"caf\xe9", data=np.arange(N))
        order = np.array([b"a", b"caf\xe9", b"b"], dtype=object)
        obs.attrs.create("column-order", order, dtype=h5py.string_dtype())
        file["layers"][b"norm\xe9"] = file["X"]
    for ds in (penstock.open(path), penstock.open([path, path])):
        assert list(ds.obs.columns) == ["a", "caf\\xe9", "b"]
        repr(ds).encode(), repr(ds.obs).encode()  # can be printed
        with pytest.warns(UserWarning, match=r"left out: caf\\xe9 .*name of column 'caf\\xe9' is not UTF-8"):
            assert list(ds.obs.head()) == ["a", "b"]
        for name in ("caf\\xe9", "caf\udce9"):
            with pytest.raises((KeyError, NotImplementedError), match=r"caf"):
                ds.obs[name]
            with pytest.raises((KeyError, NotImplementedError), match=r"caf"):
                penstock.Loader(ds, obs=[name], memory="64MB")
        assert labels(ds, "a")[0][:N] == list(range(N))
        assert len(ds.query("a > 3 and b == 'x'")) == len(ds) // 4


def test_parquet_names_and_values_that_are_not_utf8(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "a.parquet", {"cafX": [1] * N, "kind": ["k", "cafX"] * 4, "g": list(range(N))}
    )
    table = pq.read_table(path)
    pq.write_table(table, path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"cafX", b"caf\xe9"))
    ds = penstock.open(path)
    assert list(ds.obs.columns) == ["caf\\xe9", "kind", "g"]
    with pytest.warns(UserWarning, match="name of this column is not UTF-8"):
        assert list(ds.obs.head()) == ["kind", "g"]
    # Values are h5py's: bytes as lone surrogates, which find their way back.
    loader = penstock.Loader(ds, obs=["kind"], memory="64MB", to="numpy")
    assert loader.categories == {"kind": ["caf\udce9", "k"]} or loader.categories == {
        "kind": ["k", "caf\udce9"]
    }
    again = penstock.Loader(ds, obs=loader.categories, memory="64MB", to="numpy")
    assert again.categories == loader.categories and again.peek().obs["kind"].min() == 0
    assert len(ds.query("kind == 'caf\udce9'")) == 4


# --- the ways to a column that people try ---


def test_columns_are_attributes(kinds: tuple[penstock.Dataset, pd.DataFrame]) -> None:
    ds, want = kinds
    assert ds.obs.int8.tolist() == want["int8"].tolist() and "int8" in dir(ds.obs)
    with pytest.raises(AttributeError, match="obs has no column 'int_8'; did you mean"):
        _ = ds.obs.int_8
    with pytest.raises(AttributeError, match=r"ds\[rows\].obs.to_frame\(\) makes a DataFrame"):
        _ = ds.obs.iloc
    assert not hasattr(ds.obs, "_private") and not hasattr(ds.obs, "shape")
    with pytest.raises(KeyError, match="obs has no column 5"):
        ds.obs[[5]]  # type: ignore[list-item]
