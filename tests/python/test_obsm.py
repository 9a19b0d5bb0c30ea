"""Obsm beside the rows: every type and layout as anndata reads it, whatever way rows are asked for."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from support import write_h5ad

import penstock

ROWS, GENES = 3000, 40
rng = np.random.default_rng(5)

FLOATS = rng.normal(size=(ROWS, 50)).astype(np.float32)
FLOATS[7, 3], FLOATS[8, 4], FLOATS[9, 5] = np.nan, np.inf, -0.0
TABLE = pd.DataFrame(
    {
        "CD3": rng.normal(size=ROWS),
        "name": [f"n{i}" for i in range(ROWS)],
        "CD4": rng.integers(0, 1000, ROWS).astype(np.int32),
        "seen": rng.random(ROWS) < 0.5,
        "maybe": pd.array([None if i % 7 == 0 else i for i in range(ROWS)], dtype="Int64"),
    }
)
NUMERIC = ["CD3", "CD4", "seen", "maybe"]
ENTRIES: dict[str, Any] = {
    "X_pca": FLOATS,
    "f64": rng.normal(size=(ROWS, 3)),
    "f16": rng.normal(size=(ROWS, 5)).astype(np.float16),
    "i8": rng.integers(-128, 128, (ROWS, 2)).astype(np.int8),
    "i64": rng.integers(-(2**62), 2**62, (ROWS, 2)),
    "bool": rng.random((ROWS, 9)) < 0.5,
    "one": rng.normal(size=(ROWS, 1)).astype(np.float32),
    "none": np.zeros((ROWS, 0), dtype=np.float32),
}
X = sp.random(ROWS, GENES, density=0.2, format="csr", dtype=np.float32, random_state=3)
# How an array is stored: as anndata writes it; in chunks of whole rows; in chunks that cut rows.
LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "rows-gzip": {"chunks": (64, 10_000), "compression": "gzip"},
    "cut-lzf": {"chunks": (257, 2), "compression": "lzf", "shuffle": True},
    "plain-chunks": {"chunks": (100, 3)},
}


def store(
    path: Path, entries: dict[str, Any], rows: slice = slice(None), x: Any = None, **layout: Any
) -> Path:
    """A file with these rows; arrays of obsm in this layout."""
    x = X[rows] if x is None else x
    obs = pd.DataFrame(
        {"kind": pd.Categorical(np.array(["a", "b", "c"])[np.arange(x.shape[0]) % 3])},
        index=[f"{path.stem}-{i}" for i in range(x.shape[0])],
    )
    ad.AnnData(x, obs=obs).write_h5ad(path)
    with h5py.File(path, "r+") as f:
        for name, values in entries.items():
            values = values[rows]
            if isinstance(values, pd.DataFrame):
                ad.io.write_elem(f["obsm"], name, values.set_index(obs.index))
                continue
            kwargs = dict(layout)
            if "chunks" in kwargs:
                shape = tuple(max(1, min(c, n)) for c, n in zip(kwargs["chunks"], values.shape, strict=True))
                kwargs = {**kwargs, "chunks": shape} if values.size else {}
            f["obsm"].create_dataset(name, data=values, **kwargs)
    return path


def expected(name: str, values: Any) -> Any:
    if not isinstance(values, pd.DataFrame):
        return values
    return values[NUMERIC].astype("float64").to_numpy(dtype=np.float64, na_value=np.nan)


def assert_follows(loader: penstock.Loader, entries: dict[str, Any]) -> int:
    """The vectors of every batch are those of its rows; how many rows there were."""
    seen = 0
    for batch in loader:
        index = np.asarray(batch.index)
        assert set(batch.obsm) == set(loader._options.engine.obsm)
        for name, got in batch.obsm.items():
            want = expected(name, entries[name])[index]
            assert got.shape == want.shape
            np.testing.assert_array_equal(np.asarray(got), want)
            assert np.asarray(got).dtype == want.dtype.newbyteorder("=")
        seen += len(index)
    return seen


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("obsm")
    everything = {**ENTRIES, "protein": TABLE}
    parts = [slice(0, 1700), slice(1700, 1701), slice(1701, ROWS)]
    return {
        layout: [store(folder / f"{layout}{i}.h5ad", everything, rows, **how) for i, rows in enumerate(parts)]
        for layout, how in LAYOUTS.items()
    }


@pytest.fixture(scope="module")
def ds(files: dict[str, list[Path]]) -> penstock.Dataset:
    return penstock.open(files["contiguous"])


ALL = {**ENTRIES, "protein": TABLE}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("to", ["torch", "numpy"])
def test_every_entry_follows_its_row(files: dict[str, list[Path]], layout: str, to: str) -> None:
    ds = penstock.open(files[layout])
    loader = penstock.Loader(ds, batch_size=256, memory="64MB", obsm=list(ALL), to=to)
    assert assert_follows(loader, ALL) == ROWS
    assert assert_follows(loader, ALL) == ROWS


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_stays_in_no_memory_is_read_with_the_rows(files: dict[str, list[Path]], layout: str) -> None:
    # A fifth of the budget does not hold them: every block reads its chunks again.
    ds = penstock.open(files[layout])
    wide = [name for name in ALL if name != "none"]
    loader = penstock.Loader(ds, batch_size=64, memory="3.5MB", obsm=wide, threads=1, to="numpy")
    assert assert_follows(loader, ALL) == ROWS
    usage = loader.stats()["memory"]
    assert usage["peak"] <= usage["limit"]


def test_the_plan_holds_what_is_there(files: dict[str, list[Path]]) -> None:
    size = ROWS * 50 * 4
    chunked = penstock.Loader(penstock.open(files["rows-gzip"]), memory="64MB", obsm="X_pca")
    plain = penstock.Loader(penstock.open(files["contiguous"]), memory="64MB", obsm="X_pca")
    bare = penstock.Loader(penstock.open(files["contiguous"]), memory="64MB")
    assert chunked.plan.memory_by_tag["obs"] >= size
    assert plain.plan.memory_by_tag["obs"] < size
    assert plain.plan.compact_row_bytes == bare.plan.compact_row_bytes + 200
    assert plain.plan.slot_bytes >= bare.plan.slot_bytes + 1024 * 200 - 4096


def test_the_same_batches_with_and_without(ds: penstock.Dataset) -> None:
    how: dict[str, Any] = {
        "batch_size": 128,
        "memory": "64MB",
        "block_rows": 16,
        "window_rows": 1024,
        "to": "numpy",
    }
    bare, beside = penstock.Loader(ds, **how), penstock.Loader(ds, obsm=["X_pca", "i8"], **how)
    for a, b in zip(bare, beside, strict=True):
        assert np.array_equal(a.index, b.index)
        assert (a.X != b.X).nnz == 0


@pytest.mark.parametrize(
    "options",
    [
        {"shuffle": False},
        {"format": "dense"},
        {"balance": "kind"},
        {"weights": np.arange(ROWS) % 5, "epoch_size": 2 * ROWS},
        {"totals": True, "normalize_total": 1e4, "log1p": True, "obs": ["kind"]},
        {"block_rows": 7, "window_rows": 500, "batch_size": 50},
        {"batch_size": 1, "epoch_size": 40},
    ],
    ids=str,
)
@pytest.mark.parametrize("layout", ["contiguous", "cut-lzf"])
def test_whatever_rows_are_asked_for(
    files: dict[str, list[Path]], layout: str, options: dict[str, Any]
) -> None:
    ds = penstock.open(files[layout])
    how = {
        "batch_size": 200,
        "memory": "32MB",
        "obsm": ["protein", "X_pca", "bool"],
        "to": "numpy",
        **options,
    }
    assert assert_follows(penstock.Loader(ds, **how), ALL) == options.get("epoch_size", ROWS)


@pytest.mark.parametrize("memory", ["3MB", "64MB"])
@pytest.mark.parametrize("layout", ["contiguous", "cut-lzf"])
def test_selections(files: dict[str, list[Path]], layout: str, memory: str) -> None:
    ds = penstock.open(files[layout])
    scattered = np.flatnonzero(rng.random(ROWS) < 0.1)
    for part in (
        ds[scattered],
        ds[1699:1702],
        ds[::5],
        ds.split([0.3])[0],
        ds.query("kind == 'b'"),
        ds[:, [3, 1, 2]],
        ds[scattered, [0]],
    ):
        loader = penstock.Loader(part, batch_size=100, memory=memory, obsm=["X_pca", "protein"], to="numpy")
        assert assert_follows(loader, ALL) == part.n_obs


def test_ranks_share_the_rows(ds: penstock.Dataset) -> None:
    rows = 0
    for rank in range(3):
        loader = penstock.Loader(
            ds, batch_size=100, memory="32MB", obsm="X_pca", rank=rank, world_size=3, to="numpy"
        )
        rows += assert_follows(loader, ALL)
    assert rows == ROWS


@pytest.mark.parametrize("with_obsm", [True, False])
def test_a_checkpoint_goes_on(ds: penstock.Dataset, with_obsm: bool) -> None:
    """Also one of a loader without obsm, whose windows are those of the checkpoint."""
    how: dict[str, Any] = {"batch_size": 100, "memory": "32MB", "to": "numpy", "seed": 4}
    first = penstock.Loader(ds, **how, **({"obsm": "X_pca"} if with_obsm else {}))
    batches = iter(first)
    for _ in range(9):
        next(batches)
    state = json.loads(json.dumps(first.state_dict()))
    rest = [batch.index for batch in batches]
    second = penstock.Loader(ds, obsm="X_pca", **how)
    second.load_state_dict(state)
    got = list(second)
    assert [list(batch.index) for batch in got] == [list(index) for index in rest]
    for batch in got:
        np.testing.assert_array_equal(batch.obsm["X_pca"], FLOATS[batch.index])


def test_rows_that_are_read_again(files: dict[str, list[Path]], starve_windows: Any) -> None:
    for layout in ("contiguous", "cut-lzf"):
        starve_windows(700_000)
        loader = penstock.Loader(
            penstock.open(files[layout]), batch_size=100, memory="4MB", obsm=["X_pca", "protein"], to="numpy"
        )
        assert assert_follows(loader, ALL) == ROWS
        assert loader.stats()["rows_deferred"] > 0


def test_rows_whose_heads_are_too_short(tmp_path: Path) -> None:
    """They are read again, into the very memory that their vectors were in (test_heads_that_compress_badly)."""
    x = sp.random(ROWS, 3000, density=0.1, format="csr", dtype=np.float32, random_state=5)
    x.data[:] = np.where(np.arange(x.nnz) % 10_000 < 1500, rng.random(x.nnz, dtype=np.float32), 1)
    obs = pd.DataFrame({"n": np.arange(ROWS)})
    path = write_h5ad(tmp_path / "a.h5ad", x, obs, chunks=10_000, compression="gzip")
    with h5py.File(path, "r+") as f:
        group = f.require_group("obsm")
        group["X_pca"] = FLOATS
        ad.io.write_elem(group, "protein", TABLE)
    ds = penstock.open(path)
    scattered = np.flatnonzero(rng.random(ROWS) < 0.4)
    for part in (ds, ds[scattered]):
        loader = penstock.Loader(
            part, batch_size=16, block_rows=33, memory="6MB", obsm=["X_pca", "protein"], to="numpy"
        )
        assert assert_follows(loader, ALL) == part.n_obs
        assert loader.stats()["heads_too_short"] > 0


def test_dense_files_and_big_endian(tmp_path: Path) -> None:
    values = {"big": FLOATS.astype(">f4"), "ints": ENTRIES["i64"].astype(">i8")}
    for name, how in LAYOUTS.items():
        path = store(tmp_path / f"{name}.h5ad", values, x=X.toarray(), **how)
        for memory in ("64MB", "2MB"):
            loader = penstock.Loader(
                penstock.open(path), batch_size=64, memory=memory, obsm=list(values), to="numpy"
            )
            assert assert_follows(loader, values) == ROWS


def test_unsigned_numbers(tmp_path: Path) -> None:
    values = {t: rng.integers(0, 200, (50, 3)).astype(t) for t in ("uint8", "uint16", "uint32", "uint64")}
    ds = penstock.open(store(tmp_path / "u.h5ad", values, slice(0, 50)))
    for to in ("numpy", "torch"):
        assert assert_follows(penstock.Loader(ds, memory="16MB", obsm=list(values), to=to), values) == 50


def test_a_batch_shows_its_vectors(ds: penstock.Dataset) -> None:
    loader = penstock.Loader(ds, batch_size=64, memory="32MB", obsm=["X_pca", "i8"])
    batch = loader.peek()
    assert "obsm: X_pca, i8>" in repr(batch)
    assert batch["obsm"] is batch.obsm
    there = batch.to("cpu")
    assert list(there.obsm) == ["X_pca", "i8"]
    for other in (pickle.loads(pickle.dumps(batch)), batch.clone(), there):
        assert other.obsm["X_pca"].numpy().tobytes() == batch.obsm["X_pca"].numpy().tobytes()
    kept = batch.obsm["X_pca"]
    want = kept.clone()
    del batch, there, other
    loader.close()
    assert kept.numpy().tobytes() == want.numpy().tobytes(), "its memory lives as long as a tensor on it"

    bare = penstock.Loader(ds, batch_size=64, memory="32MB").peek()
    assert bare.obsm == {} and "obsm" not in bare and "obsm" not in repr(bare)
    with pytest.raises(TypeError):
        bare.obsm["x"] = 1


def test_loaders_travel(ds: penstock.Dataset) -> None:
    loader = pickle.loads(pickle.dumps(penstock.Loader(ds, memory="32MB", obsm="X_pca", to="numpy")))
    assert assert_follows(loader, ALL) == ROWS


def test_a_look(ds: penstock.Dataset) -> None:
    entries = ds.obsm_entries
    assert set(entries) == set(ALL)
    assert entries["X_pca"][:3] == (50, "float32", None)
    assert entries["bool"].dtype == "bool"
    assert entries["protein"][:3] == (4, "float64", NUMERIC)
    rows = [2999, 5, 5, 1700]
    adata = ds.to_anndata(rows, obsm=["X_pca", "protein"])
    np.testing.assert_array_equal(adata.obsm["X_pca"], FLOATS[rows])
    assert list(adata.obsm["protein"].columns) == NUMERIC
    np.testing.assert_array_equal(adata.obsm["protein"], expected("protein", TABLE)[rows])
    assert not ds.to_anndata(rows).obsm
    with pytest.raises(KeyError, match="obsm has no 'pca'"):
        ds.to_anndata(rows, obsm="pca")


def test_the_command(files: dict[str, list[Path]]) -> None:
    def run(*words: str) -> str:
        command = [str(Path(sys.executable).with_name("penstock")), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    path = str(files["contiguous"][0])
    assert "1,700 cells" in run("stream", path, "--obsm", "X_pca,protein", "--memory", "32MB")
    assert "float32 x 50" in run("info", path)
    found = {entry["name"]: entry for entry in json.loads(run("info", path, "--json"))[0]["obsm"]}
    assert found["X_pca"] == {"name": "X_pca", "usable": True, "dtype": "float32", "width": 50}


# --- several files ---


def two(tmp_path: Path, first: Any, second: Any) -> penstock.Dataset:
    rows = slice(0, 20)
    return penstock.open(
        [store(tmp_path / "a.h5ad", {"e": first}, rows), store(tmp_path / "b.h5ad", {"e": second}, rows)]
    )


@pytest.mark.parametrize(
    ("first", "second", "wide"),
    [
        ("float32", "float64", "float64"),
        ("float16", "float32", "float32"),
        ("int8", "int32", "int32"),
        ("uint8", "int8", "int16"),
        ("uint32", "int32", "int64"),
        ("int16", "float16", "float32"),
        ("int32", "float32", "float64"),
        ("int64", "float32", "float64"),
        ("bool", "int8", "int8"),
        ("bool", "float32", "float32"),
    ],
)
def test_the_widest_type_over_files(tmp_path: Path, first: str, second: str, wide: str) -> None:
    values = rng.integers(0, 2 if "bool" in (first, second) else 100, (20, 4))
    ds = two(tmp_path, values.astype(first), values.astype(second))
    for batch in penstock.Loader(ds, memory="16MB", obsm="e", to="numpy"):
        assert batch.obsm["e"].dtype == wide
        np.testing.assert_array_equal(batch.obsm["e"], values[batch.index % 20])


def test_integers_that_no_type_holds(tmp_path: Path) -> None:
    ds = two(tmp_path, np.ones((20, 2), dtype=np.uint64), np.ones((20, 2), dtype=np.int64))
    with pytest.raises(ValueError, match=r"b\.h5ad: /obsm/e: int64, but .*a\.h5ad: /obsm/e has uint64"):
        penstock.Loader(ds, memory="16MB", obsm="e")
    large = np.full((20, 2), 1)
    large[13, 1] = 2**53 + 1
    (tmp_path / "large").mkdir()
    ds = two(tmp_path / "large", large, np.ones((20, 2), dtype=np.float32))
    loader = penstock.Loader(ds, memory="16MB", obsm="e")
    with pytest.raises(ValueError, match=r"/obsm/e: row 13, column 1: an integer that float64 does not hold"):
        list(loader)


def test_files_that_differ(tmp_path: Path) -> None:
    ds = two(tmp_path, np.ones((20, 3)), np.ones((20, 4)))
    with pytest.raises(ValueError, match=r"b\.h5ad: /obsm/e: 4 columns, but .*a\.h5ad: /obsm/e has 3"):
        penstock.Loader(ds, memory="16MB", obsm="e")
    for i, (first, second, match) in enumerate(
        [
            (["A", "B"], ["A", "C"], "column 'C', but .* has column 'B'"),
            (["A", "B"], None, "columns without names, but .* has column 'A'"),
        ]
    ):
        folder = tmp_path / str(i)
        folder.mkdir()
        plain = np.ones((20, 2))
        table = plain if second is None else pd.DataFrame(plain, columns=second)
        ds = two(folder, pd.DataFrame(plain, columns=first), table)
        with pytest.raises(ValueError, match=match):
            penstock.Loader(ds, memory="16MB", obsm="e")
    with h5py.File(tmp_path / "b.h5ad", "r+") as f:
        del f["obsm"]["e"]
    with pytest.raises(KeyError, match=r"b\.h5ad: obsm has no 'e'"):
        penstock.Loader(penstock.open([tmp_path / "a.h5ad", tmp_path / "b.h5ad"]), memory="16MB", obsm="e")


# --- refusals ---


def test_what_is_not_read(tmp_path: Path) -> None:
    path = store(tmp_path / "a.h5ad", {"X_pca": FLOATS}, slice(0, 30))
    with h5py.File(path, "r+") as f:
        obsm = f["obsm"]
        obsm["flat"] = np.ones(30)
        obsm["deep"] = np.ones((30, 2, 2))
        obsm["short"] = np.ones((29, 2))
        obsm["text"] = np.full((30, 2), "x", dtype=h5py.string_dtype())
        ad.io.write_elem(obsm, "sparse", sp.eye(30, format="csr"))
        words = pd.DataFrame({"w": ["x"] * 30}, index=[str(i) for i in range(30)])
        ad.io.write_elem(obsm, "words", words)
        obsm.create_group("thing")
    ds = penstock.open(path)
    refused = {
        "flat": "1 dimensions; .* make it a column of obs, or reshape it to",
        "deep": "3 dimensions",
        "text": "elements of type .*string",
        "sparse": r"a sparse matrix; .*toarray\(\)",
        "words": "without a column of numbers",
        "thing": "an element of encoding",
        "short": "29 rows, but obs has 30",
    }
    for name, match in refused.items():
        with pytest.raises((ValueError, NotImplementedError, penstock.CorruptFileError), match=match):
            penstock.Loader(ds, memory="16MB", obsm=["X_pca", name])
        assert ds.obsm_entries[name].problem
    assert not ds.obsm_entries["X_pca"].problem
    with pytest.raises(KeyError, match="did you mean 'X_pca'"):
        penstock.Loader(ds, memory="16MB", obsm="X_pac")
    with pytest.raises(KeyError, match="obsm has no 'zzz'; there are: "):
        penstock.Loader(ds, memory="16MB", obsm="zzz")
    with pytest.raises(ValueError, match="twice"):
        penstock.Loader(ds, memory="16MB", obsm=["X_pca", "X_pca"])
    with pytest.raises(TypeError, match="not 3"):
        penstock.Loader(ds, memory="16MB", obsm=[3])  # type: ignore[list-item]


def test_parquet_has_none(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"genes": [[0, 1]] * 4, "expressions": [[1.0, 2.0]] * 4}), tmp_path / "a.parquet")
    genes = pa.table({"token_id": [0, 1], "ensembl_id": ["E0", "E1"], "gene_symbol": ["A", "B"]})
    pq.write_table(genes, tmp_path / "gene_metadata.parquet")
    ds = penstock.open(tmp_path / "a.parquet")
    assert ds.obsm_entries == {}
    with pytest.raises((ValueError, NotImplementedError), match="obsm is of AnnData files"):
        penstock.Loader(ds, memory="16MB", obsm="X_pca")


def test_chunks_that_no_share_holds(tmp_path: Path) -> None:
    wide = rng.normal(size=(ROWS, 400)).astype(np.float32)
    path = store(tmp_path / "a.h5ad", {"wide": wide}, chunks=(ROWS, 400), compression="gzip")
    ds = penstock.open(path)
    with pytest.raises(
        penstock.MemoryBudgetError, match=r"/obsm/wide: chunks of 3,000 x 400.*memory >= "
    ) as error:
        penstock.Loader(ds, batch_size=32, memory="8MB", obsm="wide")
    enough = error.value.ways_out["memory"]
    loader = penstock.Loader(ds, batch_size=32, memory=enough, obsm="wide", to="numpy")
    assert assert_follows(loader, {"wide": wide}) == ROWS


def test_damage_is_an_error_of_the_batch_that_needs_it(tmp_path: Path) -> None:
    path = store(tmp_path / "a.h5ad", {"X_pca": FLOATS}, chunks=(100, 50), compression="gzip")
    with h5py.File(path, "r") as f:
        at = f["obsm/X_pca"].id.get_chunk_info(20).byte_offset
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * 40)
    ds = penstock.open(path)
    loader = penstock.Loader(ds, batch_size=50, memory="2.2MB", obsm="X_pca", shuffle=False, threads=1)
    good = 0
    with pytest.raises(penstock.CorruptFileError, match=r"/obsm/X_pca.* chunk 20"):
        for _ in loader:
            good += 1
    assert good == 40, "the rows before it came"
    with pytest.raises(penstock.CorruptFileError, match=r"/obsm/X_pca.* chunk 20"):
        penstock.Loader(ds, batch_size=50, memory="64MB", obsm="X_pca")  # where it stays in memory
