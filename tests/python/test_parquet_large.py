"""A Parquet file whose only row group holds a gigabyte streams in the same memory as any other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import run_python

PER_ROW, GENES = 1_100, 20_000

# Entry j of a row is in column 18 j + row % 200: ascending, and no two alike. Values are all over 24 bits.
STREAM = """
    import json, sys
    import numpy as np
    import penstock

    def status(key):
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))

    path, rows, per_row = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    entry = np.arange(per_row)
    ds = penstock.open(path)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak begins here
    before = status("VmRSS")
    loader = penstock.Loader(ds, batch_size=256, memory="256MB", obs=["n"], to="numpy")
    seen = np.zeros(rows, int)
    right = True
    for batch in loader:
        np.add.at(seen, batch.index, 1)
        number = (batch.index[:, None] * per_row + entry).ravel()
        right &= bool((batch.obs["n"] == batch.index).all())
        right &= bool((batch.X.indices == (18 * entry + batch.index[:, None] % 200).ravel()).all())
        right &= bool((batch.X.data == number * 2654435761 % 2**24 / np.float32(8)).all())
    print(json.dumps({
        "right": right, "once": bool((seen == 1).all()), "growth": status("VmHWM") - before,
        "budget": loader.stats()["memory"]["peak"], "blocks": loader.plan.block_rows,
    }))
"""


@pytest.fixture
def large(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """So many rows in one row group, and their genes; not kept."""
    rows, options = request.param
    names = [f"g{i}" for i in range(GENES)]
    tokens = pa.table({"token_id": np.arange(GENES) + 3, "ensembl_id": names, "gene_symbol": names})
    pq.write_table(tokens, tmp_path / "gene_metadata.parquet")
    ends = pa.array(np.arange(rows + 1, dtype=np.int32) * PER_ROW)
    genes = (18 * np.arange(PER_ROW) + np.arange(rows)[:, None] % 200 + 3).ravel()
    values = (np.arange(rows * PER_ROW) * 2654435761 % 2**24 / np.float32(8)).astype(np.float32)
    table = pa.table(
        {
            "genes": pa.ListArray.from_arrays(ends, pa.array(genes)),
            "expressions": pa.ListArray.from_arrays(ends, pa.array(values)),
            "n": np.arange(rows),
        }
    )
    path = tmp_path / "large.parquet"
    pq.write_table(table, path, row_group_size=rows, **options)
    yield path
    path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    "large",
    [(84_000, {"use_dictionary": False, "compression": "none"}), (170_000, {"compression": "snappy"})],
    ids=["plain", "dictionary of genes, values that fall back to plain, snappy"],
    indirect=True,
)
def test_a_row_group_of_a_gigabyte_streams_in_the_budget(large: Path) -> None:
    metadata = pq.ParquetFile(large).metadata
    assert metadata.num_row_groups == 1
    assert sum(metadata.row_group(0).column(i).total_compressed_size for i in (0, 1)) >= 1e9
    done = run_python(STREAM, str(large), str(metadata.num_rows), str(PER_ROW), timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    print(report)
    assert report["right"] and report["once"]
    assert report["budget"] <= 256_000_000
    assert report["growth"] <= 256_000_000 + (16 << 20)
    assert report["growth"] > 64_000_000, "the run is too small to prove anything"
