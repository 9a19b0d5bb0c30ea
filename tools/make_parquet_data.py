#!/usr/bin/env python3
"""Writes the matrix of .h5ad files as Parquet, in the layouts that Penstock reads; streams, in bounded memory.

    python tools/make_parquet_data.py lists  OUT a.h5ad b.h5ad      one file of lists per .h5ad, as Tahoe-100M
    python tools/make_parquet_data.py pqdata OUT a.h5ad b.h5ad      one folder of triplets per .h5ad

lists: row groups of 1,000 rows; `genes` list<int64> (token = column + 3), `expressions` list<float32>, the first entry
of each row the mark (1, -2.0); obs columns flat; metadata/gene_metadata.parquet says what the tokens are. pqdata:
X.parquet with columns row, col and data sorted by row, its shape in the key-value metadata `array`; obs.parquet and
var.parquet as pandas writes them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FIRST_TOKEN = 3  # 0, 1 and 2 are marks in Tahoe-100M
CLS = (1, -2.0)
ROWS = 1000


def _rows(
    path: str | os.PathLike[str], rows: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """(first row, offsets from 0, indices, data) of so many rows at a time."""
    with h5py.File(path) as file:
        indptr = file["X/indptr"][:].astype(np.int64)
        for first in range(0, len(indptr) - 1, rows):
            offsets = indptr[first : first + rows + 1]
            part = slice(offsets[0], offsets[-1])
            yield first, offsets - offsets[0], file["X/indices"][part], file["X/data"][part]


def _tables(path: str | os.PathLike[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """obs and var of an .h5ad."""
    with h5py.File(path) as file:
        return anndata.io.read_elem(file["obs"]), anndata.io.read_elem(file["var"])


def write_gene_table(names: pd.Index[Any], folder: Path) -> None:
    """metadata/gene_metadata.parquet in `folder`."""
    (folder / "metadata").mkdir(parents=True, exist_ok=True)
    tokens = np.arange(FIRST_TOKEN, FIRST_TOKEN + len(names))
    table = pa.table({"token_id": tokens, "ensembl_id": list(names), "gene_symbol": list(names)})
    pq.write_table(table, folder / "metadata" / "gene_metadata.parquet")


def write_lists(
    source: str | os.PathLike[str],
    out: Path,
    *,
    rows: int = ROWS,
    cls: bool = True,
    group_rows: int | None = None,
    first_row: int | None = None,
    **options: Any,
) -> None:
    """One .h5ad as a file of lists; `options` go to pyarrow's ParquetWriter. group_rows: one row group of so many
    rows (default: `rows`). first_row: a column `row` numbers the rows from there on."""
    obs, _ = _tables(source)
    writer = None
    pending: list[pa.Table] = []
    for first, offsets, indices, data in _rows(source, rows):
        n = len(offsets) - 1
        ends = offsets + np.arange(n + 1) * cls
        tokens, values = np.empty(ends[-1], np.int64), np.empty(ends[-1], np.float32)
        entry = np.ones(ends[-1], bool)
        if cls:
            entry[ends[:-1]] = False
            tokens[~entry], values[~entry] = CLS
        tokens[entry] = indices.astype(np.int64) + FIRST_TOKEN
        values[entry] = data
        at = pa.array(ends.astype(np.int32))
        columns: dict[str, Any] = {
            "genes": pa.ListArray.from_arrays(at, pa.array(tokens)),
            "expressions": pa.ListArray.from_arrays(at, pa.array(values)),
        }
        for name, column in obs.iloc[first : first + n].items():
            text = isinstance(column.dtype, pd.CategoricalDtype)
            columns[str(name)] = pa.array(column.astype(str) if text else column.to_numpy())
        if first_row is not None:
            columns["row"] = np.arange(first_row + first, first_row + first + n)
        table = pa.table(columns)
        if writer is None:
            writer = pq.ParquetWriter(out, table.schema, **{"compression": "snappy", **options})
        if group_rows is None:
            writer.write_table(table, row_group_size=rows)
            continue
        pending.append(table)
        if sum(len(t) for t in pending) >= group_rows:
            writer.write_table(pa.concat_tables(pending), row_group_size=group_rows)
            pending = []
    if writer is not None:
        if pending:
            writer.write_table(pa.concat_tables(pending), row_group_size=group_rows)
        writer.close()


def write_pqdata(source: str | os.PathLike[str], out: Path, **options: Any) -> None:
    """One .h5ad as a pqdata folder; `options` go to pyarrow's ParquetWriter."""
    out.mkdir(parents=True, exist_ok=True)
    obs, var = _tables(source)
    shape = [len(obs), len(var)]
    schema = pa.schema(
        [("row", pa.int32()), ("col", pa.int32()), ("data", pa.float32())],
        metadata={"array": json.dumps({"shape": shape, "class": {}})},
    )
    with pq.ParquetWriter(out / "X.parquet", schema, **{"compression": "snappy", **options}) as writer:
        for first, offsets, indices, data in _rows(source, 700):
            row = np.repeat(np.arange(first, first + len(offsets) - 1), np.diff(offsets))
            columns = [row.astype(np.int32), indices.astype(np.int32), data.astype(np.float32)]
            writer.write_table(pa.table(columns, schema=schema))
    obs.to_parquet(out / "obs.parquet")
    var.to_parquet(out / "var.parquet")


def make(layout: str, out: Path, sources: list[str], *, numbered: bool = False, **options: Any) -> list[Path]:
    """All sources in one layout below `out`, made once: the paths to open. numbered (lists): a column `row` numbers
    the rows over all files."""
    suffix = ".parquet" if layout == "lists" else ".pqdata"
    paths = [out / (Path(source).stem + suffix) for source in sources]
    done = out / "done.json"
    spec = {"layout": layout, "sources": [[s, os.path.getmtime(s)] for s in sources], "options": options}
    if numbered:
        spec["numbered"] = True
    if done.exists() and json.loads(done.read_text()) == json.loads(json.dumps(spec)):
        return paths
    out.mkdir(parents=True, exist_ok=True)
    done.unlink(missing_ok=True)
    if layout == "lists":
        write_gene_table(_tables(sources[0])[1].index, out)
    first_row = 0
    for source, path in zip(sources, paths, strict=True):
        print(f"[data] {path}", file=sys.stderr, flush=True)
        if layout == "lists":
            write_lists(source, path, first_row=first_row if numbered else None, **options)
        else:
            write_pqdata(source, path, **options)
        first_row += len(_tables(source)[0]) if numbered else 0
    done.write_text(json.dumps(spec))
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("layout", choices=["lists", "pqdata"])
    parser.add_argument("out", type=Path)
    parser.add_argument("sources", nargs="+")
    parser.add_argument("--compression", default="snappy")
    args = parser.parse_args()
    for path in make(args.layout, args.out, args.sources, compression=args.compression):
        print(path)


if __name__ == "__main__":
    main()
