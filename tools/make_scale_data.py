#!/usr/bin/env python3
"""Writes .h5ad files that are large in metadata and small on disk: Tahoe-shaped cells, the same few again and again.

    python tools/make_scale_data.py --cells 20000000                    # 1 file, ~0.3 GB on disk, "39 GB" long
    python tools/make_scale_data.py --cells 20000000 --files 14 --indptr contiguous

The chunks of a pool of real cells (sampled as by make_demo_data, gzip level 4, 17,078 elements a chunk) are stored
once. The chunk index of X names each of them many times over, so that decoding is real, all that is read stays in
the page cache, and row offsets, chunk index and labels are as long as those of a file of that many cells. The pool
ends where a chunk and a row end, so each cell is whole. h5py writes everything but the index: the B-tree nodes
(HDF5 spec III.A.1) are written here and the layout message is pointed at them. The file is as long as its chunks
would be if each were stored (a hole at its end), because readers refuse chunks that have more bytes than the file.

--indptr says how row offsets are stored: "h5py" (the chunks that h5py chooses), "contiguous", or elements a chunk.
The same arguments give the same files; what is there is not made again.
"""

from __future__ import annotations

import argparse
import os
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
import make_demo_data

CHUNK = 17_078  # elements: 12 cells
POOL_CHUNKS = 1_512  # over all files: about 18,500 cells
GENES = 62_710
NODE_CHUNKS = 64  # children of a B-tree node: 2K of the default superblock


@dataclass(frozen=True)
class Spec:
    cells: int
    files: int = 1
    indptr: str = "h5py"

    def name(self) -> str:
        return f"scale-{self.cells}-{self.files}files-indptr-{self.indptr}"

    def cells_of(self, file: int) -> int:
        return self.cells // self.files + (file < self.cells % self.files)


@dataclass
class Pool:
    """Cells whose entries fill whole chunks."""

    lengths: np.ndarray  # entries of each cell
    chunks: dict[str, list[bytes]]  # stored, by array


def make_pool(chunks: int, seed: int) -> Pool:
    spec = make_demo_data.Spec(files=1, genes=GENES, seed=seed)
    kinds = make_demo_data.Kinds(spec, 0)
    rng = np.random.default_rng([seed, 7])
    wanted = chunks * CHUNK
    lengths, genes, counts = [], [], []
    while sum(map(len, genes)) < wanted:
        lines = rng.integers(0, make_demo_data.N_LINES, size=512)
        a, b, c = make_demo_data.sample_cells(rng, kinds, kinds.of(lines, np.zeros(512, np.int64)))
        lengths.append(a)
        genes.append(b)
        counts.append(c)
    # The last cell ends with the pool: what is left of it is a cell with fewer genes.
    ends = np.minimum(np.cumsum(np.concatenate(lengths)), wanted)
    length = np.diff(ends, prepend=0)
    arrays = {"data": np.concatenate(counts), "indices": np.concatenate(genes)}
    return Pool(
        length[length > 0],
        {
            name: [zlib.compress(array[i : i + CHUNK].tobytes(), 4) for i in range(0, wanted, CHUNK)]
            for name, array in arrays.items()
        },
    )


def chunk_tree(offsets: np.ndarray, sizes: np.ndarray, at: int) -> tuple[list[np.ndarray], int]:
    """The nodes of a B-tree over chunks of a 1-d array, level by level, to be written at `at`; the root's address."""
    key = [("stored", "<u4"), ("mask", "<u4"), ("first", "<u8"), ("within", "<u8")]
    head = [
        ("tree", "S4"),
        ("type", "u1"),
        ("level", "u1"),
        ("used", "<u2"),
        ("left", "<u8"),
        ("right", "<u8"),
    ]
    node = np.dtype([*head, ("entries", [*key, ("child", "<u8")], NODE_CHUNKS), ("end", key)])
    none = np.uint64(2**64 - 1)
    first = np.arange(len(offsets), dtype=np.uint64) * np.uint64(CHUNK)
    limit = np.uint64(len(offsets) * CHUNK)
    levels: list[np.ndarray] = []
    children, stored = offsets.astype(np.uint64), sizes
    while True:
        n = -(-len(children) // NODE_CHUNKS)
        nodes = np.zeros(n, node)
        nodes["tree"], nodes["type"], nodes["level"] = b"TREE", 1, len(levels)
        nodes["used"] = NODE_CHUNKS
        nodes["used"][-1] = len(children) - (n - 1) * NODE_CHUNKS
        addresses = np.uint64(at) + np.arange(n, dtype=np.uint64) * np.uint64(node.itemsize)
        nodes["left"] = np.concatenate(([none], addresses[:-1]))
        nodes["right"] = np.concatenate((addresses[1:], [none]))
        flat = np.zeros(n * NODE_CHUNKS, nodes["entries"].dtype)
        flat["stored"][: len(children)] = stored
        flat["first"][: len(children)] = first
        flat["child"][: len(children)] = children
        flat["first"][len(children) :] = limit  # the key behind the last child
        nodes["entries"] = flat.reshape(n, NODE_CHUNKS)
        firsts = first[::NODE_CHUNKS]
        nodes["end"]["first"] = np.concatenate((firsts[1:], [limit]))
        levels.append(nodes)
        at += nodes.nbytes
        if n == 1:
            return levels, int(addresses[0])
        children, stored, first = addresses, stored[::NODE_CHUNKS], firsts


def layout_address(file: Any, header: int) -> int:
    """Where the layout message (version 3, chunked) of an object header of version 1 has the B-tree's address."""
    file.seek(header)
    head = file.read(16)
    if head[0] != 1:
        raise ValueError(f"an object header of version {head[0]}")
    blocks = [(header + 16, int.from_bytes(head[8:12], "little"))]
    for begin, size in blocks:
        file.seek(begin)
        block = file.read(size)
        at = 0
        while at + 8 <= size:
            kind, length = (int.from_bytes(block[at + i : at + i + 2], "little") for i in (0, 2))
            body = block[at + 8 : at + 8 + length]
            if kind == 0x10:  # continuation
                blocks.append((int.from_bytes(body[:8], "little"), int.from_bytes(body[8:16], "little")))
            if kind == 0x08:
                if body[:3] != bytes([3, 2, 2]):
                    raise ValueError(f"a layout message that begins with {body[:3].hex()}")
                return begin + at + 8 + 3
            at += 8 + length
    raise ValueError("an object without a layout message")


def point_at_pool(
    path: Path, headers: dict[str, int], pooled: dict[str, tuple[Any, Any]], chunks: int
) -> None:
    """Gives data and indices a chunk index of that many chunks, over those that are stored."""
    longest = 0
    with open(path, "r+b") as file:
        for name, (offsets, sizes) in pooled.items():
            which = np.arange(chunks) % len(offsets)
            file.seek(0, os.SEEK_END)
            end = file.tell()
            at = (end + 7) // 8 * 8
            file.write(bytes(at - end))
            levels, root = chunk_tree(offsets[which], sizes[which], at)
            for nodes in levels:
                file.write(nodes.tobytes())
            place = layout_address(file, headers[name])
            file.seek(place)
            file.write(root.to_bytes(8, "little"))
            longest = max(longest, int(sizes[which].sum()))
        file.seek(0, os.SEEK_END)
        end = max(file.tell(), longest)
        file.truncate(end)
        file.seek(0)
        if file.read(9)[8] != 0:
            raise ValueError("a superblock of another version than 0")
        file.seek(40)  # end of file
        file.write(end.to_bytes(8, "little"))


def write_file(path: Path, rows: int, pool: Pool, indptr: str, seed: int) -> None:
    def encode(item: Any, kind: str, version: str = "0.2.0", **attributes: Any) -> Any:
        item.attrs.update({"encoding-type": kind, "encoding-version": version, **attributes})
        return item

    lengths = np.resize(pool.lengths, rows)
    offsets = np.zeros(rows + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    entries = int(offsets[-1])
    headers, pooled = {}, {}
    text = h5py.string_dtype()
    with h5py.File(path, "w") as file:
        encode(file, "anndata", "0.1.0")
        x = encode(file.create_group("X"), "csr_matrix", "0.1.0", shape=np.array([rows, GENES]))
        how: dict[str, Any] = {"compression": "gzip"}
        if indptr == "contiguous":
            how = {}
        elif indptr != "h5py":
            how["chunks"] = (min(int(indptr), rows + 1),)
        x.create_dataset("indptr", data=offsets, **how)
        for name, dtype in (("data", np.float32), ("indices", np.int32)):
            array = x.create_dataset(name, (entries,), dtype, chunks=(CHUNK,), compression="gzip")
            stored = pool.chunks[name][: -(-entries // CHUNK)]
            for i, chunk in enumerate(stored):
                array.id.write_direct_chunk((i * CHUNK,), chunk)
            infos = [array.id.get_chunk_info(i) for i in range(len(stored))]
            pooled[name] = tuple(np.array([i[k] for i in infos]) for k in (2, 3))
            headers[name] = int(h5py.h5o.get_info(array.id).addr)
        # Strings that were never written read as "": names for all cells without a string for each.
        columns = {"column-order": np.array(["cell_line", "drug"], dtype=text), "_index": "_index"}
        obs = encode(file.create_group("obs"), "dataframe", **columns)
        encode(obs.create_dataset("_index", (rows,), text, chunks=(min(16_384, rows),)), "string-array")
        rng = np.random.default_rng([seed, 8])
        for name, codes in (
            ("cell_line", rng.integers(0, 50, size=rows, dtype=np.int8)),
            ("drug", (np.arange(rows) * 96 // max(1, rows)).astype(np.int8)),  # sorted, as on real plates
        ):
            column = encode(obs.create_group(name), "categorical", ordered=False)
            encode(column.create_dataset("codes", data=codes, compression="gzip"), "array")
            names = np.array([f"{name}_{i}" for i in range(int(codes.max(initial=0)) + 1)], dtype=object)
            encode(column.create_dataset("categories", data=names, dtype=text), "string-array")
        columns = {"column-order": np.array([], dtype=text), "_index": "_index"}
        var = encode(file.create_group("var"), "dataframe", **columns)
        names = np.array([f"ENSG{i:011d}" for i in range(GENES)], dtype=object)
        encode(var.create_dataset("_index", data=names, dtype=text), "string-array")
    point_at_pool(path, headers, pooled, -(-entries // CHUNK))


def make(spec: Spec, directory: Path, pools: dict[tuple[int, int], Pool] | None = None) -> list[Path]:
    """Makes the files that are not there; returns all, in order. `pools` keeps pools between calls."""
    pools = {} if pools is None else pools
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for file in range(spec.files):
        path = directory / f"part{file + 1:02d}.h5ad"
        files.append(path)
        if path.exists():
            continue
        key = (max(1, POOL_CHUNKS // spec.files), file)
        if key not in pools:
            pools[key] = make_pool(*key)
        partial = path.with_suffix(".partial")
        write_file(partial, spec.cells_of(file), pools[key], spec.indptr, file)
        os.replace(partial, path)
    return files


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=200_000, help="over all files (default: %(default)s)")
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--indptr", default="h5py", help='"h5py", "contiguous" or elements a chunk')
    parser.add_argument("--out", type=Path, help="directory (default: a name in $PENSTOCK_DATA or data/)")
    args = parser.parse_args()
    spec = Spec(args.cells, args.files, args.indptr)
    for path in make(spec, args.out or make_demo_data.default_root() / spec.name()):
        print(
            path,
            f"{path.stat().st_blocks * 512 / 1e6:,.0f} MB on disk, {path.stat().st_size / 1e9:,.1f} GB long",
        )


if __name__ == "__main__":
    main()
