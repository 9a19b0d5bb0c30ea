"""Parquet through the package, against pyarrow, scipy and the same matrix as .h5ad."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import ROOT, SHARED

import make_parquet_data
import penstock

DUMP = ROOT / "build" / "release" / "src" / "parquet" / "parquet_dump"
COMMAND = ROOT / "build" / "release" / "src" / "cli" / "penstock"
GENES = [f"ENSG{i:05d}" for i in range(300)]


def matrix(rows: int, genes: int = 300, seed: int = 0, counts: bool = True) -> Any:
    """Sorted CSR float32 with an empty row and a full one."""
    rng = np.random.default_rng(seed)
    x = sp.random(rows, genes, 0.06, format="lil", random_state=rng, dtype=np.float32)
    if rows > 3:
        x[1] = 0
        x[2] = 1
    x = x.tocsr()
    x.data = (
        rng.geometric(0.3, x.nnz).astype(np.float32) if counts else rng.normal(size=x.nnz).astype(np.float32)
    )
    if counts and x.nnz:
        x.data[:: max(1, x.nnz // 7)] = 1000  # beyond one byte
    x.sort_indices()
    return x


def obs_of(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "drug": pd.Categorical([f"d{i % 7}" for i in range(rows)]),
            "n": np.arange(rows),
            "score": np.arange(rows) / 8,
        },
        index=[f"cell{i}" for i in range(rows)],
    )


def write_h5ad(x: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ad.AnnData(x, obs=obs_of(x.shape[0]), var=pd.DataFrame(index=GENES[: x.shape[1]])).write_h5ad(
            path, compression="gzip"
        )
    return path


def list_table(x: Any, cls: bool = True, genes: Any = None, extra: dict[str, Any] | None = None) -> pa.Table:
    """Rows as lists; the mark comes first."""
    rows = [x.getrow(i) for i in range(x.shape[0])]
    mark_gene, mark_value = ([1], [-2.0]) if cls else ([], [])
    tokens = [mark_gene + [int(g) + 3 for g in r.indices] for r in rows]
    values = [mark_value + [float(v) for v in r.data] for r in rows]
    return pa.table(
        {
            "genes": pa.array(tokens, genes or pa.list_(pa.int64())),
            "expressions": pa.array(values, pa.list_(pa.float32())),
            "drug": [f"d{i % 7}" for i in range(len(rows))],
            **(extra or {}),
        }
    )


def gene_table(folder: Path, n: int = 300) -> Path:
    path = folder / "gene_metadata.parquet"
    pq.write_table(
        pa.table(
            {
                "token_id": np.arange(n) + 3,
                "ensembl_id": GENES[:n],
                "gene_symbol": [f"S{i}" for i in range(n)],
            }
        ),
        path,
    )
    return path


def expect_rows(ds: penstock.Dataset, x: Any, **options: Any) -> None:
    """Every row once, equal to those of x."""
    seen = np.zeros(x.shape[0], int)
    for batch in penstock.Loader(ds, batch_size=64, memory="64MB", to="numpy", **options):
        np.add.at(seen, batch.index, 1)
        want = x[batch.index]
        if options.get("format") == "dense":
            np.testing.assert_array_equal(batch.X, want.toarray())
        else:
            assert (want != batch.X).nnz == 0
    assert (seen == 1).all()


# --- lists ---


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_lists_of_every_codec_and_page_version(tmp_path: Path, compression: str, version: str) -> None:
    x = matrix(500)
    gene_table(tmp_path)
    path = tmp_path / "a.parquet"
    pq.write_table(
        list_table(x), path, compression=compression, data_page_version=version, row_group_size=130
    )
    ds = penstock.open(path)
    assert ds.shape == x.shape
    assert list(ds.var_names) == GENES
    assert list(ds.obs["drug"]) == [f"d{i % 7}" for i in range(500)]
    expect_rows(ds, x)
    expect_rows(ds, x, shuffle=False)
    expect_rows(ds, x, format="dense", block_rows=7)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 300),
    group=st.integers(1, 200),
    page=st.sampled_from([64, 300, 5000, 1 << 20]),
    dictionary=st.booleans(),
    counts=st.booleans(),
    cls=st.booleans(),
    version=st.sampled_from(["1.0", "2.0"]),
    index=st.booleans(),
    gene_type=st.sampled_from([pa.int64(), pa.int32(), pa.uint16()]),
    encoding=st.sampled_from([None, "DELTA_BINARY_PACKED"]),
)
def test_lists_written_in_any_way(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    group: int,
    page: int,
    dictionary: bool,
    counts: bool,
    cls: bool,
    version: str,
    index: bool,
    gene_type: Any,
    encoding: str | None,
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    # Without a mark a row's first value must not be negative: that is what marks are told by.
    x = matrix(rows, seed=rows, counts=counts or not cls)
    gene_table(folder)
    table = list_table(x, cls, pa.list_(gene_type))
    options: dict[str, Any] = {"use_dictionary": dictionary}
    if encoding and not dictionary:
        options["column_encoding"] = {
            "genes.list.element": encoding,
            "expressions.list.element": "BYTE_STREAM_SPLIT",
        }
    pq.write_table(
        table,
        folder / "a.parquet",
        row_group_size=group,
        data_page_size=page,
        data_page_version=version,
        write_page_index=index,
        write_batch_size=16,
        **options,
    )
    ds = penstock.open(folder / "a.parquet")
    expect_rows(ds, x, block_rows=13)
    kept = np.arange(rows) % 3 == 0
    for batch in penstock.Loader(ds[kept], batch_size=50, memory="64MB", to="numpy"):
        assert kept[batch.index].all()
        assert (x[batch.index] != batch.X).nnz == 0


def test_the_same_batches_from_every_format(tmp_path: Path) -> None:
    x = matrix(900)
    h5ad = [write_h5ad(x[:400], tmp_path / "a.h5ad"), write_h5ad(x[400:], tmp_path / "b.h5ad")]
    lists = make_parquet_data.make("lists", tmp_path / "lists", [str(p) for p in h5ad])
    pqdata = make_parquet_data.make("pqdata", tmp_path / "pqdata", [str(p) for p in h5ad])
    options: dict[str, Any] = {
        "block_rows": 50,
        "window_rows": 320,
        "batch_size": 64,
        "memory": "64MB",
        "seed": 3,
    }
    loaders = [
        penstock.Loader(penstock.open(paths), obs=["drug", "n", "score"], to="numpy", **options)
        for paths in (h5ad, lists, pqdata)
    ]
    for first, *others in zip(*loaders, strict=True):
        for other in others:
            assert (first.index == other.index).all()
            assert (first.X != other.X).nnz == 0
            assert first.X.indices.dtype == other.X.indices.dtype
            for name in ("drug", "n", "score"):
                assert (first.obs[name] == other.obs[name]).all()
    assert loaders[0].categories == loaders[1].categories == loaders[2].categories
    # Wide files have no obs beside the genes.
    for i, rows in enumerate((slice(0, 400), slice(400, 900))):
        dense = x[rows].toarray()
        table = pa.table({name: dense[:, c] for c, name in enumerate(GENES)})
        pq.write_table(table, tmp_path / f"wide{i}.parquet", row_group_size=170)
    wide = penstock.open([tmp_path / "wide0.parquet", tmp_path / "wide1.parquet"])
    loaders[0].set_epoch(0)
    for first, other in zip(loaders[0], penstock.Loader(wide, to="numpy", **options), strict=True):
        assert (first.index == other.index).all()
        assert (first.X != other.X).nnz == 0


def test_only_a_negative_first_value_is_a_mark(tmp_path: Path) -> None:
    gene_table(tmp_path)
    table = pa.table(
        {
            "genes": [[1, 5, 6], [5, 6], [1], [], [7, 8, 9]],
            "expressions": pa.array(
                [[-2.0, 3, 4], [1, -5], [-2.0], [], [2, -2, 255]], pa.list_(pa.float32())
            ),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    ds = penstock.open(tmp_path / "a.parquet")
    (batch,) = penstock.Loader(ds, batch_size=8, memory="64MB", to="numpy", shuffle=False)
    want = np.zeros((5, 300), np.float32)
    want[0, 2:4] = 3, 4
    want[1, 2:4] = 1, -5
    want[4, 4:7] = 2, -2, 255
    np.testing.assert_array_equal(batch.X.toarray(), want)


def test_genes_outside_the_table_are_dropped_and_counted(tmp_path: Path) -> None:
    x = matrix(400)
    gene_table(tmp_path, 200)
    pq.write_table(list_table(x), tmp_path / "a.parquet", row_group_size=90)
    loader = penstock.Loader(penstock.open(tmp_path / "a.parquet"), batch_size=64, memory="64MB", to="numpy")
    for batch in loader:
        assert (x[batch.index][:, :200] != batch.X).nnz == 0
    stats = loader.stats()  # of all rows decoded, those of the next epoch's first windows, too
    unknown = x[:, 200:].nnz
    assert unknown <= stats["entries_unknown"] <= unknown * math.ceil(stats["rows_decoded"] / 400)


def test_unsorted_and_repeated_genes_become_sorted_sums(tmp_path: Path) -> None:
    gene_table(tmp_path)
    genes, values = [[9, 5, 9, 9], [4, 3]], [[200.0, 1.0, 200.0, 7.0], [1.0, 2.0]]
    pq.write_table(
        pa.table({"genes": genes, "expressions": pa.array(values, pa.list_(pa.float32()))}),
        tmp_path / "a.parquet",
    )
    (batch,) = penstock.Loader(
        penstock.open(tmp_path / "a.parquet"), batch_size=2, memory="64MB", to="numpy", shuffle=False
    )
    want = np.zeros((2, 300), np.float32)
    want[0, [6, 2]] = 407, 1
    want[1, [1, 0]] = 1, 2
    np.testing.assert_array_equal(batch.X.toarray(), want)
    assert (np.diff(batch.X.indices[: batch.X.indptr[1]]) > 0).all()


def test_gene_tables_are_found_or_named(tmp_path: Path) -> None:
    x = matrix(20)
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "a.parquet"
    pq.write_table(list_table(x).rename_columns(["tokens", "counts", "drug"]), path)
    names = {"genes": "tokens", "expressions": "counts"}
    with pytest.raises(KeyError, match="gene_metadata.parquet"):
        penstock.open(path, **names)
    with pytest.raises(NotImplementedError, match="tokens \\(list of int64\\)"):
        penstock.open(path)
    csv = tmp_path / "genes.csv"
    csv.write_text("gene_symbol,token_id\n" + "\n".join(f'"S{i}, x",{i + 3}' for i in range(300)) + "\n")
    assert penstock.open(path, var=csv, **names).var_names[7] == "S7, x"
    (tmp_path / "metadata").mkdir()
    gene_table(tmp_path / "metadata")
    ds = penstock.open(tmp_path / "data", **names)
    assert ds.var_names[7] == GENES[7]
    assert ds.var["gene_symbol"].iloc[7] == "S7"
    expect_rows(ds, x)
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(KeyError, match="token_id"):
        penstock.open(path, var=tmp_path / "bad.csv", **names)
    with pytest.raises(ValueError, match="HDF5"):
        penstock.open(write_h5ad(x, tmp_path / "a.h5ad"), var=csv)


# --- triplets and wide ---


def write_triplets(x: Any, folder: Path, **options: Any) -> Path:
    folder.mkdir()
    coo = x.tocoo()
    table = pa.table({"row": coo.row.astype(np.int32), "col": coo.col.astype(np.int64), "data": coo.data})
    shape = {"array": json.dumps({"shape": list(x.shape), "class": {}})}
    pq.write_table(table.replace_schema_metadata(shape), folder / "X.parquet", **options)
    obs_of(x.shape[0]).to_parquet(folder / "obs.parquet")
    pd.DataFrame({"symbol": range(x.shape[1])}, index=GENES[: x.shape[1]]).to_parquet(folder / "var.parquet")
    return folder


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 200),
    group=st.integers(1, 3000),
    page=st.sampled_from([64, 1000, 1 << 20]),
    dictionary=st.booleans(),
    version=st.sampled_from(["1.0", "2.0"]),
)
def test_triplets_written_in_any_way(
    tmp_path_factory: pytest.TempPathFactory, rows: int, group: int, page: int, dictionary: bool, version: str
) -> None:
    x = matrix(rows, seed=rows, counts=False)
    folder = write_triplets(
        x,
        tmp_path_factory.mktemp("coo") / "a.pqdata",
        row_group_size=group,
        data_page_size=page,
        use_dictionary=dictionary,
        data_page_version=version,
        write_batch_size=16,
    )
    ds = penstock.open(folder)
    assert list(ds.obs_names) == [f"cell{i}" for i in range(rows)]
    assert list(ds.var_names) == GENES
    assert list(ds.obs["drug"]) == [f"d{i % 7}" for i in range(rows)]
    expect_rows(ds, x)
    expect_rows(ds, x, shuffle=False, block_rows=3)
    # Rows here and there: a range begins in the row group that the one before it ended in.
    kept = np.arange(rows) % 5 < 2
    for batch in penstock.Loader(ds[kept], batch_size=50, memory="64MB", to="numpy", block_rows=rows):
        assert kept[batch.index].all()
        assert (x[batch.index] != batch.X).nnz == 0


def test_triplets_that_are_not_sorted_say_how_to_sort_them(tmp_path: Path) -> None:
    x = matrix(50)
    folder = write_triplets(x, tmp_path / "a.pqdata")
    pq.write_table(pq.read_table(folder / "X.parquet").sort_by("col"), folder / "X.parquet")
    with pytest.raises(NotImplementedError, match="not sorted by row.*ORDER BY row"):
        penstock.open(folder)


def test_matrices_of_a_folder(tmp_path: Path) -> None:
    x, y = matrix(60), matrix(60, seed=2, counts=False)
    folder = write_triplets(x, tmp_path / "a.pqdata")
    (folder / "layers").mkdir()
    wide = pa.table({str(i + 1): y.toarray()[:, i] for i in range(300)})
    pq.write_table(wide, folder / "layers" / "dense.parquet", row_group_size=17)
    expect_rows(penstock.open(folder), x)
    expect_rows(penstock.open(folder, matrix="layers/dense"), y)
    with pytest.raises(KeyError, match="layers/dense"):
        penstock.open(folder, matrix="raw/X")
    # The layout's name is X by another word, and only where it is true.
    named = penstock.open(folder, matrix="triplets")
    expect_rows(named, x)
    assert (
        named._handle.other_matrices() == penstock.open(folder)._handle.other_matrices() == ["layers/dense"]
    )
    for layout in ("wide", "lists"):
        with pytest.raises(ValueError, match=f"matrix='{layout}', but X of this folder is triplets"):
            penstock.open(folder, matrix=layout)


def test_wide_files_beside_other_columns(tmp_path: Path) -> None:
    y = matrix(40, genes=20, counts=False).toarray()
    table = pa.table({"cell": [f"c{i}" for i in range(40)], **{GENES[i]: y[:, i] for i in range(20)}})
    pq.write_table(table, tmp_path / "w.parquet")
    with pytest.raises(NotImplementedError, match='matrix="wide"'):
        penstock.open(tmp_path / "w.parquet")
    ds = penstock.open(tmp_path / "w.parquet", matrix="wide")
    assert list(ds.var_names) == GENES[:20]
    assert list(ds.obs["cell"])[:2] == ["c0", "c1"]
    expect_rows(ds, sp.csr_matrix(y))


# --- bytes, labels ---


def test_bytes_read_are_those_planned_and_only_of_the_columns_asked_for(tmp_path: Path) -> None:
    x = matrix(2000)
    gene_table(tmp_path)
    rng = np.random.default_rng(0)
    noise = {"noise": [rng.bytes(500) for _ in range(2000)]}
    path = tmp_path / "a.parquet"
    pq.write_table(list_table(x, extra=noise), path, row_group_size=100)
    ds = penstock.open(path)
    # One window, no first windows that grow: no row group is read for two of them.
    loader = penstock.Loader(ds, batch_size=64, memory="64MB", to="numpy", window_rows=2048)
    for _ in range(2):
        for _ in loader:
            pass
    stats = loader.stats()
    file = pq.ParquetFile(path).metadata
    matrix_bytes = sum(
        file.row_group(g).column(c).total_compressed_size for g in range(file.num_row_groups) for c in (0, 1)
    )
    assert stats["epoch_bytes_read"] == matrix_bytes < path.stat().st_size / 3
    # A selection inside two row groups reads no others.
    part = penstock.Loader(ds[300:500], batch_size=64, memory="64MB", to="numpy", window_rows=256)
    for _ in range(2):
        for _ in part:
            pass
    assert part.stats()["epoch_bytes_read"] < matrix_bytes / 8


def test_the_plan_says_that_opening_passed_over_pages(tmp_path: Path) -> None:
    gene_table(tmp_path)
    x = matrix(500)
    pq.write_table(list_table(x), tmp_path / "a.parquet", row_group_size=100, data_page_size=2000)
    lists = pq.ParquetFile(tmp_path / "a.parquet")
    ds = penstock.open(tmp_path / "a.parquet")
    (note,) = ds.notes
    found = re.match(r"opening passed over the heads of ([\d,]+) Parquet pages", note)
    assert found and int(found[1].replace(",", "")) > 4 * lists.num_row_groups
    assert note in penstock.Loader(ds, to="numpy", memory="32MB").plan.notes
    triplets = penstock.open(write_triplets(x, tmp_path / "folder"))
    assert any("Parquet pages" in note for note in triplets.notes)
    assert not penstock.open(write_h5ad(x, tmp_path / "a.h5ad")).notes


def test_obs_columns_of_every_type(tmp_path: Path) -> None:
    n = 40
    x = matrix(n)
    gene_table(tmp_path)
    extra = {
        "i8": pa.array(np.arange(n) - 20, pa.int8()),
        "u32": pa.array(np.arange(n) + 3_000_000_000, pa.uint32()),
        "i64": pa.array(np.arange(n) << 40),
        "f64": np.arange(n) / 7,
        "flag": np.arange(n) % 3 == 0,
        "maybe": pa.array([None if i % 5 == 0 else i for i in range(n)], pa.int32()),
        "text": pa.array([None if i % 4 == 0 else f"t{i % 3}" for i in range(n)]),
        "category": pa.array([f"k{i % 3}" for i in range(n)]).dictionary_encode(),
        "price": pa.array([None] * n, pa.decimal128(9, 2)),
    }
    pq.write_table(list_table(x, extra=extra), tmp_path / "a.parquet", row_group_size=11)
    ds = penstock.open(tmp_path / "a.parquet")
    for name in ("i8", "u32", "i64", "f64", "flag"):
        np.testing.assert_array_equal(np.asarray(ds.obs[name]), np.asarray(extra[name]))
    assert ds.obs["maybe"].isna().sum() == 8
    assert ds.obs["text"].isna().sum() == 10
    with pytest.raises(NotImplementedError, match="decimal"):
        ds.obs["price"]
    loader = penstock.Loader(
        ds, obs=["maybe", "text", "category", "i8", "flag"], batch_size=16, memory="64MB", to="numpy"
    )
    assert loader.categories["text"] == ["t0", "t1", "t2"]
    for batch in loader:
        for i, row in enumerate(batch.index):
            assert math.isnan(batch.obs["maybe"][i]) if row % 5 == 0 else batch.obs["maybe"][i] == row
            assert batch.obs["text"][i] == (-1 if row % 4 == 0 else row % 3)
            assert batch.obs["category"][i] == row % 3
            assert batch.obs["i8"][i] == row - 20
            assert batch.obs["flag"][i] == (row % 3 == 0)


READ_TOO_MUCH = """
import resource, sys, penstock
ds = penstock.open(sys.argv[1], index_memory="64MB")
def labels(name):
    return penstock.Loader(ds, batch_size=16, memory="64MB", obs=[name], to="numpy").peek().obs[name]
labels("dose")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    labels("drug")
    print("it was read")
except penstock.MemoryBudgetError as refused:
    print(refused)
print(labels("dose").tolist() == [0] * 16)  # nothing is kept of what was refused
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_short_file_of_long_strings_is_refused(tmp_path: Path) -> None:
    # One string of 1 MB, dictionary-coded in every row: 1 kB of file, 400 MB of rows.
    rows = 400
    gene_table(tmp_path)
    extra = {
        name: pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])
        for name, text in {"drug": "x" * (1 << 20), "dose": "1 uM"}.items()
    }
    path = tmp_path / "a.parquet"
    pq.write_table(list_table(matrix(rows), extra=extra), path, compression="zstd", write_statistics=False)
    run = subprocess.run(
        [sys.executable, "-c", READ_TOO_MUCH, str(path)], capture_output=True, text=True, check=True
    )
    message, still_read, grown = run.stdout.splitlines()
    assert "a.parquet: drug" in message and "needs" in message, message
    assert still_read == "True"
    assert int(grown) < 120 << 10, "KiB, of 64 MB and what Python adds"


def test_many_files_open_quickly_and_close(tmp_path: Path) -> None:
    gene_table(tmp_path)
    x = matrix(20)
    pq.write_table(list_table(x), tmp_path / "part0.parquet")
    first = (tmp_path / "part0.parquet").read_bytes()
    for i in range(1, 1500):
        (tmp_path / f"part{i}.parquet").write_bytes(first)
    ds = penstock.open(tmp_path)
    assert ds.n_obs == 30_000
    assert ds.nbytes < 64_000_000
    assert (
        len(penstock.Loader(ds, batch_size=100, memory="64MB", obs=["drug"], to="numpy").peek().index) == 100
    )


def test_the_command_reads_parquet(tmp_path: Path) -> None:
    gene_table(tmp_path, 40)
    path = tmp_path / "a.parquet"
    pq.write_table(list_table(matrix(60, genes=40)), path, row_group_size=25, write_page_checksum=True)
    info = subprocess.run([COMMAND, "info", path], capture_output=True, text=True, check=True).stdout
    assert "lists genes int64 and expressions float32" in info
    verify = subprocess.run([COMMAND, "verify", path], capture_output=True, text=True)
    assert verify.returncode == 0 and "all good" in verify.stdout
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 4] ^= 16
    path.write_bytes(whole)
    verify = subprocess.run([COMMAND, "verify", path], capture_output=True, text=True)
    assert verify.returncode != 0 and "row group" in verify.stdout + verify.stderr


# --- other people's files: every flat column equal to pyarrow's ---

PARQUET_TESTING = SHARED / "parquet-testing"
needs_files = pytest.mark.skipif(not PARQUET_TESTING.exists(), reason="the shared files are not here")
every_file = pytest.mark.parametrize(
    "path",
    sorted(PARQUET_TESTING.glob("data/**/*.parquet")) + sorted(SHARED.glob("*.parquet")),
    ids=lambda p: p.name,
)


def dump(path: Path) -> dict[str, Any]:
    done = subprocess.run([DUMP, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    out: dict[str, Any] = json.loads(done.stdout)
    return out


def same(ours: Any, theirs: Any) -> bool:
    if theirs is None:
        return ours is None or ours == "nan"  # missing floats are NaN
    if isinstance(theirs, float):
        if math.isnan(theirs):
            return bool(ours == "nan")
        if math.isinf(theirs):
            return bool(ours == ("inf" if theirs > 0 else "-inf"))
        return bool(ours == theirs)
    if isinstance(theirs, bytes):
        return bool(ours == theirs.decode("utf-8", "replace"))
    return bool(ours == theirs)


@pytest.mark.conformance
@needs_files
@every_file
def test_flat_columns_equal_pyarrow(path: Path) -> None:
    ours = dump(path)
    if "error" in ours:
        assert ours["error"] in ("unsupported", "corrupt"), ours
        with pytest.raises((OSError, pa.ArrowInvalid, NotImplementedError)):
            pq.ParquetFile(path)
        return
    if path.name == "incorrect_map_schema.parquet":  # pyarrow refuses all of it, we the one column
        return
    file = pq.ParquetFile(path)
    assert ours["rows"] == file.metadata.num_rows
    compared = 0
    for name, column in ours["columns"].items():
        if "error" in column:
            assert column["error"] in ("unsupported", "corrupt"), column
            if column["error"] == "corrupt":  # then pyarrow refuses, too, when it checks checksums
                with pytest.raises((OSError, pa.ArrowInvalid)):
                    pq.ParquetFile(path, page_checksum_verification=True).read([name])
            continue
        theirs = pq.read_table(path, columns=[name]).column(0)
        if pa.types.is_temporal(theirs.type) or pa.types.is_decimal(theirs.type):
            continue  # read as their integers
        values = theirs.to_pylist()
        assert len(values) == len(column["values"])
        wrong = [i for i, (a, b) in enumerate(zip(column["values"], values, strict=True)) if not same(a, b)]
        assert not wrong, (
            f"{name}, row {wrong[0]}: {column['values'][wrong[0]]!r} instead of {values[wrong[0]]!r}"
        )
        compared += 1
    assert compared or all("error" in c for c in ours["columns"].values())


# Columns that are lists of numbers, by file.
LISTS = {
    "bionemo_genecorpus_500_samples.parquet": 1,
    "datapage_v2.snappy.parquet": 1,
    "list_columns.parquet": 1,
    "map_no_value.parquet": 2,
    "null_list.parquet": 1,
    "nullable.impala.parquet": 1,
    "repeated_primitive_no_list.parquet": 1,
}


def expect_lists_of_pyarrow(path: Path) -> int:
    """How many list columns were compared; a missing list reads as an empty one."""
    compared = 0
    for name, column in dump(path).get("lists", {}).items():
        if "error" in column:
            assert column["error"] == "unsupported" and name in column["message"], column
            continue
        theirs = pq.ParquetFile(path).read(columns=[name]).column(0).to_pylist()
        assert column["values"] == [row or [] for row in theirs], name
        compared += 1
    return compared


@pytest.mark.conformance
@needs_files
@every_file
def test_list_columns_equal_pyarrow(path: Path) -> None:
    assert expect_lists_of_pyarrow(path) == LISTS.get(path.name, 0)


# Likewise those of maps, and of groups with other columns in them.
LISTS_IN_GROUPS = {
    "map_no_value.parquet": 2,
    "nullable.impala.parquet": 2,
    "repeated_primitive_no_list.parquet": 1,
}


def entries(value: Any) -> list[Any]:
    """The only list below structs that have one field each, and the only value of each of its elements."""
    if isinstance(value, dict):
        (value,) = value.values()
        return entries(value)
    out = list(value or [])
    while any(isinstance(element, dict) for element in out):
        out = [next(iter(element.values())) if isinstance(element, dict) else element for element in out]
    return out


@pytest.mark.conformance
@needs_files
@every_file
def test_lists_in_groups_equal_pyarrow(path: Path) -> None:
    compared = 0
    for name, column in dump(path).get("lists_in_groups", {}).items():
        if "error" in column:
            assert column["error"] == "unsupported" and name in column["message"], column
            continue
        theirs = pq.ParquetFile(path).read(columns=[name]).column(0).to_pylist()
        assert column["values"] == [entries(row) for row in theirs], name
        compared += 1
    assert compared == LISTS_IN_GROUPS.get(path.name, 0)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 1 << 30),
    group=st.integers(1, 100),
    page=st.sampled_from([32, 300, 1 << 20]),
    dictionary=st.booleans(),
    version=st.sampled_from(["1.0", "2.0"]),
    kind=st.sampled_from([pa.int32(), pa.int64(), pa.uint64(), pa.float32(), pa.float64()]),
    holes=st.sampled_from([0, 0.02, 0.5, 1]),
)
def test_lists_with_missing_elements_equal_pyarrow(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    group: int,
    page: int,
    dictionary: bool,
    version: str,
    kind: Any,
    holes: float,
) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        None
        if rng.random() < 0.1
        else [None if rng.random() < holes else int(v) for v in rng.integers(0, 90, rng.integers(0, 40))]
        for _ in range(150)
    ]
    path = tmp_path_factory.mktemp("nulls") / "a.parquet"
    pq.write_table(
        pa.table({"x": pa.array(rows, pa.list_(kind))}),
        path,
        row_group_size=group,
        data_page_size=page,
        use_dictionary=dictionary,
        data_page_version=version,
        write_batch_size=16,
    )
    assert expect_lists_of_pyarrow(path) == 1


@pytest.mark.parametrize("dictionary", [True, False])
def test_missing_genes_are_unknown_and_missing_values_are_nan(tmp_path: Path, dictionary: bool) -> None:
    gene_table(tmp_path)
    rows = 3000  # more than a slice of elements
    genes = [[1, 5, None, 7]] * rows
    values = [[-2.0, None if i % 3 == 0 else i % 100, 9.0, 4.0] for i in range(rows)]

    def write(kind: Any) -> Path:
        path = tmp_path / "a.parquet"
        table = pa.table({"genes": genes, "expressions": pa.array(values, pa.list_(kind))})
        pq.write_table(table, path, use_dictionary=dictionary, row_group_size=900)
        return path

    ds = penstock.open(write(pa.float32()))
    for block_rows in (900, 7):
        loader = penstock.Loader(
            ds, batch_size=512, memory="64MB", to="numpy", block_rows=block_rows, window_rows=rows
        )
        seen = 0
        for batch in loader:
            want = np.where(batch.index % 3 == 0, np.nan, batch.index % 100).astype(np.float32)
            np.testing.assert_array_equal(batch.X.toarray()[:, 2], want)
            np.testing.assert_array_equal(batch.X.toarray()[:, 4], 4)
            assert batch.X.nnz == 2 * len(batch.index)
            seen += len(batch.index)
        assert seen == rows
        assert loader.stats()["entries_unknown"] >= rows
    with pytest.raises(
        NotImplementedError, match="row group [0-3].*missing values inside lists.*floats have NaN"
    ):
        list(penstock.Loader(penstock.open(write(pa.int32())), batch_size=64, memory="64MB", to="numpy"))


@pytest.mark.conformance
@needs_files
@pytest.mark.parametrize("path", sorted(PARQUET_TESTING.glob("bad_data/*.parquet")), ids=lambda p: p.name)
def test_bad_files_are_errors_or_right(path: Path) -> None:
    ours = dump(path)
    text = json.dumps(ours)
    if "43605" in path.name:
        assert ours["rows"] == 21186
        return
    assert "error" in text or not ours["columns"]
