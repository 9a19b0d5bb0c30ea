"""Parquet files for C++ tests: python make_fixtures.py FOLDER. All have 600 rows, and checksums of their pages.

lists.parquet with gene_metadata.parquet, coo.pqdata, wide.parquet: one matrix of 80 genes, several row groups and
pages. large/: lists of 3,000 genes in one row group of 11 MB, which is read by pages.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 600
OPTIONS: dict[str, Any] = {"write_page_checksum": True, "write_batch_size": 64}
DRUG = [f"d{i % 5}" for i in range(ROWS)]


def write_lists(folder: Path, x: np.ndarray, **options: Any) -> None:
    folder.mkdir(exist_ok=True)
    row, col = np.nonzero(x)
    ends = pa.array(np.searchsorted(row, np.arange(ROWS + 1)).astype(np.int32))
    genes = pa.ListArray.from_arrays(ends, pa.array(col + 3))
    values = pa.ListArray.from_arrays(ends, pa.array(x[row, col]))
    lists = pa.table({"genes": genes, "expressions": values, "drug": DRUG})
    pq.write_table(lists, folder / "lists.parquet", **OPTIONS, **options)
    names = [f"g{i}" for i in range(x.shape[1])]
    tokens = pa.table({"token_id": np.arange(len(names)) + 3, "ensembl_id": names, "gene_symbol": names})
    pq.write_table(tokens, folder / "gene_metadata.parquet")


def write_triplets(folder: Path, x: np.ndarray, **options: Any) -> None:
    folder.mkdir()
    row, col = np.nonzero(x)
    table = pa.table({"row": row.astype(np.int32), "col": col.astype(np.int32), "data": x[row, col]})
    table = table.replace_schema_metadata({"array": json.dumps({"shape": list(x.shape)})})
    pq.write_table(table, folder / "X.parquet", row_group_size=2500, **OPTIONS, **options)
    pd.DataFrame({"drug": DRUG}).to_parquet(folder / "obs.parquet", **OPTIONS)
    pd.DataFrame(index=[f"g{i}" for i in range(x.shape[1])]).to_parquet(folder / "var.parquet", **OPTIONS)


def main() -> None:
    folder = Path(sys.argv[1])
    rng = np.random.default_rng(3)
    x = rng.poisson(0.3, (ROWS, 80)).astype(np.float32)
    write_lists(folder, x, row_group_size=100, data_page_size=2000)
    write_triplets(folder / "coo.pqdata", x, data_page_size=2000)
    wide = pa.table({f"g{i}": x[:, i] for i in range(x.shape[1])})
    pq.write_table(wide, folder / "wide.parquet", row_group_size=100, **OPTIONS)

    large = rng.random((ROWS, 3000), np.float32)
    large[large < 0.5] = 0
    write_lists(folder / "large", large, compression="none", use_dictionary=["drug"], data_page_size=500_000)


if __name__ == "__main__":
    main()
