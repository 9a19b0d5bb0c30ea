#!/usr/bin/env python3
"""Lists the chunks of a sparse matrix in .h5ad files for benchmarks/floor: path, offset, stored and raw bytes, by tabs.

    python tools/chunk_list.py data/tahoe-100000/*.h5ad > chunks.tsv

Order: file by file, chunk 0 of data, chunk 0 of indices, chunk 1 of data, ... as a loader in file order would read.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections.abc import Iterable, Iterator

import h5py


def chunks_of(dataset: h5py.Dataset) -> list[tuple[int, int, int]]:
    """(offset, stored bytes, raw bytes) of each chunk in order; the filters must be gzip alone."""
    if dataset.chunks is None or dataset.compression != "gzip" or dataset.shuffle or dataset.fletcher32:
        raise SystemExit(f"{dataset.file.filename}:{dataset.name}: not chunked with gzip as the only filter")
    raw = math.prod(dataset.chunks) * dataset.dtype.itemsize
    found: list[tuple[int, int, int]] = []
    dataset.id.chunk_iter(lambda c: found.append((c.chunk_offset[0], c.byte_offset, c.size)))
    return [(offset, stored, raw) for _, offset, stored in sorted(found)]


def chunk_lines(paths: Iterable[str], matrix: str = "X") -> Iterator[str]:
    for path in paths:
        with h5py.File(path) as file:
            parts = [chunks_of(file[f"{matrix}/{name}"]) for name in ("data", "indices")]
        for pair in itertools.zip_longest(*parts):
            for chunk in pair:
                if chunk is not None:
                    yield "\t".join([str(path), *map(str, chunk)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", help=".h5ad files")
    parser.add_argument("--matrix", default="X", help="group of the matrix (default: %(default)s)")
    args = parser.parse_args()
    for line in chunk_lines(args.files, args.matrix):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
