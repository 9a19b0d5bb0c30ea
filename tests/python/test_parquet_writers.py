"""Parquet as pandas, polars and duckdb write it: read equal to the matrix and the table that were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from test_parquet import GENES, expect_rows, gene_table, list_table, matrix, obs_of

import penstock

ROWS = 700


@pytest.fixture(scope="module")
def x() -> Any:
    return matrix(ROWS)


def list_frame(x: Any, seed: int = 0) -> pd.DataFrame:
    """Rows as lists, a string column with missing values, numbers."""
    frame = list_table(x).to_pandas()
    rng = np.random.default_rng(seed)
    frame["drug"] = np.where(rng.random(len(frame)) < 0.1, None, frame["drug"])
    frame["dose"] = rng.random(len(frame))
    frame["plate"] = rng.integers(0, 5, len(frame)).astype(np.int16)
    return frame


def expect_lists(path: Path | list[Path], x: Any, frame: pd.DataFrame) -> penstock.Dataset:
    """The matrix, in file order and shuffled, with blocks that cut row groups; every obs column."""
    ds = penstock.open(path)
    assert ds.shape == x.shape
    assert list(ds.var_names) == GENES
    drug = ds.obs["drug"].astype(object)
    assert drug.where(drug.notna(), None).tolist() == frame["drug"].tolist()
    np.testing.assert_array_equal(ds.obs["dose"], frame["dose"])
    np.testing.assert_array_equal(ds.obs["plate"], frame["plate"])
    expect_rows(ds, x, shuffle=False)
    expect_rows(ds, x, block_rows=13, obs=["drug", "plate"])
    return ds


def encodings(path: Path, column: str) -> set[str]:
    """Those of a column's pages in the first row group, as the footer names them."""
    group = pq.ParquetFile(path).metadata.row_group(0)
    chunks = [group.column(i) for i in range(group.num_columns)]
    return set(next(c.encodings for c in chunks if c.path_in_schema.split(".")[0] == column))


def sql(statement: str, **tables: Any) -> None:
    with duckdb.connect() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        connection.execute(statement)


# --- lists ---


@pytest.mark.parametrize("codec", [None, "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_lists_that_pandas_writes(tmp_path: Path, x: Any, codec: Any) -> None:
    gene_table(tmp_path)
    frame = list_frame(x)
    frame.index = pd.Index([f"cell{i}" for i in range(ROWS)], name="barcode")
    path = tmp_path / "a.parquet"
    frame.to_parquet(path, compression=codec, row_group_size=101)
    ds = expect_lists(path, x, frame)
    assert list(ds.obs_names) == list(frame.index)
    assert "barcode" not in ds.obs


@pytest.mark.parametrize("codec", ["zstd", "snappy", "gzip", "lz4", "brotli", "uncompressed"])
@pytest.mark.parametrize("group", [None, 101])
def test_lists_that_polars_writes(tmp_path: Path, x: Any, codec: Any, group: int | None) -> None:
    gene_table(tmp_path)
    frame = list_frame(x)
    table = pl.from_pandas(frame, schema_overrides={"expressions": pl.List(pl.Float32)})
    path = tmp_path / "a.parquet"
    table.write_parquet(path, compression=codec, row_group_size=group, data_page_size=3000)
    expect_lists(path, x, frame)
    # As it stands: zstd, its own size of pages; labels as a dictionary.
    table.with_columns(pl.col("drug").cast(pl.Categorical)).write_parquet(path)
    expect_lists(path, x, frame)
    # The streaming engine has a writer of its own.
    table.lazy().sink_parquet(path, compression=codec, row_group_size=group)
    expect_lists(path, x, frame)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize(
    ("genes", "values"),
    [
        (pl.Int64, pl.Float64),
        (pl.Int32, pl.Float32),
        (pl.UInt16, pl.Int16),
        (pl.UInt32, pl.Int64),
        (pl.Int16, pl.Int32),
    ],
)
def test_types_and_page_versions_of_polars(
    tmp_path: Path, x: Any, version: str, genes: Any, values: Any
) -> None:
    gene_table(tmp_path)
    frame = list_frame(x)
    table = pl.from_pandas(frame).with_columns(
        pl.col("genes").cast(pl.List(genes)), pl.col("expressions").cast(pl.List(values))
    )
    path = tmp_path / "a.parquet"
    options = {"data_page_version": version, "data_page_size": 2000}
    table.write_parquet(path, use_pyarrow=True, pyarrow_options=options, row_group_size=230)
    expect_lists(path, x, frame)
    table.write_parquet(path, row_group_size=230)
    expect_lists(path, x, frame)


@pytest.mark.parametrize("codec", ["snappy", "zstd", "gzip", "lz4_raw", "brotli", "uncompressed"])
@pytest.mark.parametrize("version", ["V1", "V2"])
def test_lists_that_duckdb_writes(tmp_path: Path, codec: str, version: str) -> None:
    gene_table(tmp_path)
    rows = 5000  # duckdb fills row groups by vectors of 2,048 rows
    x = matrix(rows)
    frame = list_frame(x)
    path = tmp_path / "a.parquet"
    sql(
        f"COPY t TO '{path}' (FORMAT parquet, CODEC {codec}, PARQUET_VERSION {version}, ROW_GROUP_SIZE 2048)",
        t=pl.from_pandas(frame, schema_overrides={"expressions": pl.List(pl.Float32)}).to_arrow(),
    )
    assert pq.ParquetFile(path).metadata.num_row_groups == 3
    expect_lists(path, x, frame)


def test_encodings_of_duckdb(tmp_path: Path, x: Any) -> None:
    """Values too various for a dictionary: plain in V1, delta and split streams in V2."""
    gene_table(tmp_path)
    frame = list_frame(x)
    rng = np.random.default_rng(1)
    y = x.copy()
    y.data = rng.random(y.nnz).astype(np.float32)
    frame["expressions"] = list_table(y)["expressions"].to_pandas()
    frame["drug"] = [f"d{i}" for i in range(ROWS)]
    table = pl.from_pandas(frame, schema_overrides={"expressions": pl.List(pl.Float32)}).to_arrow()
    found = {}
    for version in ("V1", "V2"):
        path = tmp_path / "a.parquet"
        limits = "DICTIONARY_SIZE_LIMIT 1"
        sql(f"COPY t TO '{path}' (FORMAT parquet, PARQUET_VERSION {version}, {limits})", t=table)
        expect_lists(path, y, frame)
        found[version] = [encodings(path, c) for c in ("genes", "expressions", "drug")]
    assert found["V1"] == [{"PLAIN"}] * 3
    assert found["V2"] == [{"DELTA_BINARY_PACKED"}, {"BYTE_STREAM_SPLIT"}, {"DELTA_LENGTH_BYTE_ARRAY"}]


def test_one_dataset_of_files_of_three_writers(tmp_path: Path, x: Any) -> None:
    gene_table(tmp_path)
    frame = list_frame(x)
    frame.iloc[:200].to_parquet(tmp_path / "a.parquet")
    rest = pl.from_pandas(frame, schema_overrides={"expressions": pl.List(pl.Float32)})
    rest[200:450].write_parquet(tmp_path / "b.parquet")
    sql(f"COPY t TO '{tmp_path / 'c.parquet'}' (FORMAT parquet)", t=rest[450:].to_arrow())
    ds = expect_lists([tmp_path / f"{n}.parquet" for n in "abc"], x, frame)
    loader = penstock.Loader(ds, obs=["drug"], batch_size=64, memory="64MB", to="numpy")
    names = loader.categories["drug"]
    assert sorted(names) == sorted(frame["drug"].dropna().unique())
    for batch in loader:
        labels = [None if code < 0 else names[code] for code in batch.obs["drug"]]
        assert labels == frame["drug"].iloc[batch.index].tolist()


# --- triplets ---


def triplet_frame(x: Any, seed: int = 0) -> pd.DataFrame:
    """Elements in no order, as int64 and float32."""
    coo = x.tocoo()
    frame = pd.DataFrame({"row": coo.row.astype(np.int64), "col": coo.col.astype(np.int64), "data": coo.data})
    return frame.sample(frac=1, random_state=seed)


SORTS = {
    "pandas": lambda frame, path, shape: frame.sort_values(["row", "col"]).to_parquet(
        path, index=False, row_group_size=999
    ),
    "pandas with its index": lambda frame, path, shape: frame.sort_values(["row", "col"]).to_parquet(path),
    "polars": lambda frame, path, shape: (
        pl.from_pandas(frame).sort("row", "col").write_parquet(path, row_group_size=999)
    ),
    "polars, streaming": lambda frame, path, shape: (
        pl.from_pandas(frame).lazy().sort("row", "col").sink_parquet(path)
    ),
    "polars with the shape": lambda frame, path, shape: (
        pl.from_pandas(frame).sort("row", "col").write_parquet(path, metadata={"array": shape})
    ),
    **{
        f"duckdb {version} {codec}": lambda frame, path, shape, version=version, codec=codec: sql(
            f"COPY (SELECT * FROM t ORDER BY row, col) TO '{path}' (FORMAT parquet, CODEC {codec}, "
            f"PARQUET_VERSION {version}, ROW_GROUP_SIZE 2048, KV_METADATA {{'array': '{shape}'}})",
            t=frame,
        )
        for version in ("V1", "V2")
        for codec in ("snappy", "zstd")
    },
}
KEEP_THE_SHAPE = [name for name in SORTS if "shape" in name or "duckdb" in name]


@pytest.mark.parametrize("how", SORTS)
def test_triplets_sorted_once(tmp_path: Path, x: Any, how: str) -> None:
    folder = tmp_path / "a.pqdata"
    folder.mkdir()
    frame = triplet_frame(x)
    obs_of(ROWS).to_parquet(folder / "obs.parquet")
    pd.DataFrame(index=GENES).to_parquet(folder / "var.parquet")
    frame.to_parquet(folder / "X.parquet", index=False)
    with pytest.raises(NotImplementedError, match="not sorted by row"):
        penstock.open(folder)
    SORTS[how](frame, folder / "X.parquet", json.dumps({"shape": list(x.shape)}))
    ds = penstock.open(folder)
    assert ds.shape == x.shape
    assert list(ds.var_names) == GENES
    expect_rows(ds, x, shuffle=False)
    expect_rows(ds, x, block_rows=13)
    if how in KEEP_THE_SHAPE:
        expect_rows(penstock.open(folder / "X.parquet"), x)
    else:
        with pytest.raises(KeyError, match="triplets without the shape"):
            penstock.open(folder / "X.parquet")


# --- obs and var ---

INDEXES = {
    "unnamed": (pd.Index([f"cell{i}" for i in range(ROWS)]), None),
    "named": (pd.Index([f"cell{i}" for i in range(ROWS)], name="barcode"), None),
    "numbers": (pd.Index(np.arange(ROWS) * 3 + 7), [str(i * 3 + 7) for i in range(ROWS)]),
    "range": (pd.RangeIndex(ROWS), [str(i) for i in range(ROWS)]),
    "range from 10 by 2": (
        pd.RangeIndex(10, 10 + 2 * ROWS, 2, name="cell"),
        [str(i) for i in range(10, 10 + 2 * ROWS, 2)],
    ),
    "range downwards": (pd.RangeIndex(ROWS, 0, -1), [str(i) for i in range(ROWS, 0, -1)]),
}


@pytest.mark.parametrize("index", INDEXES)
def test_tables_that_pandas_writes(tmp_path: Path, x: Any, index: str) -> None:
    folder = tmp_path / "a.pqdata"
    folder.mkdir()
    labels, names = INDEXES[index]
    obs = obs_of(ROWS)
    obs.index = labels
    obs["maybe"] = pd.array([None if i % 3 == 0 else i for i in range(ROWS)], dtype="Int32")
    obs["text"] = pd.array([None if i % 4 == 0 else f"t{i % 3}" for i in range(ROWS)], dtype="string")
    obs["flag"] = np.arange(ROWS) % 2 == 0
    obs.to_parquet(folder / "obs.parquet", row_group_size=300)
    var = pd.DataFrame({"symbol": [f"S{i}" for i in range(300)]}, index=pd.Index(GENES, name="gene_id"))
    var.to_parquet(folder / "var.parquet", compression="gzip")
    triplet_frame(x).sort_values("row").to_parquet(folder / "X.parquet", index=False)
    ds = penstock.open(folder)
    assert list(ds.obs_names) == (names or list(labels))
    assert list(ds.var_names) == GENES
    assert list(ds.var["symbol"]) == list(var["symbol"])
    assert sorted(ds.obs.columns) == sorted(obs.columns)
    assert list(ds.obs["drug"]) == list(obs["drug"])
    assert ds.obs["maybe"].isna().tolist() == obs["maybe"].isna().tolist()
    assert ds.obs["maybe"].dropna().tolist() == obs["maybe"].dropna().tolist()
    assert ds.obs["text"].dropna().tolist() == obs["text"].dropna().tolist()
    assert ds.obs["flag"].tolist() == obs["flag"].tolist()
    expect_rows(ds, x, obs=["drug", "n", "score", "maybe", "text", "flag"])


def test_tables_that_polars_and_duckdb_write_have_no_index(tmp_path: Path, x: Any) -> None:
    folder = tmp_path / "a.pqdata"
    folder.mkdir()
    triplet_frame(x).sort_values("row").to_parquet(folder / "X.parquet", index=False)
    obs = pl.from_pandas(obs_of(ROWS).rename_axis("cell").reset_index())
    obs.write_parquet(folder / "obs.parquet")
    var = pl.DataFrame({"gene": GENES}).to_arrow()
    sql(f"COPY t TO '{folder / 'var.parquet'}' (FORMAT parquet)", t=var)
    ds = penstock.open(folder, var_key="gene")
    assert list(ds.var_names) == GENES
    assert list(ds.obs_names) == [str(i) for i in range(ROWS)]
    assert list(ds.obs["cell"]) == [f"cell{i}" for i in range(ROWS)]
    assert list(ds.obs["drug"]) == obs["drug"].to_list()
    expect_rows(ds, x)


# --- wide ---


@pytest.mark.parametrize("index", INDEXES)
def test_wide_files_that_pandas_writes(tmp_path: Path, index: str) -> None:
    """As `adata.to_df().to_parquet(path)`: the index names rows, and is no gene."""
    y = matrix(ROWS, genes=40, counts=False)
    labels, names = INDEXES[index]
    frame = pd.DataFrame(y.toarray(), index=labels, columns=GENES[:40])
    path = tmp_path / "w.parquet"
    frame.to_parquet(path, row_group_size=130)
    ds = penstock.open(path)
    assert ds.shape == y.shape
    assert list(ds.var_names) == GENES[:40]
    assert list(ds.obs_names) == (names or list(labels))
    expect_rows(ds, y)


def test_a_wide_file_of_integers_with_an_index_of_integers(tmp_path: Path) -> None:
    y = sp.csr_matrix(matrix(90, genes=25).toarray().astype(np.int64))
    frame = pd.DataFrame(y.toarray(), columns=GENES[:25], index=np.arange(90) * 2 + 1)
    frame.to_parquet(tmp_path / "w.parquet")
    ds = penstock.open(tmp_path / "w.parquet")
    assert list(ds.var_names) == GENES[:25]
    expect_rows(ds, y.astype(np.float32))


@pytest.mark.parametrize("writer", ["polars", "polars, streaming", "duckdb V1", "duckdb V2"])
def test_wide_files_that_polars_and_duckdb_write(tmp_path: Path, writer: str) -> None:
    y = matrix(ROWS, genes=40, counts=False)
    table = pl.DataFrame(y.toarray(), schema=GENES[:40])
    path = tmp_path / "w.parquet"
    for columns in (table, table.with_columns(pl.Series("cell", [f"c{i}" for i in range(ROWS)]))):
        if writer == "polars":
            columns.write_parquet(path, row_group_size=130)
        elif writer == "polars, streaming":
            columns.lazy().sink_parquet(path)
        else:
            version = writer.split()[1]
            sql(
                f"COPY t TO '{path}' (FORMAT parquet, PARQUET_VERSION {version}, ROW_GROUP_SIZE 2048)",
                t=columns.to_arrow(),
            )
        ds = penstock.open(path, matrix="X" if columns is table else "wide")
        assert list(ds.var_names) == GENES[:40]
        expect_rows(ds, y)
    assert list(ds.obs["cell"]) == [f"c{i}" for i in range(ROWS)]
