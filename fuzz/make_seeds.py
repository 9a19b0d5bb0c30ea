"""Writes the seeds of the fuzz targets: small, varied, deterministic.

    .venv/bin/python fuzz/make_seeds.py FOLDER

FOLDER/<target>/<name> is one seed. HDF5 files are made with the smallest B-trees and heaps that the format has, so
that a file of a few KB has trees of several levels and the fuzzers run thousands of them a second.
"""

from __future__ import annotations

import ctypes
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata
import h5py
import hdf5plugin
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
from h5py import h5p

anndata.settings.allow_write_nullable_strings = True


def libhdf5(function: str, plist: h5p.PropInstanceID, *args: int) -> None:
    """Calls what h5py does not wrap, in the library that it has loaded."""
    with open("/proc/self/maps") as maps:
        loaded = [line.split()[-1] for line in maps if "/libhdf5-" in line or "/libhdf5.so" in line]
    if getattr(ctypes.CDLL(loaded[0]), function)(ctypes.c_int64(plist.id), *map(ctypes.c_uint, args)) < 0:
        raise RuntimeError(function)


@contextmanager
def small_file(
    path: Path, *, userblock: int = 0, sizes: tuple[int, int] = (8, 8), chunk_k: int | None = 2
) -> Iterator[h5py.File]:
    """A file of the old format with small nodes. chunk_k=None: superblock 0, with nodes of the usual size."""
    plist = h5p.create(h5p.FILE_CREATE)
    libhdf5("H5Pset_sym_k", plist, 2, 2)
    plist.set_sizes(*sizes)
    if userblock:
        plist.set_userblock(userblock)
    if chunk_k:
        libhdf5("H5Pset_istore_k", plist, chunk_k)
    access = h5p.create(h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST)
    access.set_meta_block_size(0)  # else metadata grows by 2 KB at a time
    access.set_sieve_buf_size(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = h5py.File(h5py.h5f.create(str(path).encode(), h5py.h5f.ACC_TRUNC, fcpl=plist, fapl=access))
    with file:
        yield file


# --- HDF5 ---


def hdf5_types(f: h5py.File) -> None:
    for kind in ("i1", "u2", ">i4", "<u8", "f2", ">f4", "f8"):
        f[kind.strip("<>")] = np.arange(3).astype(kind)
    f["flag"] = np.array([True, False])
    f["enum"] = np.array([3, 4], dtype=h5py.enum_dtype({"three": 3, "four": 4}, basetype="i2"))
    f["fixed"] = np.array([b"ab", b""], dtype="S3")
    f["compound"] = np.zeros(1, dtype=[("a", "i4"), ("b", "f8")])
    f["scalar"] = 2.5
    f["null"] = h5py.Empty("f4")


def hdf5_strings(f: h5py.File) -> None:
    f["text"] = "hello"
    f["vlen"] = np.array(["a", "", "bc", "x" * 40], dtype=object)
    f.create_dataset(
        "chunked",
        data=np.array([f"cell{i}" for i in range(9)], dtype=object),
        chunks=(4,),
        compression="gzip",
    )
    f.create_dataset("unwritten", shape=(5,), chunks=(2,), dtype=h5py.string_dtype())


def hdf5_chunks(f: h5py.File) -> None:
    f.create_dataset("deep", data=np.arange(40, dtype="i2"), chunks=(1,))  # a tree of several levels
    f.create_dataset("holes", shape=(100,), chunks=(8,), dtype="f4", fillvalue=1.5)[40:50] = 2
    f.create_dataset("plane", data=np.arange(30, dtype="u1").reshape(5, 6), chunks=(2, 4))
    shrunk = f.create_dataset("shrunk", data=np.arange(20), chunks=(3,), maxshape=(None,))
    shrunk.resize((7,))


def hdf5_filters(f: h5py.File) -> None:
    data = np.arange(60, dtype="i4") % 7
    for name, kw in {
        "gzip": {"compression": "gzip"},
        "lzf": {"compression": "lzf"},
        "shuffle_gzip": {"compression": "gzip", "shuffle": True},
        "all": {"compression": "lzf", "shuffle": True, "fletcher32": True},
        "fletcher": {"fletcher32": True},
    }.items():
        f.create_dataset(name, data=data, chunks=(25,), **kw)
    masked = f.create_dataset(
        "masked", shape=(20,), chunks=(10,), dtype="i4", compression="gzip", shuffle=True
    )
    masked.id.write_direct_chunk((0,), np.arange(10, dtype="i4").tobytes(), filter_mask=3)
    masked.id.write_direct_chunk((10,), zlib.compress(np.arange(10, dtype="i4").tobytes()), filter_mask=1)


def hdf5_layouts(f: h5py.File) -> None:
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    compact = h5py.h5d.create(f.id, b"compact", h5py.h5t.STD_I32BE, h5py.h5s.create_simple((4,)), plist)
    compact.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(4, dtype=">i4"))
    f.create_dataset("unwritten", shape=(9,), dtype="f8", fillvalue=np.nan)
    f.create_dataset("none", shape=(0,), maxshape=(None,), chunks=(4,), dtype="u2")
    f["type"] = np.dtype("<f4")
    f.create_dataset("of_type", data=np.arange(3, dtype="f4"), dtype=f["type"])


def hdf5_attributes(f: h5py.File) -> None:
    g = f.create_group("g")
    for name, value in {
        "i": np.int8(-3),
        "be": np.array([1, -2], dtype=">i4"),
        "f2": np.array([1.5, np.inf], dtype="f2"),
        "flag": np.bool_(True),
        "text": "csr_matrix",
        "order": np.array(["a", "bc", ""], dtype=object),
        "fixed": np.bytes_(b"abc"),
        "none": h5py.Empty("f4"),
        "compound": np.zeros(1, dtype=[("a", "i4")]),
        "ref": f.ref,
    }.items():
        g.attrs[name] = value
    for i in range(12):  # continuation blocks
        f.attrs[f"n{i}"] = i


def hdf5_links(f: h5py.File) -> None:
    for i in range(24):  # a group of several levels
        f[f"many/{i}"] = i
    g = f.create_group("a/b")
    g["data"] = np.arange(2)
    g["cycle"] = f["a"]
    f["soft"] = h5py.SoftLink("/a/b")
    f["loop"] = h5py.SoftLink("/loop")
    f["dangling"] = h5py.SoftLink("/nowhere")
    f["outside"] = h5py.ExternalLink("other.h5", "/x")


def hdf5_dense(f: h5py.File) -> None:
    """Links and attributes in heaps, some of them huge."""
    for i in range(12):
        f[f"link {i}"] = i
        f.attrs[f"attribute {i}"] = i
    f.attrs["huge"] = np.zeros(600)
    ordered = f.create_group("ordered", track_order=True)
    for i in range(10):
        ordered[f"{9 - i}"] = i
    for i in range(3):
        f["link 0"].attrs[f"{i}"] = "text"


def hdf5_arrays(f: h5py.File) -> None:
    """Fixed and extensible arrays, single and implicit chunks."""
    for gzip in (None, 4):
        kw: dict[str, Any] = {} if gzip is None else {"compression": "gzip", "compression_opts": gzip}
        f.create_dataset(f"fixed{gzip}", data=np.arange(12), chunks=(3,), **kw)
        f.create_dataset(f"rows{gzip}", data=np.arange(90, dtype="i2"), chunks=(1,), maxshape=(None,), **kw)
        f.create_dataset(f"single{gzip}", data=np.arange(12), chunks=(12,), **kw)
        f.create_dataset(f"second{gzip}", data=np.ones((4, 6), "u1"), chunks=(3, 2), maxshape=(4, None), **kw)
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_chunk((2, 2))
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    space = h5py.h5s.create_simple((5, 3), (6, 4))
    h5py.h5d.create(f.id, b"implicit", h5py.h5t.NATIVE_INT16, space, plist)


def hdf5_trees(f: h5py.File) -> None:
    """B-trees of version 2 over chunks."""
    for gzip in (None, "gzip"):
        f.create_dataset(
            f"x{gzip}", data=np.ones((12, 12), "u1"), chunks=(1, 1), maxshape=(None, None), compression=gzip
        )


# Name, number in pipeline.cc, parameters that decoding asks for, and how h5py writes it.
PLUGINS: list[tuple[str, int, list[int], Any]] = [
    ("lz4", 4, [], hdf5plugin.LZ4(nbytes=64)),
    ("zstd", 5, [], hdf5plugin.Zstd()),
    ("bitshuffle", 7, [0, 3, 4, 8], hdf5plugin.Bitshuffle(nelems=8, cname="none")),
    ("bitshuffle_lz4", 7, [0, 3, 4, 8, 2], hdf5plugin.Bitshuffle(nelems=8, cname="lz4")),
    ("bitshuffle_zstd", 7, [0, 3, 4, 8, 3], hdf5plugin.Bitshuffle(nelems=8, cname="zstd")),
    *(
        (f"blosc_{codec}_{shuffle}", 6, [], hdf5plugin.Blosc(cname=codec, shuffle=shuffle))
        for codec in ("blosclz", "lz4", "zlib", "zstd")
        for shuffle in (0, 1, 2)
    ),
]


def hdf5_plugins(f: h5py.File) -> None:
    for name, _, _, filters in PLUGINS:
        f.create_dataset(name, data=np.arange(200, dtype="i4") % 17, chunks=(150,), **filters)


NEWER = (hdf5_dense, hdf5_arrays, hdf5_trees, hdf5_plugins)
HDF5 = (hdf5_types, hdf5_strings, hdf5_chunks, hdf5_filters, hdf5_layouts, hdf5_attributes, hdf5_links)


def hdf5_seeds(folder: Path) -> None:
    for fill in HDF5:
        with small_file(folder / fill.__name__.removeprefix("hdf5_")) as f:
            fill(f)
    with small_file(folder / "superblock_0", chunk_k=None) as f:
        hdf5_chunks(f)
    with small_file(folder / "user_block", userblock=512) as f:
        hdf5_filters(f)
    with small_file(folder / "sizes_4", sizes=(4, 4)) as f:
        hdf5_chunks(f)
        hdf5_strings(f)
    # The structures of newer files, below the 24 KB of run.py's -max_len: v108 has the B-trees of old files, which
    # are larger.
    for libver in ("v108", "v110", "latest"):
        for fill in NEWER if libver != "v108" else (hdf5_dense,):
            with h5py.File(
                folder / f"{fill.__name__.removeprefix('hdf5_')}_{libver}", "w", libver=libver
            ) as f:
                fill(f)


# --- AnnData ---


def counts(n_obs: int, n_vars: int, dtype: str = "f4", seed: int = 1) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    dense = rng.poisson(0.4, (n_obs, n_vars)) * rng.integers(1, 90, (n_obs, n_vars))
    x = sp.csr_matrix(dense)
    x.data = x.data.astype(dtype)  # scipy converts no float16, but carries it
    return x


def write_csr(
    group: h5py.Group,
    x: sp.csr_matrix,
    *,
    index: str = "i4",
    indptr: str = "i8",
    chunks: int | None = 16,
    **filters: Any,
) -> None:
    group.attrs["encoding-type"] = "csr_matrix"
    group.attrs["encoding-version"] = "0.1.0"
    group.attrs["shape"] = np.array(x.shape, dtype="i8")
    for name, array in (
        ("data", x.data),
        ("indices", x.indices.astype(index)),
        ("indptr", x.indptr.astype(indptr)),
    ):
        layout = {} if chunks is None else {"chunks": (chunks,), "maxshape": (None,), **filters}
        group.create_dataset(name, data=array, **layout)


def write_table(f: h5py.File, name: str, table: pd.DataFrame) -> None:
    anndata.io.write_elem(f, name, table)


def obs_numbers(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "n": np.arange(n, dtype="i8") - 2,
            "small": np.arange(n, dtype="u1"),
            "score": np.linspace(0, 1, n),
            "score32": np.linspace(0, 1, n, dtype="f4"),
            "flag": np.arange(n) % 2 == 0,
        },
        index=[f"c{i}" for i in range(n)],
    )


def obs_categories(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "drug": pd.Categorical.from_codes(np.arange(n) % 4 - 1, categories=["z", "a", "m"]),
            "dose": pd.Categorical([0.5, 1.0][: min(2, n)] * (n // 2) + [0.5] * (n % 2), ordered=True),
            "batch": pd.Categorical(np.arange(n) % 2),
            "plate": [f"p{i % 3}" for i in range(n)],
        },
        index=[f"c{i}" for i in range(n)],
    )


def obs_nullable(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "i": pd.array([None if i % 3 == 0 else i for i in range(n)], dtype="Int32"),
            "b": pd.array([None if i % 4 == 0 else i % 2 == 0 for i in range(n)], dtype="boolean"),
            "s": pd.array([None if i % 5 == 0 else f"s{i}" for i in range(n)], dtype="string"),
        },
        index=[f"c{i}" for i in range(n)],
    )


def var_of(n: int) -> pd.DataFrame:
    return pd.DataFrame(index=[f"g{i}" for i in range(n)])


def root(f: h5py.File) -> None:
    f.attrs["encoding-type"] = "anndata"
    f.attrs["encoding-version"] = "0.1.0"


def h5ad(
    path: Path,
    x: sp.csr_matrix,
    obs: Callable[[int], pd.DataFrame] = obs_numbers,
    extra: Callable[[h5py.File], None] | None = None,
    file: dict[str, Any] | None = None,
    **layout: Any,
) -> None:
    with small_file(path, **(file or {})) as f:
        root(f)
        write_csr(f.create_group("X"), x, **layout)
        write_table(f, "obs", obs(x.shape[0]))
        write_table(f, "var", var_of(x.shape[1]))
        if extra:
            extra(f)


def raw_and_layers(f: h5py.File) -> None:
    write_csr(f.create_group("layers/counts"), counts(9, 7, "u2", seed=2))
    write_csr(f.create_group("raw/X"), counts(9, 12, seed=3), index="i8", indptr="i4", compression="gzip")
    write_table(f, "raw/var", var_of(12))


def legacy_categories(f: h5py.File) -> None:
    """obs as anndata 0.7 wrote it: codes with a reference to their categories."""
    del f["obs"]
    obs = f.create_group("obs")
    obs.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.1.0", "_index": "index"})
    obs.attrs["column-order"] = np.array(["drug", "n"], dtype=object)
    obs["index"] = np.array([f"c{i}" for i in range(9)], dtype=object)
    obs["n"] = np.arange(9)
    obs["drug"] = np.arange(9, dtype="i1") % 3 - 1
    obs["__categories/drug"] = np.array(["a", "b"], dtype=object)
    obs["drug"].attrs["categories"] = obs["__categories/drug"].ref


def anndata_seeds(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    h5ad(folder / "numbers.h5ad", counts(9, 7))
    h5ad(folder / "contiguous.h5ad", counts(8, 5, "f8"), obs_nullable, chunks=None)
    h5ad(
        folder / "categories.h5ad",
        counts(9, 7, "i4"),
        obs_categories,
        chunks=4,
        compression="gzip",
        shuffle=True,
    )
    h5ad(
        folder / "lzf.h5ad", counts(12, 7, "i2"), obs_nullable, compression="lzf", fletcher32=True, index="u2"
    )
    h5ad(folder / "matrices.h5ad", counts(9, 7), extra=raw_and_layers)
    h5ad(folder / "legacy.h5ad", counts(9, 7, "u1"), extra=legacy_categories, chunks=1)
    h5ad(
        folder / "user_block.h5ad", counts(6, 7), obs_categories, file={"userblock": 512}, compression="gzip"
    )
    h5ad(folder / "usual_nodes.h5ad", counts(40, 20), file={"chunk_k": None}, chunks=50, compression="gzip")
    h5ad(folder / "no_rows.h5ad", sp.csr_matrix((0, 5), dtype="f4"))
    h5ad(folder / "no_entries.h5ad", sp.csr_matrix((5, 3), dtype="f4"), obs_categories)

    def unsorted(f: h5py.File) -> None:  # duplicates, and columns that fall
        indices = f["X/indices"][:]
        f["X/indices"][:] = indices[::-1]
        f["X/indices"][:4] = 2

    h5ad(folder / "unsorted.h5ad", counts(9, 7, "f2"), extra=unsorted)

    def filled(f: h5py.File) -> None:  # data that was never written is the fill value
        n = f["X/data"].shape[0]
        del f["X/data"]
        f["X"].create_dataset("data", shape=(n,), chunks=(8,), dtype=">f4", fillvalue=3)[0:8] = 1

    h5ad(folder / "fill_value.h5ad", counts(9, 7), extra=filled)

    def wide(f: h5py.File) -> None:
        f["X"].attrs["shape"] = np.array([9, 70000], dtype="i8")
        del f["var"]
        var = f.create_group("var")
        var.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "i"})
        var.attrs["column-order"] = np.zeros(0, dtype="f8")
        var.create_dataset("i", shape=(70000,), chunks=(8192,), dtype="u2")
        var["i"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})

    h5ad(folder / "wide.h5ad", counts(9, 7), extra=wide)

    # The target meets checksums, so of newer files it damages the chunks.
    for number, (name, _, _, filters) in enumerate(PLUGINS):
        with h5py.File(folder / f"{name}.h5ad", "w", libver="latest") as f:
            root(f)
            write_csr(f.create_group("X"), counts(9, 7), chunks=24 + number, **filters)
            write_table(f, "obs", obs_numbers(9))
            write_table(f, "var", var_of(7))


# --- codecs and kernels ---


def parquet_seeds(folder: Path) -> None:
    """Lists, triplets and wide tables, in few rows and every codec and encoding."""
    folder.mkdir(parents=True, exist_ok=True)
    x = counts(30, 40).tocsr()
    rows = [x.getrow(i) for i in range(30)]
    lists = pa.table(
        {
            "genes": [[1] + [int(g) + 3 for g in r.indices] for r in rows],
            "expressions": pa.array(
                [[-2.0] + [float(v) for v in r.data] for r in rows], pa.list_(pa.float32())
            ),
            "drug": [f"d{i % 3}" for i in range(30)],
            "n": pa.array([None if i % 7 == 0 else i for i in range(30)], pa.int32()),
            "flag": [i % 2 == 0 for i in range(30)],
        }
    )
    coo = x.tocoo()
    triplets = pa.table({"row": coo.row.astype("i4"), "col": coo.col.astype("i8"), "data": coo.data})
    triplets = triplets.replace_schema_metadata({"array": '{"shape": [30, 40]}'})
    dense = x.toarray()
    wide = pa.table({f"G{i}": dense[:, i] for i in range(12)})
    for name, table in (("lists", lists), ("triplets", triplets), ("wide", wide)):
        for codec in ("none", "snappy", "gzip", "zstd", "lz4", "brotli"):
            pq.write_table(
                table,
                folder / f"{name}-{codec}.parquet",
                compression=codec,
                row_group_size=13 if name != "triplets" else 40,
            )
        pq.write_table(
            table,
            folder / f"{name}-v2.parquet",
            data_page_version="2.0",
            row_group_size=200,
            data_page_size=64,
        )
        pq.write_table(
            table, folder / f"{name}-plain.parquet", use_dictionary=False, write_page_checksum=True
        )
    pq.write_table(
        triplets,
        folder / "triplets-delta.parquet",
        use_dictionary=False,
        column_encoding={
            "row": "DELTA_BINARY_PACKED",
            "col": "DELTA_BINARY_PACKED",
            "data": "BYTE_STREAM_SPLIT",
        },
    )


def raw_seeds(folder: Path) -> None:
    rng = np.random.default_rng(5)
    small = (rng.poisson(0.5, 600) % 256).astype("u1").tobytes()
    floats = rng.poisson(1, 150).astype("f4").tobytes()
    noise = rng.integers(0, 256, 400, dtype="u1").tobytes()

    def put(target: str, name: str, data: bytes) -> None:
        path = folder / target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    queries = (
        "i > 1 and f < 100.5 or not flag",
        "1 < i <= 3 != u & ~flag | k == 2",
        "s in ['b1', 'b2', None] and m not in @l",
        "m.str.startswith('b1') or s.str.contains('9', regex=False, na=False)",
        "c < 'high' and c.isin(['low', 'mid'])",
        "(i + 2) * -3 // 2 % 7 == k ** 2 / @x",
        "nan.isnull() or m.notna() and `a name.with dots` > @n",
        "index in [0x10, 1_000] or s == @w",
        r"s == 'b\x31' or s > 'b\u0032'",
        "i in (1, 2.5, True) and u >= 18446744073709551615",
    )
    for i, text in enumerate(queries):
        put("query", f"expression{i}", text.encode())

    for name, data in {"small": small, "floats": floats, "noise": noise, "empty": b""}.items():
        size = struct.pack("<HH", len(data), len(data) // 2)
        for level in (0, 1, 9):
            put("deflate", f"{name}_{level}", size + b"\4" + zlib.compress(data, level))
        compressor = zlib.compressobj(9, zlib.DEFLATED, 9, 9, zlib.Z_FIXED)
        put("deflate", f"{name}_fixed", size + b"\4" + compressor.compress(data) + compressor.flush())
        put("deflate", f"{name}_head", struct.pack("<HH", len(data), 10) + b"\4" + zlib.compress(data))
        put("fletcher32", name, data)
        put("shuffle", name, b"\3\0" + data)
        put("shuffle", f"{name}_odd", b"\6\5" + data)
        put("lzf", name, struct.pack("<H", len(data)) + lzf_literals(data))
    put("lzf", "run", struct.pack("<H", 265) + b"\0a" + b"\xe0\xff\0")
    put("lzf", "references", struct.pack("<H", 20) + b"\3abcd" + b"\x20\3" + b"\x60\6")
    put("lzf", "before_the_start", struct.pack("<H", 10) + b"\x20\5")

    filters = {"deflate": b"\0\0", "shuffle": b"\1\1\4\0", "fletcher": b"\2\0", "lzf": b"\3\0"}
    for names in (
        ["deflate"],
        ["shuffle", "deflate"],
        ["shuffle", "lzf"],
        ["deflate", "fletcher"],
        ["shuffle", "deflate", "fletcher"],
        ["lzf", "deflate"],
        [],
    ):
        data = floats
        for name in names:
            if name == "deflate":
                data = zlib.compress(data)
            elif name == "shuffle":
                data = np.frombuffer(data, "u1").reshape(-1, 4).T.tobytes()
            elif name == "lzf":
                data = lzf_literals(data)
            else:
                data += struct.pack("<I", fletcher32(data))
        head = bytes([len(names)]) + b"".join(filters[n] for n in names) + b"\4\0\0"
        put("pipeline", "_".join(names) or "none", head + struct.pack("<HH", len(floats), 100) + data)
    for name, number, params, filters_of in PLUGINS:
        with h5py.File.in_memory() as f:
            x = f.create_dataset(
                "x", data=np.frombuffer(floats, "f4"), chunks=(len(floats) // 4,), **filters_of
            )
            data = x.id.read_direct_chunk((0,))[1]
        head = bytes([1, number, len(params)]) + struct.pack(f"<{len(params)}H", *params) + b"\4\0\0"
        put("pipeline", name, head + struct.pack("<HH", len(floats), 100) + data)

    ids = np.sort(rng.choice(2000, 40, replace=False))
    for kernel in range(16):
        for in_type, out_type, data in (
            (2, 10, ids.astype("i4").tobytes()),
            (10, 8, floats[:160]),
            (3, 4, ids.astype("i8").tobytes()),
            (11, 9, noise),
        ):
            head = struct.pack("<BBBBH", kernel, in_type, out_type, 11, 2000)
            put("kernels", f"{kernel}_{in_type}_{out_type}", head + data)

    # Decoders of Parquet pages: a run, packed groups and a run again, of every width that matters.
    def coded(width: int, groups: int) -> bytes:
        run = b"\x50" + b"\1".ljust((width + 7) // 8, b"\0") if width else b"\x50"
        return run + bytes([groups << 1 | 1]) + (noise * 4)[: groups * width] + run

    for width in (0, 1, 5, 8, 15, 16, 26, 32):
        body = coded(width, 30)
        put("encodings", f"unpack_{width}", struct.pack("<BBBHH", 0, width, 0, 300, 0) + noise)
        put("encodings", f"hybrid_{width}", struct.pack("<BBBHH", 1, width, 1, 320, 0) + body)
        for decoder in range(2, 6):
            head = struct.pack("<BBBHH", decoder, 0, 2, 320, min(1 << width, 60000))
            put("encodings", f"gather_{decoder}_{width}", head + bytes([width]) + body)
    rep = b"\3\xfe\x40\1" * 3
    for flags, max_def in ((0, 0), (1, 2)):
        for name, levels in (("full", b"\xf0\1" + bytes([max_def + 1])), ("mixed", b"\x1f" + noise[:60])):
            head = struct.pack("<BBBHH", 6, max_def, flags, 120, len(rep))
            put("encodings", f"levels_{flags}_{name}", head + rep + levels)
    # Like rows: 20 null, 20 empty, 20 of one element, 20 of one null.
    runs = b"\xa0\1\0" + b"".join(b"\x28" + bytes([level]) for level in (0, 1, 3, 2))
    put("encodings", "levels_runs", struct.pack("<BBBHH", 6, 2, 1, 80, 3) + runs)
    delta = b"\x80\1\4\x65\2\1\0\3\5\0" + noise[:40]
    for encoding, data in enumerate((noise, delta, noise, struct.pack("<I", 30) + coded(1, 20))):
        for kind in range(3):
            put(
                "encodings",
                f"numbers_{encoding}_{kind}",
                struct.pack("<BBBHH", 7, kind, encoding, 33, 0) + data,
            )
    lengths = b"\x80\1\4\x14\2\0\1\0\0\0" + noise[:4]
    strings = b"".join(struct.pack("<I", n) + noise[:n] for n in (3, 0, 7, 40))
    for encoding, data, n in (
        (0, strings, 4),
        (1, lengths + noise[:80], 20),
        (2, lengths * 2 + noise[:80], 20),
    ):
        put("encodings", f"strings_{encoding}", struct.pack("<BBBHH", 8, 0, encoding, n, 0) + data)


def lzf_literals(data: bytes) -> bytes:
    """LZF without any reference."""
    parts = [data[i : i + 32] for i in range(0, len(data), 32)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def fletcher32(data: bytes) -> int:
    first = second = 0
    for i in range(0, len(data), 2):
        first = (first + int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big")) % 65535
        second = (second + first) % 65535
    return second << 16 | first


def make_seeds(folder: Path) -> None:
    hdf5_seeds(folder / "hdf5")
    anndata_seeds(folder / "anndata")
    parquet_seeds(folder / "parquet")
    (folder / "compression").mkdir(parents=True, exist_ok=True)
    for codec, data in enumerate((b"abc" * 20, b"\x0c,hello hello", zlib.compress(b"abc" * 20))):
        (folder / "compression" / str(codec)).write_bytes(struct.pack("<BH", codec, 60) + data)
    raw_seeds(folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    make_seeds(Path(sys.argv[1]))
