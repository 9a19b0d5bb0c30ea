"""What a Parquet file is taken for: wide files with as many genes as there are, triplets under any names, indexes and
obs beside genes, lists that begin inside a row. What cannot be told is refused with the way to say it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from test_parquet import (
    COMMAND,
    GENES,
    PARQUET_TESTING,
    expect_rows,
    gene_table,
    list_table,
    matrix,
    needs_files,
)
from test_parquet_damage import struct

import penstock

# --- wide files with many columns ---


def wide_table(rows: int, genes: int) -> tuple[Any, pd.DataFrame]:
    """A matrix with a non-zero in every seventh column, as `adata.to_df()` gives it."""
    x = ((np.arange(rows)[:, None] + np.arange(genes)) % 7 == 0) * np.arange(1, rows + 1, dtype=np.float32)[
        :, None
    ]
    names = [f"ENSG{i:011d}.{i % 9}" for i in range(genes)]  # longer than what lies in a string itself
    return x, pd.DataFrame(x, index=[f"cell{i}" for i in range(rows)], columns=names)


def expect_wide(path: Path, x: Any, **options: Any) -> penstock.Dataset:
    ds = penstock.open(path, **options)
    assert ds.shape == x.shape
    rows = 0
    for batch in penstock.Loader(ds, batch_size=16, memory="512MB", to="numpy"):
        np.testing.assert_array_equal(batch.dense(), x[batch.index])
        rows += batch.n_obs
    assert rows == len(x)
    return ds


@pytest.mark.parametrize("groups", [1, 4])
def test_a_wide_file_of_20_000_genes_opens_with_the_defaults(tmp_path: Path, groups: int) -> None:
    x, frame = wide_table(24, 20_000)
    path = tmp_path / "wide.parquet"
    frame.to_parquet(path, row_group_size=24 // groups)
    ds = expect_wide(path, x)
    assert list(ds.obs_names) == list(frame.index)
    assert list(ds.var_names) == list(frame.columns)
    # Names twice, and where the chunks of each column lie.
    assert ds.nbytes < 20_000 * (2 * (32 + 19) + 16 * groups + 10) + 100_000


@pytest.mark.slow
def test_as_many_genes_as_there_are_in_four_row_groups(tmp_path: Path) -> None:
    x, frame = wide_table(64, 62_710)
    path = tmp_path / "wide.parquet"
    frame.to_parquet(path, row_group_size=16)
    ds = expect_wide(path, x)
    assert list(ds.obs_names) == list(frame.index)
    assert ds.nbytes < 20_000_000
    expect_wide(path, x, index_memory="64MB")


def test_wide_files_that_have_the_same_genes_hold_their_names_once(tmp_path: Path) -> None:
    x, frame = wide_table(6, 2_000)
    for i in range(8):
        frame.to_parquet(tmp_path / f"part{i:02d}.parquet")
    one = penstock.open(tmp_path / "part00.parquet")
    ds = penstock.open(tmp_path)
    assert list(ds.var_names) == list(frame.columns)
    # Where the chunk of each column lies, and what a file takes whatever its columns.
    assert ds.nbytes - one.nbytes < 7 * (2_000 * 18 + 8_000)
    for batch in penstock.Loader(ds, batch_size=16, memory="64MB", to="numpy"):
        np.testing.assert_array_equal(batch.dense(), x[batch.index % 6])
    # Others in between are found.
    frame.rename(columns={frame.columns[7]: "TP53"}).to_parquet(tmp_path / "part05.parquet")
    with pytest.raises(ValueError, match="part05.*var name 7 is 'TP53'"):
        penstock.open(tmp_path)


def test_columns_of_a_wide_file_may_be_compressed_in_different_ways(tmp_path: Path) -> None:
    y = matrix(50, genes=20, counts=False).toarray()
    table = pa.table({name: y[:, i] for i, name in enumerate(GENES[:20])})
    codecs = {name: ("zstd", "none", "gzip", "snappy")[i % 4] for i, name in enumerate(GENES[:20])}
    pq.write_table(table, tmp_path / "w.parquet", compression=codecs, row_group_size=20)
    expect_rows(penstock.open(tmp_path / "w.parquet"), sp.csr_matrix(y))


def test_the_time_for_all_obs_columns_grows_with_their_number(tmp_path: Path) -> None:
    """The footer of a table of many columns is parsed once, not once a column: bytes read say so."""
    folder = tmp_path / "a.pqdata"
    folder.mkdir()
    n = 1500
    obs = pd.DataFrame({f"column_number_{i}": np.arange(6) + i for i in range(n)})
    obs.to_parquet(folder / "obs.parquet", row_group_size=3)
    pd.DataFrame(index=GENES[:4]).to_parquet(folder / "var.parquet")
    coo = pa.table({"row": [0, 5], "col": [1, 3], "data": [1.0, 2.0]})
    pq.write_table(coo, folder / "X.parquet")
    footer = (folder / "obs.parquet").stat().st_size
    ds = penstock.open(folder)
    before = penstock.Loader(ds, memory="64MB").stats()["bytes_opening"]
    assert list(ds.obs.columns) == list(obs.columns)
    for name in obs.columns[::50]:
        assert list(ds.obs[name]) == list(obs[name])
    assert penstock.Loader(ds, memory="64MB").stats()["bytes_opening"] - before < 3 * footer


# --- triplets ---


def coo_table(x: Any, names: tuple[str, str, str], ids: Any = np.int64, values: Any = np.float32) -> pa.Table:
    coo = sp.csr_matrix(x).tocoo()
    return pa.table([coo.row.astype(ids), coo.col.astype(ids), coo.data.astype(values)], names=list(names))


NAMES = [
    ("row", "column", "value"),
    ("i", "j", "x"),
    ("cell_idx", "gene_idx", "count"),
    ("cell_id", "gene_id", "count"),
    ("cell_integer_id", "gene_integer_id", "value"),
    ("obs_idx", "var_idx", "expression"),
    ("soma_dim_0", "soma_dim_1", "soma_data"),
    ("soma_joinid", "soma_dim_1", "soma_data"),
]


@pytest.mark.parametrize("names", NAMES, ids="-".join)
def test_triplets_under_other_names(tmp_path: Path, names: tuple[str, str, str]) -> None:
    x = matrix(60, genes=40, counts=False)
    x[0, 0] = x[59, 39] = 1
    path = tmp_path / "m.parquet"
    pq.write_table(coo_table(x, names, np.int32), path, row_group_size=100)
    ds = penstock.open(path)
    assert ds.shape == (60, 40)
    assert any("no shape: 60 x 40" in note for note in ds.notes)
    expect_rows(ds, x)
    # The shape that the file states goes first: rows and columns without an entry are there.
    shape = {"array": json.dumps({"shape": [70, 50]})}
    pq.write_table(coo_table(x, names).replace_schema_metadata(shape), path)
    ds = penstock.open(path)
    assert ds.shape == (70, 50)
    assert not any("no shape" in note for note in ds.notes)
    expect_rows(ds, sp.csr_matrix((x.data, x.indices, np.r_[x.indptr, [x.nnz] * 10]), shape=(70, 50)))


def test_the_columns_of_triplets_can_be_named(tmp_path: Path) -> None:
    x = matrix(60, genes=40)
    x[0, 0] = x[59, 39] = 1
    path = tmp_path / "m.parquet"
    table = coo_table(x, ("who", "what", "much"), np.int32)
    pq.write_table(
        table.append_column("batch", [np.full(x.nnz, 3)]).select(["batch", "much", "what", "who"]), path
    )
    expect_rows(penstock.open(path, row="who", col="what", value="much"), x)
    with pytest.raises(KeyError, match="value='nothing'.*Its columns: batch .int64., much"):
        penstock.open(path, row="who", col="what", value="nothing")
    with pytest.raises(KeyError, match="say col= too"):
        penstock.open(path, row="who")
    with pytest.raises(NotImplementedError, match="not sorted by row.*ORDER BY what, who"):
        penstock.open(path, row="what", col="who", value="much")
    info = subprocess.run(
        [COMMAND, "info", path, "--row", "who", "--col", "what", "--value", "much"],
        capture_output=True,
        text=True,
    )
    assert info.returncode == 0 and "60" in info.stdout and "triplets" in info.stdout, info.stderr
    # pqdata's own names without a shape are refused; that the numbers say it can be said.
    pq.write_table(coo_table(x, ("row", "col", "data")), path)
    with pytest.raises(KeyError, match='triplets without the shape.*row="row"'):
        penstock.open(path)
    expect_rows(penstock.open(path, row="row", col="col", value="data"), x)


@pytest.mark.parametrize("values", [np.int32, np.float32])
def test_what_looks_like_coordinates_is_never_three_genes(tmp_path: Path, values: Any) -> None:
    x = matrix(60, genes=40)
    path = tmp_path / "m.parquet"
    for ids in (np.int32, np.uint32, np.int64):
        pq.write_table(coo_table(x, ("a", "b", "c"), ids, values), path)
        with pytest.raises(NotImplementedError, match='look like coordinates.*row="a", col="b", value="c"'):
            penstock.open(path)
    pq.write_table(coo_table(x, ("a", "b", "c"), np.int32, np.int32), path)
    assert penstock.open(path, matrix="wide").shape == (x.nnz, 3)
    # Known names, beside another column or in the index.
    frame = coo_table(x, ("cell_idx", "gene_idx", "count"), np.int64, np.int64).to_pandas()
    frame.assign(umis=1).to_parquet(path)
    with pytest.raises(NotImplementedError, match='row="cell_idx", col="gene_idx"'):
        penstock.open(path)
    frame.set_index(["cell_idx", "gene_idx"]).to_parquet(path)
    with pytest.raises(NotImplementedError, match='row="cell_idx", col="gene_idx"'):
        penstock.open(path)
    # Three genes of fractions are three genes.
    pd.DataFrame(np.eye(3, dtype=np.float32), columns=GENES[:3]).to_parquet(path)
    assert penstock.open(path).shape == (3, 3)


def test_numbers_from_1_are_refused_where_no_shape_says_otherwise(tmp_path: Path) -> None:
    x = matrix(60, genes=40)
    x[0, 0] = 1
    coo = sp.csr_matrix(x).tocoo()
    table = pa.table(
        {"i": (coo.row + 1).astype(np.int32), "j": (coo.col + 1).astype(np.int32), "x": coo.data}
    )
    path = tmp_path / "m.parquet"
    pq.write_table(table, path)
    with pytest.raises(NotImplementedError, match="i begins with 1, j with 1.*counted from 1"):
        penstock.open(path)
    shape = {"array": json.dumps({"shape": [61, 41]})}
    pq.write_table(table.replace_schema_metadata(shape), path)
    assert penstock.open(path).shape == (61, 41)
    pq.write_table(pa.table({"i": [0, -1], "j": [0, 0], "x": [1.0, 2.0]}), path)
    with pytest.raises(penstock.CorruptFileError, match="column i holds -1"):
        penstock.open(path)


# --- what is no gene ---


def test_an_index_that_another_tool_kept_is_no_gene(tmp_path: Path) -> None:
    y = matrix(40, genes=20).toarray().astype(np.int64)
    path = tmp_path / "w.parquet"
    for index in (np.arange(40) * 3 + 1, [f"cell{i}" for i in range(40)]):
        pd.DataFrame(y, columns=GENES[:20], index=index).to_parquet(path)
        without = pq.read_table(path).replace_schema_metadata(None)
        assert "__index_level_0__" in without.column_names
        pq.write_table(without, path)
        ds = penstock.open(path)
        assert list(ds.var_names) == GENES[:20]
        assert list(ds.obs_names) == [str(name) for name in index]
        expect_rows(ds, sp.csr_matrix(y))


def test_numeric_obs_beside_genes_are_named(tmp_path: Path) -> None:
    y = matrix(40, genes=20).toarray()
    path = tmp_path / "w.parquet"
    frame = pd.DataFrame(y, columns=GENES[:20])
    frame.insert(3, "n_counts", np.arange(40))
    frame.insert(9, "age", np.arange(40) / 4)
    frame["cell_type"] = ["a", "b"] * 20
    frame.to_parquet(path)
    with pytest.raises(NotImplementedError, match="obs= names"):
        penstock.open(path)
    with pytest.raises(
        NotImplementedError, match=r'n_counts is int64, age is float64.*obs=\["n_counts", "age"\]'
    ):
        penstock.open(path, matrix="wide")
    ds = penstock.open(path, obs=["n_counts", "age"])
    assert list(ds.var_names) == GENES[:20]
    assert sorted(ds.obs.columns) == ["age", "cell_type", "n_counts"]
    expect_rows(ds, sp.csr_matrix(y), obs=["age", "cell_type"])
    assert len(ds.query("n_counts < 10 and age >= 1")) == 6
    # Of the genes' own type nothing tells them apart but their names.
    frame["n_counts"] = frame["n_counts"].astype(np.float32)
    frame.drop(columns=["age", "cell_type"]).to_parquet(path)
    assert penstock.open(path).n_vars == 21
    assert penstock.open(path, obs="n_counts").n_vars == 20
    with pytest.raises(KeyError, match="obs='n_genes': no column"):
        penstock.open(path, obs=["n_genes"])
    gene_table(tmp_path)
    pq.write_table(list_table(matrix(5)), path)
    with pytest.raises(ValueError, match="file of lists"):
        penstock.open(path, obs=["drug"])
    info = subprocess.run([COMMAND, "info", path, "--obs-columns", "drug"], capture_output=True, text=True)
    assert info.returncode != 0 and "file of lists" in info.stderr


def test_columns_of_one_name_cannot_be_told_apart(tmp_path: Path) -> None:
    folder = tmp_path
    gene_table(folder)
    table = list_table(matrix(5))
    pq.write_table(table.append_column("drug", table["drug"]), folder / "a.parquet")
    ds = penstock.open(folder / "a.parquet")
    with pytest.raises(NotImplementedError, match="drug: 2 columns have this name"):
        ds.obs["drug"]


# --- lists ---


def begin_inside(path: Path, group: int, column: int) -> None:
    """Row 0 of a chunk loses its beginning to its second entry: as many rows, and an entry before the first."""
    chunk = pq.ParquetFile(path).metadata.row_group(group).column(column)
    data = bytearray(path.read_bytes())
    header, body = struct(data, chunk.data_page_offset)
    levels = body + (4 if header[1] == 0 else 0)  # V1 pages have their length before them
    assert data[levels] & 1 == 1, "levels that are packed"
    assert data[levels + 1] & 3 == 2, "a row of at least two entries: levels 0 and 1"
    data[levels + 1] ^= 3
    path.write_bytes(data)


LISTS: Callable[[int], pa.Table] = lambda rows: pa.table(  # noqa: E731
    {
        "genes": [[3, 4, 5], [6, 7]] * rows,
        "expressions": pa.array([[1.0, 2, 3], [4, 5]] * rows, pa.list_(pa.float32())),
    }
)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_column_chunk_that_begins_inside_a_row_is_corrupt(tmp_path: Path, version: str) -> None:
    gene_table(tmp_path)
    path = tmp_path / "a.parquet"
    options: dict[str, Any] = {"compression": "none", "use_dictionary": False, "data_page_version": version}
    pq.write_table(LISTS(3), path, row_group_size=2, **options)
    assert penstock.open(path).n_obs == 6
    for column in (0, 1):
        begin_inside(path, 1, column)
    place = "a.parquet: row group 1, column genes.list.element, page at byte 0x"
    with pytest.raises(penstock.CorruptFileError, match=f"{place}.*first repetition level.*must be 0"):
        penstock.open(path)
    verify = subprocess.run([COMMAND, "verify", path], capture_output=True, text=True)
    assert verify.returncode != 0 and place in verify.stdout + verify.stderr


def test_it_is_found_while_reading_where_opening_did_not_look(tmp_path: Path) -> None:
    gene_table(tmp_path)
    path = tmp_path / "a.parquet"
    groups, looked_at = 4100, 4096
    pq.write_table(LISTS(groups), path, row_group_size=2, compression="none", use_dictionary=False)
    blind = [g for g in range(groups) if g * looked_at // groups == (g + 1) * looked_at // groups]
    for column in (0, 1):
        begin_inside(path, blind[1], column)
    ds = penstock.open(path)
    with pytest.raises(penstock.CorruptFileError, match=f"row group {blind[1]}.*first repetition level"):
        for _ in penstock.Loader(ds, batch_size=64, memory="64MB", to="numpy", shuffle=False):
            pass


def test_verify_looks_at_levels_of_columns_that_are_not_read(tmp_path: Path) -> None:
    gene_table(tmp_path)
    path = tmp_path / "a.parquet"
    deep = pa.array([[[1, 2], [3]], [[4], [5]]], pa.list_(pa.list_(pa.int32())))
    table = LISTS(1).append_column("deep", deep)
    pq.write_table(table, path, compression="none", use_dictionary=False)
    verify = subprocess.run([COMMAND, "verify", path], capture_output=True, text=True)
    assert verify.returncode == 0, verify.stdout + verify.stderr
    data = bytearray(path.read_bytes())
    _, body = struct(data, pq.ParquetFile(path).metadata.row_group(0).column(2).data_page_offset)
    assert data[body + 5] & 15 == 0b1000, "levels 0 and 2, two bits each"
    data[body + 5] ^= 0b1010  # 2 and 0
    path.write_bytes(data)
    assert penstock.open(path).n_obs == 2
    verify = subprocess.run([COMMAND, "verify", path], capture_output=True, text=True)
    assert verify.returncode != 0
    place = "row group 0, column deep.list.element.list.element, page at byte 0x"
    assert (
        place in verify.stdout + verify.stderr and "first repetition level" in verify.stdout + verify.stderr
    )


@pytest.mark.conformance
@needs_files
@pytest.mark.parametrize("name", ["Int32_list", "group_of_lists.Int32_list_in_group"])
def test_repeated_fields_without_annotation_are_lists(tmp_path: Path, name: str) -> None:
    gene_table(tmp_path)
    table = tmp_path / "genes.csv"
    table.write_text("token_id\n" + "\n".join(str(i) for i in range(10)) + "\n")
    path = PARQUET_TESTING / "data" / "repeated_primitive_no_list.parquet"
    ds = penstock.open(path, genes=name, expressions=name, var=table)
    (batch,) = penstock.Loader(ds, batch_size=4, memory="64MB", shuffle=False, to="numpy")
    want = np.zeros((4, 10), np.float32)
    for row, entries in enumerate(([0, 1, 2, 3], [], [4], [5, 6, 7, 8])):
        want[row, entries] = entries
    np.testing.assert_array_equal(batch.X.toarray(), want)


def test_lists_of_structs_are_two_lists(tmp_path: Path) -> None:
    """`list<struct<gene, count>>`: each field of the struct is a list of its row."""
    gene_table(tmp_path)
    x = matrix(50)
    rows = [x.getrow(i) for i in range(50)]
    entries = [
        [{"gene": int(g) + 3, "count": float(v)} for g, v in zip(r.indices, r.data, strict=True)]
        for r in rows
    ]
    kind = pa.list_(pa.struct({"gene": pa.int64(), "count": pa.float32()}))
    pq.write_table(pa.table({"cell": pa.array(entries, kind)}), tmp_path / "a.parquet", row_group_size=20)
    ds = penstock.open(
        tmp_path / "a.parquet", genes="cell.list.element.gene", expressions="cell.list.element.count"
    )
    expect_rows(ds, x)
