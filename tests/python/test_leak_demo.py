"""The parts of `make leak-demo` that decide; the run itself takes minutes and another pyarrow."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from support import ROOT


@pytest.fixture(scope="module")
def leak() -> Any:
    spec = importlib.util.spec_from_file_location("leak_run", ROOT / "benchmarks" / "leak" / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_growth_is_told_from_a_plateau(leak: Any) -> None:
    assert leak.grows([100, 1000, 1400, 1800, 2200, 2600, 3000])
    assert not leak.grows([100, 1000, 2000, 2010, 2020, 2005, 2030])
    assert not leak.grows([100, 3000, 1000, 1000, 1000])


def test_the_table_has_a_line_for_each_reader(leak: Any) -> None:
    text = leak.table(
        {"a": leak.parse("100000000\n250000000\n200000000\n"), "b": [1, 10**9, 2 * 10**9, 3 * 10**9]}
    )
    assert "| a | 100 MB | 250 MB | 250 MB | 200 MB | no |" in text
    assert text.endswith("| yes |")


def test_every_arm_reads(leak: Any, tmp_path: Any) -> None:
    import sys

    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(
        pa.table({"token_id": [3], "ensembl_id": ["E"], "gene_symbol": ["S"]}),
        tmp_path / "gene_metadata.parquet",
    )
    cells = pa.table({"genes": [[3], []], "expressions": pa.array([[1.0], []], pa.list_(pa.float32()))})
    pq.write_table(cells, tmp_path / "a.parquet")
    for _, _, how, environment in leak.arms(sys.executable)[1:]:
        assert len(leak.measure(sys.executable, how, environment, 2, [str(tmp_path / "a.parquet")])) == 3
