"""Writes HDF5 files of every kind the reader supports, and of some it must refuse, with h5py.

    python make_fixtures.py FOLDER

FOLDER/expected.tsv then has one line per array or attribute: file, object path, attribute (or empty), status,
shape ("3x4", "scalar"), type (numpy's code, "str"), zlib CRC-32 of the little-endian values in C order (of
strings: each one followed by NUL). Deterministic.
"""

import ctypes
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np
from h5py import h5d, h5p, h5s, h5t

folder = Path(sys.argv[1])
rows = []


def code(dtype):
    if dtype.kind == "b":
        return "|b1"
    return dtype.newbyteorder("<").str


def expect(file, path, value=None, attribute="", status="ok"):
    if status != "ok":
        rows.append((file, path, attribute, status, "", "", ""))
        return
    if isinstance(value, h5py.Empty):
        rows.append((file, path, attribute, status, "0", code(value.dtype), f"{zlib.crc32(b''):08x}"))
        return
    value = np.asarray(value)
    shape = "x".join(map(str, value.shape)) or "scalar"
    if value.dtype.kind in "OSU":
        text = b"".join((v if isinstance(v, bytes) else v.encode()) + b"\0" for v in value.ravel().tolist())
        rows.append((file, path, attribute, status, shape, "str", f"{zlib.crc32(text):08x}"))
    else:
        little = np.ascontiguousarray(value.astype(value.dtype.newbyteorder("<")))
        rows.append(
            (file, path, attribute, status, shape, code(value.dtype), f"{zlib.crc32(little.tobytes()):08x}")
        )


def expect_all(name):
    """Every dataset h5py can read, as it reads it."""
    with h5py.File(folder / name) as f:

        def visit(path, obj):
            if not isinstance(obj, h5py.Dataset):
                return
            if h5py.check_string_dtype(obj.dtype):
                expect(
                    name,
                    path,
                    obj.asstr(errors="surrogateescape")[()] if obj.shape is not None else h5py.Empty("S1"),
                )
            elif obj.dtype.kind in "iufb":
                expect(name, path, obj[()])

        f.visititems(visit)


rng = np.random.default_rng(1)


def libhdf5():
    """What h5py does not wrap, from the library that it has loaded."""
    with open("/proc/self/maps") as maps:
        loaded = [line.split()[-1] for line in maps if "/libhdf5-" in line or "/libhdf5.so" in line]
    return ctypes.CDLL(loaded[0])


def types():
    name = "types.h5"
    with h5py.File(folder / name, "w") as f:
        for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"):
            for order in "<>":
                data = (
                    rng.integers(0, 100, 50).astype(order + kind)
                    if kind[0] != "f"
                    else rng.normal(size=50).astype(order + kind)
                )
                f.create_dataset(f"plain_{'be' if order == '>' else 'le'}_{kind}", data=data)
                f.create_dataset(
                    f"gzip_{'be' if order == '>' else 'le'}_{kind}",
                    data=data,
                    chunks=(7,),
                    compression="gzip",
                    shuffle=True,
                )
        f["bool"] = np.array([True, False, True])
        f["scalar_f8"] = 2.5
        f["scalar_str"] = "hello wörld"
        f["vlen"] = np.array(["a", "", "ünï", "x" * 5000, "tail"] * 40, dtype=object)
        f.create_dataset(
            "vlen_gzip",
            data=np.array([f"cell {i}" for i in range(5000)], dtype=object),
            chunks=(512,),
            compression="gzip",
            dtype=h5py.string_dtype(),
        )
        f.create_dataset("vlen_missing", shape=(9,), chunks=(4,), dtype=h5py.string_dtype())
        f["fixed"] = np.array([b"ab", b"abcd", b""], dtype="S4")
        f["matrix_str"] = np.array([["a", "bb"], ["ccc", ""]], dtype=object)
        tid = h5t.C_S1.copy()
        tid.set_size(6)
        tid.set_strpad(h5t.STR_SPACEPAD)
        d = h5d.create(f.id, b"space_padded", tid, h5s.create_simple((2,)))
        d.write(h5s.ALL, h5s.ALL, np.array([b"ab    ", b"abcdef"], dtype="S6"), mtype=tid)
        f["empty"] = h5py.Empty("f4")
        f["enum"] = np.array([3, 4, 3], dtype=h5py.enum_dtype({"three": 3, "four": 4}, basetype="i2"))
        f["committed_type"] = np.dtype("<f4")
        f.create_dataset("of_committed", data=np.arange(5, dtype="f4"), dtype=f["committed_type"])
        f["compound"] = np.zeros(3, dtype=[("a", "i4"), ("b", "f8")])
        f["array_type"] = np.zeros(3, dtype=[("a", "i4", (3,))])["a"]
        f.create_dataset("array_members", shape=(2,), dtype=np.dtype(("f4", (3,))))
        f["opaque"] = np.array([b"12"], dtype="V2")
        f.create_dataset("sequence", shape=(2,), dtype=h5py.vlen_dtype("i4"))
    expect_all(name)
    for path in ("array_members", "opaque", "sequence"):
        expect(name, path, status="unsupported")
    expect(name, "committed_type", status="unsupported")
    # Fixed strings and enums as Penstock hands them out.
    rows[:] = [r for r in rows if r[1] not in ("space_padded", "empty", "enum", "matrix_str", "compound")]
    expect(name, "space_padded", np.array(["ab", "abcdef"], dtype=object))
    expect(name, "matrix_str", np.array([["a", "bb"], ["ccc", ""]], dtype=object))
    expect(name, "empty", h5py.Empty("f4"))
    expect(name, "enum", np.array([3, 4, 3], dtype="i2"))


def layouts():
    name = "layouts.h5"
    with h5py.File(folder / name, "w") as f:
        plist = h5p.create(h5p.DATASET_CREATE)
        plist.set_layout(h5d.COMPACT)
        data = np.arange(20, dtype=">i4").reshape(4, 5)
        h5d.create(f.id, b"compact", h5t.py_create(data.dtype), h5s.create_simple(data.shape), plist).write(
            h5s.ALL, h5s.ALL, data
        )
        f.create_dataset("never_written", shape=(10,), dtype="f4", fillvalue=np.nan)
        f.create_dataset(
            "chunked_never_written", shape=(1000, 1000), chunks=(10, 10), dtype=">f8", fillvalue=1.5
        )
        f.create_dataset("zero", shape=(0,), maxshape=(None,), chunks=(1024,), dtype="f4")
        f.create_dataset("zero_2d", shape=(0, 7), maxshape=(None, 7), chunks=(4, 3), dtype="f4")
        for compression in (None, "gzip", "lzf"):
            for shuffle in (False, True):
                for fletcher in (False, True):
                    label = f"{compression}_{'s' if shuffle else ''}{'f' if fletcher else ''}"
                    kw = {"compression": compression, "shuffle": shuffle, "fletcher32": fletcher}
                    f.create_dataset(
                        "one_" + label, data=rng.poisson(1, 10007).astype("i4"), chunks=(1000,), **kw
                    )
                    f.create_dataset(
                        "random_" + label,
                        data=rng.integers(0, 256, 5000, dtype="u1").view("u2"),
                        chunks=(700,),
                        **kw,
                    )
                    f.create_dataset(
                        "three_" + label,
                        data=rng.poisson(1, (13, 17, 9)).astype("f4"),
                        chunks=(4, 5, 9),
                        **kw,
                    )
        d = f.create_dataset(
            "holes", shape=(1000,), chunks=(64,), dtype="f8", fillvalue=-7, compression="gzip"
        )
        d[100:130] = 1
        d[700:] = 2
        d = f.create_dataset(
            "holes_2d", shape=(33, 41), chunks=(10, 7), dtype=">i2", fillvalue=258, maxshape=(None, None)
        )
        d[5:7, 20:22] = 3
        d = f.create_dataset(
            "shrunk", shape=(1000,), chunks=(64,), dtype="i4", maxshape=(None,), data=np.arange(1000)
        )
        d.resize((300,))
        d.resize((500,))
        f.create_dataset(
            "chunk_above_extent",
            data=np.arange(10, dtype="i4"),
            chunks=(16384,),
            maxshape=(None,),
            compression="gzip",
            shuffle=True,
        )
        d = f.create_dataset(
            "masked", shape=(40,), chunks=(10,), dtype="i4", compression="gzip", shuffle=True
        )
        d[:] = np.arange(40)
        d.id.write_direct_chunk((10,), np.arange(100, 110, dtype="i4").tobytes(), filter_mask=3)
        raw = np.arange(200, 210, dtype="i4").tobytes()
        d.id.write_direct_chunk((20,), zlib.compress(raw), filter_mask=1)
        shuffled = np.frombuffer(raw, "u1").reshape(10, 4).T.tobytes()
        d.id.write_direct_chunk((30,), shuffled, filter_mask=2)
        d = f.create_dataset("out_of_order", shape=(3000,), chunks=(1,), dtype="i4")
        for i in rng.permutation(3000):
            d.id.write_direct_chunk((i,), np.int32(i * 7).tobytes())
        d = f.create_dataset("out_of_order_2d", shape=(60, 50), chunks=(1, 1), dtype="i2")
        for i in rng.permutation(3000):
            d.id.write_direct_chunk((i // 50, i % 50), np.int16(i).tobytes())
        d = f.create_dataset("shrunk_tree", shape=(90, 90), maxshape=(None, None), chunks=(1, 2), dtype="i2")
        for i in rng.permutation(90 * 45):
            d.id.write_direct_chunk((i // 45, i % 45 * 2), np.array([i, i + 1], dtype="i2").tobytes())
        d.resize((40, 90))
        d.resize((95, 33))
        d[60:70, 3:20] = 5
        d = f.create_dataset(
            "emptied_tree", shape=(2000,), maxshape=(None,), chunks=(1,), dtype="i2", data=np.arange(2000)
        )
        d.resize((0,))
        d.resize((500,))
        d[300:400] = 1
        d = f.create_dataset("shifted_tree", shape=(2000,), maxshape=(None,), chunks=(1,), dtype="i2")
        for i in range(1999, 500, -1):
            d[i] = i
    expect_all(name)


def three_levels():
    name = "three_levels.h5"
    with h5py.File(folder / name, "w") as f:
        d = f.create_dataset("data", shape=(131071 * 8,), chunks=(8,), dtype="f4", compression="gzip")
        data = np.arange(131071 * 8, dtype="f4")
        for i in range(131071):
            d.id.write_direct_chunk((i * 8,), zlib.compress(data[i * 8 : i * 8 + 8].tobytes()))
    with h5py.File(folder / name) as f:
        expect(name, "data", data)


def many_columns():
    name = "many_columns.h5"
    with h5py.File(folder / name, "w") as f:
        g = f.create_group("obs")
        for i in range(3000):
            g.create_dataset(f"column_{i}", data=np.arange(i, i + 3, dtype="i4"))
            g[f"column_{i}"].attrs["encoding-type"] = "array"
    with h5py.File(folder / name) as f:
        for i in range(0, 3000, 37):
            expect(name, f"obs/column_{i}", f[f"obs/column_{i}"][()])


def links():
    name = "links.h5"
    with h5py.File(folder / name, "w") as f:
        g = f.create_group("a/b/c")
        g["data"] = np.arange(4, dtype="i2")
        g["cycle"] = f["a"]
        f["soft"] = h5py.SoftLink("/a/b")
        g["relative"] = h5py.SoftLink("./data")
        f["soft_to_soft"] = h5py.SoftLink("soft/c/relative")
        f["loop"] = h5py.SoftLink("/loop2")
        f["loop2"] = h5py.SoftLink("/loop")
        f["dangling"] = h5py.SoftLink("/nowhere")
        new = f.create_group("external")
        new["link"] = h5py.ExternalLink("other.h5", "/x")
        new["data"] = np.arange(3, dtype="i8")
        new["soft"] = h5py.SoftLink("/a/b/c/data")
    data = np.arange(4, dtype="i2")
    for path in (
        "a/b/c/data",
        "a/b/c/cycle/b/c/data",
        "soft/c/data",
        "a/b/c/relative",
        "soft_to_soft",
        "/soft//c/./data",
    ):
        expect(name, path, data)
    expect(name, "loop", status="corrupt")
    expect(name, "dangling", status="not_found")
    expect(name, "a/b/x", status="not_found")
    expect(name, "a/b/c/data/x", status="not_found")
    expect(name, "external/link", status="unsupported")
    expect(name, "external/data", np.arange(3, dtype="i8"))
    expect(name, "external/soft", data)


def attributes():
    name = "attributes.h5"
    with h5py.File(folder / name, "w") as f:
        g = f.create_group("g")
        values = {
            "i1": np.int8(-3),
            "u8": np.uint64(2**63 + 5),
            "be": np.array([1, -2], dtype=">i4"),
            "f2": np.array([1.5, -0.25, np.inf, 6e-8], dtype="f2"),
            "f4": np.float32(0.1),
            "f8be": np.array([[1.0, 2.0]], dtype=">f8"),
            "flag": np.bool_(True),
            "text": "csr_matrix",
            "empty_text": "",
            "order": np.array(["louvain", "n_genes", "ünï"], dtype=object),
            "fixed": np.bytes_(b"abc"),
            "none": h5py.Empty("f4"),
            "zero": np.zeros(0, dtype="f8"),
            "big": rng.integers(0, 100, 7500),
            "shape": np.array([3, 4]),
        }
        for key, value in values.items():
            g.attrs[key] = value
        f["t"] = np.dtype("<i4")
        g.attrs.create("committed", np.arange(3, dtype="i4"), dtype=f["t"])
        for i in range(200):
            g.attrs[f"n{i:03}"] = i
        f["target"] = np.arange(6, dtype="u2")
        g.attrs["reference"] = f["target"].ref
        g.attrs["compound"] = np.zeros(2, dtype=[("a", "i4")])
    for key, value in values.items():
        expect(name, "g", value, key)
    expect(name, "g", np.arange(3, dtype="i4"), "committed")
    for i in range(0, 200, 13):
        expect(name, "g", np.int64(i), f"n{i:03}")
    expect(name, "g", np.arange(6, dtype="u2"), "reference")
    expect(name, "g", attribute="compound", status="unsupported")
    expect(name, "g", attribute="absent", status="absent")


def small_copy(f):
    f.create_dataset("x/data", data=np.arange(100, dtype="f4"), chunks=(9,), compression="gzip")
    f["x"].attrs["shape"] = np.array([10, 10])
    f["x/strings"] = np.array(["a", "bc"] * 20, dtype=object)


def containers():
    def plist(**kw):
        p = h5p.create(h5p.FILE_CREATE)
        for method, args in kw.items():
            if hasattr(p, method):
                getattr(p, method)(*args)
            elif getattr(libhdf5(), "H5P" + method)(ctypes.c_int64(p.id), *map(ctypes.c_uint, args)) < 0:
                raise RuntimeError(method)
        return p

    made = {
        "userblock.h5": plist(set_userblock=(1024,)),
        "sizes_4_4.h5": plist(set_sizes=(4, 4)),
        "sizes_4_8.h5": plist(set_sizes=(4, 8)),
        "large_k.h5": plist(set_istore_k=(5000,)),
        "sizes_8_4.h5": plist(set_sizes=(8, 4)),
        "sym_k.h5": plist(set_sym_k=(2, 1)),
        "superblock_1.h5": plist(set_istore_k=(3,)),
    }
    for name, p in made.items():
        access = h5p.create(h5p.FILE_ACCESS)
        access.set_libver_bounds(h5py.h5f.LIBVER_EARLIEST, h5py.h5f.LIBVER_LATEST)
        with h5py.File(
            h5py.h5f.create(str(folder / name).encode(), h5py.h5f.ACC_TRUNC, fcpl=p, fapl=access)
        ) as f:
            small_copy(f)
            f.create_dataset("many_chunks", data=np.arange(3000, dtype="u2"), chunks=(1,))
            for i in range(50):
                f[f"many/{i}"] = i
        expect_all(name)
        expect(name, "x", np.array([10, 10]), "shape")
    # Bytes put before a finished file.
    name = "prepended.h5"
    (folder / name).write_bytes(b"#" * 512 + (folder / "sym_k.h5").read_bytes())
    rows.extend((name, *r[1:]) for r in list(rows) if r[0] == "sym_k.h5")


LIBVERS = ("v108", "v110", "v112", "latest")


def generations():
    """The same content as newer libraries write it; names of attributes and links beyond what a header holds."""
    for libver in LIBVERS:
        name = f"{libver}.h5"
        with h5py.File(folder / name, "w", libver=(libver, libver)) as f:
            small_copy(f)
            g = f.create_group("many")
            for i in range(300):
                g[f"child {i}"] = np.arange(i % 5, dtype="i2")
            g["soft"] = h5py.SoftLink("/x/data")
            g["external"] = h5py.ExternalLink("other.h5", "/x")
            for i in range(40):
                g.attrs[f"attribute {i}"] = i
            g.attrs["strings"] = np.array([f"column {i}" for i in range(3000)], dtype=object)
            g.attrs["bytes"] = np.arange(60000) % 100
            few = f.create_group("few")
            for i in range(3):
                few[f"child {i}"] = i
                few.attrs[f"attribute {i}"] = str(i)
            few.attrs["target"] = f["x/data"].ref
            ordered = f.create_group("ordered", track_order=True)
            for i in range(20):
                ordered[f"child {19 - i:02}"] = i
                ordered.attrs[f"attribute {i}"] = i
        expect_all(name)
        expect(name, "x", np.array([10, 10]), "shape")
        for i in range(40):
            expect(name, "many", np.int64(i), f"attribute {i}")
        expect(name, "many", np.array([f"column {i}" for i in range(3000)], dtype=object), "strings")
        expect(name, "many", np.arange(60000) % 100, "bytes")
        expect(name, "many", attribute="absent", status="absent")
        expect(name, "many/absent", status="not_found")
        expect(name, "many/soft", np.arange(100, dtype="f4"))
        expect(name, "many/external", status="unsupported")
        expect(name, "few", "2", "attribute 2")
        expect(name, "few", np.arange(100, dtype="f4"), "target")
        expect(name, "ordered", np.int64(17), "attribute 17")
    name = "track_order.h5"
    with h5py.File(folder / name, "w") as f:
        f["old"] = 1
        g = f.create_group("new", track_order=True)
        g["x"] = 1
    expect(name, "new/x", np.int64(1))
    expect(name, "old", np.int64(1))


def indexes():
    """Every chunk index of layouts 4 and 5: single, implicit, fixed and extensible arrays, B-tree 2."""
    for libver in ("v110", "latest"):
        name = f"indexes_{libver}.h5"
        with h5py.File(folder / name, "w", libver=(libver, libver)) as f:
            for gzip in (None, "gzip"):
                kw = {"compression": gzip, "shuffle": gzip is not None}
                for kind in ("i4", ">f8", "u1"):
                    grid = rng.poisson(2, (60, 50)).astype(kind)
                    for label, maxshape in {
                        "fixed": (60, 50),
                        "fixed_grows": (100, 200),
                        "rows": (None, 50),
                        "columns": (60, None),
                        "columns_grow": (100, None),
                        "both": (None, None),
                    }.items():
                        f.create_dataset(
                            f"{label}_{gzip}_{kind}", data=grid, chunks=(7, 9), maxshape=maxshape, **kw
                        )
                    f.create_dataset(f"single_{gzip}_{kind}", data=grid, chunks=(60, 50), **kw)
                    f.create_dataset(
                        f"larger_{gzip}_{kind}", data=grid[:30], chunks=(64, 64), maxshape=(None, 64), **kw
                    )
                f.create_dataset(f"paged_{gzip}", data=np.arange(5001) % 251, chunks=(1,), **kw)
                # Data blocks of extensible arrays have pages from chunk 131,060 on.
                d = f.create_dataset(
                    f"long_{gzip}", (400000,), "u1", chunks=(2,), maxshape=(None,), fillvalue=3, **kw
                )
                d[0:2000] = np.arange(2000) % 100
                d[258000:266000] = 7
                d[390000:391000] = 8
                d = f.create_dataset(f"holes_{gzip}", (3000,), "i2", chunks=(1,), fillvalue=-3, **kw)
                d[1500:1600] = 1
                d = f.create_dataset(
                    f"tree_{gzip}", (90, 90), "i2", chunks=(1, 1), maxshape=(None, None), **kw
                )
                d[:] = np.arange(8100).reshape(90, 90)
                d.resize((70, 80))
                d = f.create_dataset(
                    f"cube_{gzip}", (5, 6, 7), "i2", chunks=(2, 2, 3), maxshape=(5, None, 7), **kw
                )
                d[:] = np.arange(210).reshape(5, 6, 7)
                f.create_dataset(f"empty_{gzip}", (0, 5), "f4", chunks=(4, 5), maxshape=(None, 5), **kw)
                f.create_dataset(f"unwritten_{gzip}", (50, 5), "f4", chunks=(4, 5), fillvalue=2.5, **kw)
                # Chunks at the edge that no filter touched.
                plist = h5p.create(h5p.DATASET_CREATE)
                plist.set_chunk((7, 9))
                if gzip:
                    plist.set_shuffle()
                    plist.set_deflate(4)
                if libhdf5().H5Pset_chunk_opts(ctypes.c_int64(plist.id), ctypes.c_uint(2)) < 0:
                    raise RuntimeError("H5Pset_chunk_opts")
                grid = rng.poisson(2, (60, 50)).astype("i4")
                for label, most in {"edges": (60, 50), "edges_both": (h5s.UNLIMITED, h5s.UNLIMITED)}.items():
                    space = h5s.create_simple((60, 50), most)
                    h5d.create(f.id, f"{label}_{gzip}".encode(), h5t.NATIVE_INT32, space, plist).write(
                        h5s.ALL, h5s.ALL, grid
                    )
            for label, shape, most in (
                ("implicit", (60, 50), (60, 50)),
                ("implicit_grows", (60, 50), (90, 70)),
            ):
                plist = h5p.create(h5p.DATASET_CREATE)
                plist.set_chunk((7, 9))
                plist.set_alloc_time(h5d.ALLOC_TIME_EARLY)
                space = h5s.create_simple(shape, most)
                d = h5d.create(f.id, label.encode(), h5t.NATIVE_INT32, space, plist)
                d.write(h5s.ALL, h5s.ALL, np.arange(3000, dtype="i4").reshape(60, 50))
            d = f.create_dataset("masked", (40,), "i4", chunks=(10,), compression="gzip", shuffle=True)
            d[:] = np.arange(40)
            d.id.write_direct_chunk((10,), np.arange(100, 110, dtype="i4").tobytes(), filter_mask=3)
        expect_all(name)


def plugin_filters():
    """lz4, zstd, blosc and bitshuffle, where the plugins are installed."""
    try:
        import hdf5plugin as plugin
    except ImportError:
        return
    kinds = {
        "lz4": plugin.LZ4(),
        "lz4_blocks": plugin.LZ4(nbytes=1000),
        "zstd": plugin.Zstd(),
        "zstd_11": plugin.Zstd(clevel=11),
        "bitshuffle_none": plugin.Bitshuffle(cname="none"),
        "bitshuffle_lz4": plugin.Bitshuffle(cname="lz4"),
        "bitshuffle_zstd": plugin.Bitshuffle(cname="zstd"),
        "bitshuffle_blocks": plugin.Bitshuffle(nelems=64, cname="lz4"),
    }
    for cname in ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"):
        for shuffle in (plugin.Blosc.NOSHUFFLE, plugin.Blosc.SHUFFLE, plugin.Blosc.BITSHUFFLE):
            try:
                kinds[f"blosc_{cname}_{shuffle}"] = plugin.Blosc(cname=cname, clevel=5, shuffle=shuffle)
            except ValueError:  # built without that codec
                continue
    for libver in ("earliest", "latest"):
        name = f"filters_{libver}.h5"
        with h5py.File(folder / name, "w", libver=libver) as f:
            for label, filters in kinds.items():
                if libver == "latest" and label not in ("lz4", "zstd", "bitshuffle_lz4", "blosc_zstd_1"):
                    continue
                for kind in ("i4", "f8", "u1", ">i2", "f4"):
                    f.create_dataset(
                        f"{label}_{kind}",
                        data=rng.poisson(1, 40_003).astype(kind),
                        chunks=(10_001,),
                        **filters,
                    )
                f.create_dataset(
                    f"{label}_noise", data=rng.integers(0, 256, 20_000, "u1"), chunks=(7777,), **filters
                )
                f.create_dataset(f"{label}_run", data=np.full(300_000, 3, "i8"), chunks=(300_000,), **filters)
                f.create_dataset(
                    f"{label}_ramp", data=np.arange(40_000, dtype="i8"), chunks=(9999,), **filters
                )
                f.create_dataset(
                    f"{label}_grid", data=rng.poisson(1, (37, 51)).astype("f4"), chunks=(10, 20), **filters
                )
                f.create_dataset(f"{label}_tiny", data=np.arange(5, dtype="i4"), chunks=(3,), **filters)
                f.create_dataset(
                    f"{label}_shuffle",
                    data=np.arange(9000, dtype="i4"),
                    chunks=(1000,),
                    shuffle=True,
                    fletcher32=True,
                    **filters,
                )
        expect_all(name)
    name = "blosc2.h5"
    with h5py.File(folder / name, "w") as f:
        f.create_dataset("x", data=np.arange(100), chunks=(10,), **plugin.Blosc2())
    expect(name, "x", status="unsupported")


def refused():
    name = "external_storage.h5"
    with h5py.File(folder / name, "w") as f:
        f.create_dataset("x", shape=(10,), dtype="i1", external=[("raw.bin", 0, 10)])
    expect(name, "x", status="unsupported")
    name = "virtual.h5"
    with h5py.File(folder / name, "w", libver="latest") as f:
        layout = h5py.VirtualLayout(shape=(4, 10), dtype="i4")
        layout[0] = h5py.VirtualSource("other.h5", "data", shape=(10,))
        f.create_virtual_dataset("x", layout)
    expect(name, "x", status="unsupported")
    name = "szip.h5"
    with h5py.File(folder / name, "w") as f:
        f.create_dataset("x", data=np.arange(100, dtype="i4"), chunks=(10,), scaleoffset=0)
    expect(name, "x", status="unsupported")


for make in (
    types,
    layouts,
    three_levels,
    many_columns,
    links,
    attributes,
    containers,
    generations,
    indexes,
    plugin_filters,
    refused,
):
    make()
with open(folder / "expected.tsv", "w") as out:
    out.write("file\tpath\tattribute\tstatus\tshape\ttype\tcrc\n")
    for row in rows:
        out.write("\t".join(row) + "\n")
