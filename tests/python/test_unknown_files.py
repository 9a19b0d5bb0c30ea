"""People open what they have. Each of these says what it is and what to do."""

from __future__ import annotations

import bz2
import gzip
import lzma
import pickle
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
import scipy.io
import scipy.sparse as sp
from test_cli import COMMAND, run
from test_parquet import gene_table, list_table, matrix

import penstock

LFS = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"


def adata() -> ad.AnnData:
    return ad.AnnData(sp.eye(4, format="csr", dtype="f4"), obs=pd.DataFrame(index=list("abcd")))


def h5ad(path: Path) -> Path:
    adata().write_h5ad(path)
    return path


def zarr_folder(path: Path) -> None:
    adata().write_zarr(path)


def zarr_zip(path: Path) -> None:
    adata().write_zarr(path.with_suffix(".folder"))
    shutil.move(shutil.make_archive(str(path), "zip", path.with_suffix(".folder")), path)
    shutil.rmtree(path.with_suffix(".folder"))


def archive(path: Path) -> None:
    inner = h5ad(path.parent / "inner.h5ad")
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as out:
        out.add(inner, "inner.h5ad")
    inner.unlink()


def packed(pack: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(pack(h5ad(path.parent / "inner.h5ad").read_bytes()))
        (path.parent / "inner.h5ad").unlink()

    return write


def text(content: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(content) and None


def raw(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


def hdf5_of(*groups: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with h5py.File(path, "w") as file:
            for name in groups:
                file.create_group(name)

    return write


def cut(path: Path) -> None:
    whole = h5ad(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def cut_parquet(path: Path) -> None:
    pd.DataFrame({"A": np.arange(100.0), "B": np.arange(100.0)}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])


def twice(path: Path) -> None:
    lists = pa.array([[3], [4]])
    values = pa.array([[1.0], [2.0]])
    pq.write_table(pa.Table.from_arrays([lists, values, lists], ["genes", "expressions", "genes"]), path)


def mtx_folder(path: Path) -> None:
    path.mkdir()
    scipy.io.mmwrite(path / "matrix.mtx", sp.eye(3))


def feather(path: Path) -> None:
    pa.feather.write_feather(pa.table({"a": [1]}), path)


def database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("create table cells (name text)")


CASES: dict[str, tuple[str, Callable[[Path], None], list[str]]] = {
    "zarr": ("a.zarr", zarr_folder, ["zarr store", "read_zarr", "write_h5ad"]),
    "zarr zip": ("a.zip", zarr_zip, ["zarr store packed as zip", "unpack", "write_h5ad"]),
    "h5ad.gz": ("a.h5ad.gz", packed(gzip.compress), ["gzip", "gunzip"]),
    "gzip with another name": ("a.h5ad", packed(gzip.compress), ["gzip", "gunzip"]),
    "bzip2": ("a.h5ad.bz2", packed(bz2.compress), ["bzip2", "bunzip2"]),
    "xz": ("a.h5ad.xz", packed(lzma.compress), ["xz", "unxz"]),
    "zstd": ("a.h5ad.zst", raw(b"\x28\xb5\x2f\xfd" + bytes(50)), ["zstd", "unzstd"]),
    "tar": ("a.tar", archive, ["tar archive", "unpack"]),
    "tar.gz": ("a.tar.gz", archive, ["tar archive", "unpack"]),
    "LFS pointer": ("a.h5ad", text(LFS), ["Git LFS pointer", "git lfs pull"]),
    "LFS pointer, Parquet": ("a.parquet", text(LFS), ["Git LFS pointer", "git lfs pull"]),
    "CSV": ("a.csv", text("cell,TP53\nc0,1\n"), ["CSV", "write_h5ad"]),
    "TSV": ("a.txt", text("cell\tTP53\nc0\t1\n"), ["TSV", "write_h5ad"]),
    "CSV of Windows": ("a.csv", text("\ufeffcell,TP53\r\nc0,1\r\n"), ["CSV", "write_h5ad"]),
    "csv.gz": ("a.csv.gz", raw(gzip.compress(b"cell,TP53\n")), ["CSV", "gzip", "write_h5ad"]),
    "mtx": ("a.mtx", lambda path: scipy.io.mmwrite(path, sp.eye(3)), ["Matrix Market", "write_h5ad"]),
    "mtx.gz": ("a.mtx.gz", raw(gzip.compress(b"%%MatrixMarket")), ["Matrix Market", "write_h5ad"]),
    "mtx folder": ("folder", mtx_folder, ["10x text files", "read_10x_mtx"]),
    "HTML": ("a.h5ad", text("\n<!DOCTYPE html><html>404"), ["HTML page", "download"]),
    "XML": ("a.h5ad", text('<?xml version="1.0"?><Error>AccessDenied</Error>'), ["XML", "download"]),
    "JSON": ("a.h5ad", text('{"message": "not found"}'), ["JSON"]),
    "text": ("a.h5ad", text("Not Found"), ["text", "download"]),
    "empty": ("a.h5ad", raw(b""), ["empty", "download"]),
    "empty, Parquet": ("a.parquet", raw(b""), ["empty", "download"]),
    "zeros": ("a.h5ad", raw(bytes(5000)), ["zero bytes", "not finished"]),
    "rds": ("a.rds", raw(gzip.compress(b"X\n")), ["R object", ".h5ad"]),
    "npz": ("a.npz", lambda path: sp.save_npz(path, sp.eye(3, format="csr")), ["NumPy archive", "load_npz"]),
    "npy": ("a.npy", lambda path: np.save(path, np.eye(3)), ["NumPy array", "write_h5ad"]),
    "pickle": ("a.pkl", raw(pickle.dumps({"X": np.eye(3)})), ["pickle", "write_h5ad"]),
    "feather": ("a.feather", feather, ["Arrow IPC", "to_parquet"]),
    "orc": ("a.orc", lambda path: pa.orc.write_table(pa.table({"a": [1]}), path), ["ORC", "to_parquet"]),
    "sqlite": ("a.db", database, ["SQLite", "to_parquet"]),
    "PDF": ("a.h5ad", raw(b"%PDF-1.7\n" + bytes(range(256))), ["PDF"]),
    "noise": ("a.h5ad", raw(bytes(range(1, 256))), ["not an HDF5 or Parquet file", "01 02 03 04"]),
    "one byte": ("a.h5ad", raw(b"\x01"), ["not an HDF5 or Parquet file", "1 bytes"]),
    "loom": ("a.loom", hdf5_of("matrix", "row_attrs", "col_attrs"), ["loom", "read_loom", "write_h5ad"]),
    "Seurat": ("a.h5Seurat", hdf5_of("assays", "cell.names"), ["Seurat", "h5ad"]),
    "another HDF5 file": ("a.h5", hdf5_of("weights"), ["no /obs and /var", "write_h5ad"]),
    "cut short": ("a.h5ad", cut, ["truncated", "again"]),
    "Parquet cut short": ("a.parquet", cut_parquet, ["cut short", "again"]),
    "lists of genes twice": ("a.parquet", twice, ["several columns are named 'genes'", "rename"]),
    "an empty folder": ("folder", lambda path: path.mkdir(), ["no .h5ad or .parquet file"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_message_says_what_it_is_and_what_to_do(tmp_path, case):
    name, write, words = CASES[case]
    path = tmp_path / name
    write(path)
    assert path.exists()
    with pytest.raises((NotImplementedError, OSError, ValueError)) as caught:
        penstock.open(path)
    message = str(caught.value).replace(str(tmp_path), "")
    assert name in message
    for word in words:
        assert word in message.replace(name, "FILE"), message
    if COMMAND is not None:
        for command in ("info", "verify"):
            done = run(command, str(path))
            said = done.stdout + done.stderr
            assert done.returncode in (1, 2) and words[0] in said and done.stderr.count("\n") <= 1


def test_an_obs_column_that_is_there_twice(tmp_path):
    gene_table(tmp_path, 40)
    table = list_table(matrix(20, genes=40))
    names = [*table.column_names, "drug"]
    pq.write_table(
        pa.Table.from_arrays([*table.columns, table.column("drug")], names), tmp_path / "a.parquet"
    )
    ds = penstock.open(tmp_path / "a.parquet")
    with pytest.raises(
        NotImplementedError, match="2 columns have this name, so none can be told from the others; rename"
    ):
        ds.obs["drug"]
    if COMMAND is not None:
        done = run("verify", str(tmp_path / "a.parquet"))
        assert done.returncode == 0 and "not checked" in done.stdout and "2 columns" in done.stdout


def test_metadata_that_does_not_fit_names_the_way_out(tmp_path):
    path = h5ad(tmp_path / "a.h5ad")
    with pytest.raises(penstock.MemoryBudgetError, match=r"index_memory=1 KB.*larger index_memory") as caught:
        penstock.open(path, index_memory="1KB")
    assert caught.value.ways_out == {"index_memory": None}
    assert caught.value.needed_bytes > caught.value.free_bytes
    if COMMAND is not None:
        done = run("info", str(path), "--index-memory", "1KB")
        assert done.returncode == 1 and "--index-memory" in done.stderr


def test_a_column_that_does_not_fit_names_the_way_out(tmp_path):
    n = 3000
    obs = pd.DataFrame(
        {"text": pd.Categorical([f"{'long ' * 200}{i}" for i in range(n)])}, index=[f"c{i}" for i in range(n)]
    )
    ad.AnnData(sp.eye(n, format="csr", dtype="f4"), obs=obs).write_h5ad(tmp_path / "a.h5ad")
    ds = penstock.open(tmp_path / "a.h5ad", index_memory="2MB")
    for read in (
        lambda: ds.obs["text"],
        lambda: ds.categories("text"),
        lambda: penstock.Loader(ds, obs=["text"]),
    ):
        with pytest.raises(
            penstock.MemoryBudgetError, match="'text' does not fit .*larger index_memory"
        ) as caught:
            read()
        assert caught.value.ways_out == {"index_memory": None}
