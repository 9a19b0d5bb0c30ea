"""`penstock verify`: whatever fails an open, a column, a name or an epoch is found, and named."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
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
from test_cli import COMMAND, run
from test_parquet import gene_table, list_table, matrix
from test_parquet_damage import LAYOUTS

import penstock

pytestmark = pytest.mark.skipif(COMMAND is None, reason="the command is not built")

N_OBS, N_VARS = 400, 30


def verdict(path: Path | str, *options: str) -> tuple[int, dict[str, Any]]:
    """(exit code, what --json says of the file)."""
    done = run("verify", "--json", str(path), *options)
    return done.returncode, json.loads(done.stdout)[0]


def everything_is_read(path: Path | str, **options: Any) -> bool:
    """Whether open, names, columns, categories and an epoch of every matrix come without an error."""
    warnings.simplefilter("ignore")
    try:
        first = penstock.open(path, **options)
        for name in [first.matrix, *first._handle.other_matrices()]:
            ds = penstock.open(path, matrix=name, **options)
            assert len(ds.obs_names) == ds.n_obs and len(ds.var_names) == ds.n_vars
            readable = [c for c, _, usable, _ in ds._handle.obs_columns() if usable]
            for column in readable:
                assert len(ds.obs[column]) == ds.n_obs
            assert len(ds.var) == ds.n_vars
            with penstock.Loader(ds, memory="64MB", to="numpy", obs=readable) as loader:
                assert sum(len(batch.index) for batch in loader) == ds.n_obs
    except Exception:
        return False
    return True


def some_of_all() -> ad.AnnData:
    """Every kind of column and of matrix that is read."""
    rng = np.random.default_rng(0)
    x = sp.random(N_OBS, N_VARS, 0.3, format="csr", dtype=np.float32, random_state=0)
    names = [f"cell {i} of {N_OBS}" for i in range(N_OBS)]
    obs = pd.DataFrame(
        {
            "text": [f"text {i}" for i in range(N_OBS)],
            "kind": pd.Categorical([f"k{i % 150}" for i in range(N_OBS)]),
            "number": rng.random(N_OBS),
            "whole": pd.array([None if i % 7 == 0 else i for i in range(N_OBS)], dtype="Int64"),
            "flag": rng.random(N_OBS) < 0.5,
            "maybe": pd.array([None if i % 5 == 0 else i % 2 == 0 for i in range(N_OBS)], dtype="boolean"),
        },
        index=names,
    )
    var = pd.DataFrame(
        {"symbol": [f"S{i}" for i in range(N_VARS)]}, index=[f"gene {i}" for i in range(N_VARS)]
    )
    layers = {"counts": x.ceil(), "columns": sp.csc_matrix(x), "dense": x.toarray()}
    adata = ad.AnnData(x, obs=obs, var=var, layers=layers)
    adata.raw = adata
    adata.obsm["X_pca"] = rng.random((N_OBS, 5))
    adata.obsm["table"] = pd.DataFrame({"a": rng.random(N_OBS), "b": names}, index=names)
    adata.varm["loadings"] = rng.random((N_VARS, 5))
    adata.obsp["near"] = sp.random(N_OBS, N_OBS, 0.05, format="csr", dtype=np.float32, random_state=1)
    return adata


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    """All of it in gzip chunks: a damaged one cannot be overlooked."""
    path = tmp_path_factory.mktemp("packed") / "cells.h5ad"
    some_of_all().write_h5ad(path, compression="gzip")
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """All of it as it is, with chunks of a few rows where a matrix may have them."""
    path = tmp_path_factory.mktemp("plain") / "cells.h5ad"
    some_of_all().write_h5ad(path)
    return path


def datasets_of(path: Path) -> list[str]:
    found: list[str] = []

    def look(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.shape and node.size:
            found.append(name)

    with h5py.File(path) as file:
        file.visititems(look)
    return found


def test_a_good_file_is_good(packed, plain):
    for path in (packed, plain):
        code, found = verdict(path)
        assert code == 0 and found["bad"] == 0 and found["not_checked"] == []
        assert found["matrices"] == [
            "X", "raw/X", "layers/columns", "layers/counts", "layers/dense", "obsm/X_pca", "obsm/table",
            "varm/loadings", "obsp/near",
        ]  # fmt: skip
    with h5py.File(packed) as file:
        decoded = sum(file[name].size * file[name].dtype.itemsize for name in datasets_of(packed))
        stored = sum(file[name].id.get_storage_size() for name in datasets_of(packed))
    # Decoded bytes, those behind the end of a last chunk too.
    assert found["bytes"] >= decoded > stored
    assert verdict(packed)[1]["bytes"] >= decoded


def test_every_damaged_dataset_is_found_by_name(packed, tmp_path):
    path = tmp_path / "cells.h5ad"
    overlooked = []
    for name in datasets_of(packed):
        shutil.copy(packed, path)
        with h5py.File(packed) as file:
            if not file[name].chunks:  # anndata leaves scalars and the like in one piece
                continue
            last = file[name].id.get_chunk_info(file[name].id.get_num_chunks() - 1)
        with path.open("r+b") as out:
            out.seek(last.byte_offset + last.size // 2)
            out.write(b"\xff" * 16)
        code, found = verdict(path)
        if code != 1 or not any(f"/{name}" in problem and "0x" in problem for problem in found["problems"]):
            overlooked.append((name, code, found))
    assert overlooked == []


def test_verify_fails_where_anything_else_does(plain, tmp_path):
    """Bytes of each dataset, where no checksum is, become what they cannot be: verify is as strict as reading."""
    path = tmp_path / "cells.h5ad"
    failed, overlooked = 0, []
    for name in datasets_of(plain):
        with h5py.File(plain) as file:
            at = file[name].id.get_offset()
            size = file[name].id.get_storage_size()
        if at is None:
            continue
        for where in (0, size // 2):
            shutil.copy(plain, path)
            with path.open("r+b") as out:
                out.seek(at + where)
                out.write(b"\xff" * min(24, size - where))
            if not everything_is_read(path):
                failed += 1
                if verdict(path)[0] != 1:
                    overlooked.append((name, where))
    assert everything_is_read(plain) and overlooked == [] and failed > 10


def edit(file: h5py.File, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    values = change(file[name][()])
    attributes = dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, data=values).attrs.update(attributes)


def put(index: int, value: Any) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values[index] = value
        return values

    return change


CONTRADICTIONS: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "code beyond the list": (lambda f: edit(f, "obs/kind/codes", put(2, 999)), "/obs/kind"),
    "code below -1": (lambda f: edit(f, "obs/kind/codes", put(2, -2)), "/obs/kind"),
    "column number": (lambda f: edit(f, "X/indices", put(5, N_VARS)), "/X/indices"),
    "column number of a layer": (
        lambda f: edit(f, "layers/counts/indices", put(5, -1)),
        "/layers/counts/indices",
    ),
    "row number of a CSC layer": (
        lambda f: edit(f, "layers/columns/indices", put(5, N_OBS)),
        "/layers/columns/indices",
    ),
    "row offsets descend": (
        lambda f: edit(f, "layers/counts/indptr", put(9, 10**6)),
        "/layers/counts/indptr",
    ),
    "column offsets descend": (
        lambda f: edit(f, "layers/columns/indptr", put(9, 0)),
        "/layers/columns/indptr",
    ),
    "offsets of obsp": (lambda f: edit(f, "obsp/near/indptr", put(9, -1)), "/obsp/near/indptr"),
    "fewer values than columns": (lambda f: edit(f, "layers/counts/data", lambda v: v[:-1]), "layers/counts"),
    "fewer rows in raw/var": (lambda f: edit(f, "raw/var/_index", lambda v: v[:-1]), "/raw/var"),
    "column of another length": (lambda f: edit(f, "obs/number", lambda v: v[:-1]), "/obs/number"),
    "mask of another length": (lambda f: edit(f, "obs/whole/mask", lambda v: v[:-1]), "/obs/whole"),
    "listed but absent": (lambda f: f.__delitem__("obs/text"), "text"),
    "var column absent": (lambda f: f.__delitem__("var/symbol"), "symbol"),
    "no list of categories": (lambda f: f.__delitem__("obs/kind/categories"), "/obs/kind"),
    "no index": (lambda f: f.__delitem__("obs/_index"), "/obs"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_contradictions_are_found_by_name(plain, tmp_path, case):
    change, where = CONTRADICTIONS[case]
    path = tmp_path / "cells.h5ad"
    shutil.copy(plain, path)
    with h5py.File(path, "r+") as file:
        change(file)
    code, found = verdict(path)
    assert code == 1 and any(where in problem for problem in found["problems"]), found


def test_one_matrix_alone(packed, tmp_path):
    path = tmp_path / "cells.h5ad"
    shutil.copy(packed, path)
    with h5py.File(path) as file:
        chunk = file["layers/counts/data"].id.get_chunk_info(0)
    with path.open("r+b") as out:
        out.seek(chunk.byte_offset + chunk.size // 2)
        out.write(b"\xff" * 16)
    assert verdict(path)[0] == 1
    assert verdict(path, "--matrix", "X") == (0, verdict(path, "--matrix", "X")[1])
    assert verdict(path, "--matrix", "X")[1]["matrices"] == ["X"]
    assert verdict(path, "--matrix", "layers/counts")[0] == 1
    assert verdict(path, "--matrix", "layers/dense")[0] == 0, "decoded, though it is not opened"
    done = run("verify", str(path), "--matrix", "layers/count")
    assert done.returncode == 1 and "layers/counts" in done.stderr


def test_what_is_not_read_is_named_and_no_damage(plain, tmp_path):
    path = tmp_path / "cells.h5ad"
    shutil.copy(plain, path)
    with h5py.File(path, "r+") as file:
        file["obs"].create_group("odd").attrs["encoding-type"] = "awkward-array"
        file["obs"].attrs["column-order"] = [*file["obs"].attrs["column-order"], "odd"]
        file["obsm"].create_group("ragged").attrs["encoding-type"] = "awkward-array"
        file["layers"].create_dataset("opaque", data=np.zeros(N_OBS, dtype="V8"))
    done = run("verify", str(path))
    assert done.returncode == 0 and "all good" in done.stdout
    notes = [line for line in done.stdout.splitlines() if line.startswith("not checked: ")]
    assert [
        any(word in note for note in notes) for word in ("/obs/odd", "/obsm/ragged", "/layers/opaque")
    ] == [True] * 3
    # Where nothing at all could be checked, it cannot be called good.
    done = run("verify", str(path), "--matrix", "layers/opaque")
    assert done.returncode == 1 and "no matrix of it could be checked" in done.stderr


def test_no_more_lines_than_can_be_read(tmp_path):
    x = sp.random(3000, 50, 0.3, format="csr", dtype=np.float32, random_state=0)
    path = tmp_path / "cells.h5ad"
    ad.AnnData(x).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        data = file["X/data"][()]
        del file["X/data"]
        made = file.create_dataset("X/data", data=data, chunks=(200,), compression="gzip")
        chunks = [made.id.get_chunk_info(i) for i in range(made.id.get_num_chunks())]
    with path.open("r+b") as out:
        for chunk in chunks:
            out.seek(chunk.byte_offset + chunk.size // 2)
            out.write(b"\xff" * 16)
    done = run("verify", str(path))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert sum(" chunk " in line for line in lines) == 100
    assert f"and {len(chunks) - 100} more" in lines and f"{len(chunks)} bad" in lines[-1]
    code, found = verdict(path)
    assert code == 1 and found["bad"] == len(chunks) and len(found["problems"]) == 100


def test_a_chunk_that_does_not_fit_names_the_way_out(packed):
    done = run("verify", str(packed), "--memory", "1KB")
    assert done.returncode == 1 and "memory=1 KB" in done.stderr and "more" in done.stderr


# --- Parquet ---


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_damaged_page_is_found(tmp_path, name):
    layout = LAYOUTS[name](tmp_path)
    code, found = verdict(layout.open)
    assert code == 0 and found["bad"] == 0 and found["matrices"] == ["X"] and found["chunks"] > 0
    for damaged in layout.damage:
        good = damaged.read_bytes()
        footer = pq.ParquetFile(damaged).metadata
        for group in range(footer.num_row_groups):
            for column in range(footer.num_columns):
                chunk = footer.row_group(group).column(column)
                first = chunk.dictionary_page_offset or chunk.data_page_offset
                bad = bytearray(good)
                at = first + chunk.total_compressed_size - 1  # of the last page, under its checksum
                bad[at] ^= 0xFF
                damaged.write_bytes(bytes(bad))
                code, found = verdict(layout.open)
                text = " ".join(found.get("problems", []))
                assert code == 1 and chunk.path_in_schema in text and f"row group {group}" in text
        damaged.write_bytes(good)


def wide_with_a_null(folder: Path, values: list[Any]) -> Path:
    path = folder / "wide.parquet"
    pq.write_table(pa.table({"A": [1, 2, 3], "B": pa.array(values)}), path)
    return path


def test_nulls_that_fail_an_epoch_are_found(tmp_path):
    for values in ([1, None, 3], [None, None, 1]):
        path = wide_with_a_null(tmp_path, values)
        assert not everything_is_read(path)
        code, found = verdict(path)
        assert code == 1 and any("B" in problem and "null" in problem for problem in found["problems"]), found
    # Nulls among labels are missing labels.
    folder = LAYOUTS["triplets"](tmp_path).open
    obs = pd.read_parquet(folder / "obs.parquet")
    obs["drug"] = obs["drug"].astype(object).where(np.arange(len(obs)) % 3 > 0, None)
    obs.to_parquet(folder / "obs.parquet")
    assert everything_is_read(folder) and verdict(folder)[0] == 0


def test_lists_that_do_not_fit_are_found(tmp_path):
    gene_table(tmp_path, 40)
    table = list_table(matrix(20, genes=40))
    values = table.column("expressions").to_pylist()
    values[7] = [*values[7], 1.0]
    at = table.schema.get_field_index("expressions")
    column = pa.array(values, type=table.schema.field(at).type)
    path = tmp_path / "a.parquet"
    pq.write_table(table.set_column(at, table.schema.field(at), column), path)
    assert not everything_is_read(path)
    assert verdict(path)[0] == 1


def test_every_matrix_of_a_pqdata_folder(tmp_path):
    folder = LAYOUTS["triplets"](tmp_path).open
    (folder / "layers").mkdir()
    layer = folder / "layers" / "counts.parquet"
    shutil.copy(folder / "X.parquet", layer)
    code, found = verdict(folder)
    assert code == 0 and found["matrices"] == ["X", "layers/counts"]
    table = pq.read_table(layer)
    columns = table.column("col").to_numpy().copy()
    columns[3] = 4000
    pq.write_table(table.set_column(1, "col", pa.array(columns)), layer)
    code, found = verdict(folder)
    assert code == 1 and any("layers/counts" in problem for problem in found["problems"]), found
    assert verdict(folder, "--matrix", "X")[0] == 0
