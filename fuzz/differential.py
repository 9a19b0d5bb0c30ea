#!/usr/bin/env python3
"""Damaged h5ad files through Penstock and through h5py and anndata: both read the same values, or Penstock refuses.

    .venv/bin/python fuzz/differential.py [--seed 1] [--count 2000] [--jobs 2]

Case i of a seed is always the same file. Failures are: values that differ; an exception of Penstock that is not one
of its own, or that does not name the file; a crash or hang of Penstock. They are kept in build/fuzz/finds/differential.
Crashes and hangs of libhdf5 are counted only. What Penstock refuses although h5py reads it is printed by message, so
that needless refusals are seen; what it reads although h5py refuses, too. Exit status 1 when there are failures.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import re
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FINDS = ROOT / "build" / "fuzz" / "finds" / "differential"
TIMEOUT = {"ours": 30, "theirs": 10}  # seconds a file; most take milliseconds
MEMORY = 6 << 30  # address space of a reader
MATRICES = ("X", "raw/X", "layers/counts")

# An item is ("ok", value) or ("error", exception type, message). Values are plain: lists, strings, bytes.
Item = tuple[Any, ...]


# --- damage ---


def structures(data: bytearray) -> list[int]:
    signatures = (b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"OCHK", b"FRHP", b"FHDB", b"FHIB", b"BTHD")
    signatures += (b"BTLF", b"BTIN", b"FAHD", b"FADB", b"EAHD", b"EAIB", b"EADB", b"EASB")
    found = [0]
    for at in range(0, len(data) - 8, 8):
        # An object header has no signature: version 1, a reserved 0, and one reference.
        header = data[at] == 1 and data[at + 1] == 0 and data[at + 4 : at + 6] == b"\1\0"
        if header or data[at : at + 4] in signatures:
            found.append(at)
    return found


def edit_field(rng: random.Random, data: bytearray) -> None:
    """An address, size or count near a structure, or anywhere, becomes another plausible one."""
    places = structures(data)
    width = rng.choice((1, 2, 4, 8))
    at = (
        rng.randrange(len(data))
        if rng.random() < 0.3
        else rng.choice(places) + rng.randrange(rng.choice((64, 400)))
    )
    at = min(at, len(data) - width) // width * width
    old = int.from_bytes(data[at : at + width], "little")
    word = rng.randrange(len(data) // 8) * 8
    value = rng.choice(
        (
            rng.choice(places),
            len(data) - rng.randrange(64),
            old + 1,
            old - 1,
            old ^ 1 << rng.randrange(8 * width),
            -1,
            rng.randrange(20),
            1 << rng.randrange(64),
            int.from_bytes(data[word : word + 8], "little"),
        )
    )
    data[at : at + width] = (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")


def flip(rng: random.Random, data: bytearray) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def overwrite(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    n = min(rng.randrange(1, 16), len(data) - at)
    data[at : at + n] = rng.choice((bytes(n), b"\xff" * n, rng.randbytes(n)))


def truncate(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]
    end = 28 + 16 if len(data) > 8 and data[8] == 1 else 24 + 16  # in the superblock, with 8-byte offsets
    if rng.random() < 0.8 and len(data) > end + 8:
        data[end : end + 8] = struct.pack("<Q", len(data))


def damage(rng: random.Random, data: bytearray) -> str:
    done = []
    for edit in rng.choices(
        (edit_field, flip, overwrite, truncate), (10, 6, 3, 1), k=rng.choice((1, 1, 2, 3))
    ):
        if len(data) > 64:
            edit(rng, data)
            done.append(edit.__name__)
    return "+".join(done)


# --- reading ---


def item(read: Any) -> Item:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ("ok", read())
    except Exception as error:
        kind = type(error)
        message = str(error.args[0]) if kind is KeyError and error.args else str(error)
        return ("error", f"{kind.__module__}.{kind.__name__}".removeprefix("builtins."), message)


def canonical(data: Any, indices: Any, indptr: Any, shape: tuple[int, ...]) -> Any:
    """Columns sorted, duplicates summed in their own type, as Penstock documents it."""
    import numpy as np

    n_rows, n_cols = (int(n) for n in shape)
    if len(indptr) != n_rows + 1 or indptr[0] != 0 or indptr[-1] != len(data) or len(indices) != len(data):
        raise ValueError("not a CSR matrix: lengths")
    if (np.diff(indptr.astype("i8")) < 0).any():
        raise ValueError("not a CSR matrix: indptr falls")
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= n_cols):
        raise ValueError("not a CSR matrix: a column out of range")
    rows = np.repeat(np.arange(n_rows), np.diff(indptr.astype("i8")))
    order = np.lexsort((indices.astype("i8"), rows))
    cells: list[tuple[int, int]] = []
    values: list[Any] = []
    with np.errstate(all="ignore"):
        for row, column, value in zip(
            rows[order].tolist(), indices[order].tolist(), data[order], strict=True
        ):
            if cells and cells[-1] == (row, column):
                values[-1] = values[-1] + value
            else:
                cells.append((row, column))
                values.append(value)
    native = data.dtype.newbyteorder("=")
    return ((n_rows, n_cols), native.str, cells, np.array(values, dtype=native).tobytes())


def plain(values: Any) -> Any:
    """A column of pandas or numpy as plain values; the bits of numbers are kept."""
    import numpy as np
    import pandas as pd

    if isinstance(values, pd.Series):
        values = values.array
    if isinstance(values, pd.Categorical):
        return ("category", values.codes.tolist(), plain(values.categories.to_numpy()), bool(values.ordered))
    if isinstance(values, (pd.arrays.IntegerArray, pd.arrays.BooleanArray, pd.arrays.FloatingArray)):
        return ("nullable", [None if v is pd.NA else v for v in values.tolist()])
    if isinstance(values, pd.api.extensions.ExtensionArray) and values.dtype == "string":
        return ("nullable", [None if v is pd.NA or v is None or v != v else str(v) for v in values])
    array = np.asarray(values)
    if array.dtype.kind in "OSUT":
        text = [
            v.decode(errors="surrogateescape") if isinstance(v, bytes) else str(v) for v in array.tolist()
        ]
        return ("text", text)
    if array.dtype.kind == "b":
        # A damaged byte is neither 0 nor 1; numpy keeps it and takes it for true.
        return ("numbers", "|b1", (array.view("u1") != 0).tobytes())
    native = array.dtype.newbyteorder("=")
    return ("numbers", native.str, array.astype(native).tobytes())


def read_theirs(path: str, columns: dict[str, list[str]]) -> dict[str, Item]:
    import anndata
    import h5py
    import numpy as np
    import pandas as pd

    items: dict[str, Item] = {}
    opened = item(lambda: h5py.File(path, "r"))
    if opened[0] == "error":
        return {"open": opened}
    file = opened[1]

    def matrix(name: str) -> Any:
        group = file[name]
        if group.attrs["encoding-type"] != "csr_matrix":
            raise ValueError(f"encoding-type {group.attrs['encoding-type']}")
        shape = tuple(group.attrs["shape"])
        return canonical(group["data"][()], group["indices"][()], group["indptr"][()], shape)

    def column(table: str, name: str) -> Any:
        node = file[table][name]
        if "categories" in node.attrs:  # as anndata 0.7 wrote it
            names = anndata.io.read_elem(file[node.attrs["categories"]])
            return plain(pd.Categorical.from_codes(np.asarray(node[()]), categories=names, ordered=False))
        return plain(anndata.io.read_elem(node))

    def index(table: str) -> Any:
        return plain(np.asarray(anndata.io.read_elem(file[table][file[table].attrs["_index"]])).astype(str))

    for name in MATRICES:
        items[name] = item(lambda name=name: matrix(name))
    for table, names in columns.items():
        items[f"{table} names"] = item(lambda table=table: index(table))
        for name in names:
            items[f"{table}/{name}"] = item(lambda table=table, name=name: column(table, name))
    return items


def read_ours(path: str, columns: dict[str, list[str]]) -> dict[str, Item]:
    import numpy as np

    import penstock

    items: dict[str, Item] = {}
    first: Any = None
    for name in MATRICES:
        opened = item(lambda name=name: penstock.open(path, matrix=name))
        if opened[0] == "error":
            items[name] = opened
            continue
        dataset = opened[1]
        first = first or (dataset if name != "raw/X" else None)

        def matrix(dataset: Any = dataset) -> Any:
            n_rows, n_cols, indptr, indices, values, dtype = dataset._handle.read_rows(
                np.arange(len(dataset))
            )
            return canonical(values.view(np.dtype(dtype)), indices, indptr, (n_rows, n_cols))

        items[name] = item(matrix)
    if first is None:
        return {"open": items["X"], **items}
    items["obs names"] = item(lambda: plain(np.asarray(first.obs_names, dtype=object)))
    items["var names"] = item(lambda: plain(np.asarray(first.var_names, dtype=object)))
    for name in columns["obs"]:
        items[f"obs/{name}"] = item(lambda name=name: plain(first.obs[name]))
    for name in columns["var"]:
        items[f"var/{name}"] = item(lambda name=name: plain(first.var[name]))
    return items


def serve(reader: str) -> None:
    """A reader: requests on stdin, answers on stdout, each with its length before it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    read = read_ours if reader == "ours" else read_theirs
    while head := sys.stdin.buffer.read(4):
        path, columns = pickle.loads(sys.stdin.buffer.read(struct.unpack("<I", head)[0]))
        answer = pickle.dumps(read(path, columns))
        answers.write(struct.pack("<I", len(answer)) + answer)
        answers.flush()


class Reader:
    """A process that reads files, started anew after it crashed or hung."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.process: subprocess.Popen[bytes] | None = None

    def read(self, path: Path, columns: dict[str, list[str]]) -> dict[str, Item] | str:
        """The items, or how the process died."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, __file__, "--serve", self.kind],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        assert self.process.stdin and self.process.stdout
        request = pickle.dumps((str(path), columns))
        try:
            self.process.stdin.write(struct.pack("<I", len(request)) + request)
            self.process.stdin.flush()
            end = time.monotonic() + TIMEOUT[self.kind]
            answer = b""
            while len(answer) < 4 or len(answer) < 4 + struct.unpack("<I", answer[:4])[0]:
                left = end - time.monotonic()
                if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                    self.stop()
                    return f"gave no answer in {TIMEOUT[self.kind]} s"
                part = os.read(self.process.stdout.fileno(), 1 << 16)
                if not part:
                    break
                answer += part
            else:
                return pickle.loads(answer[4:])
        except BrokenPipeError:
            pass
        code = self.process.wait()
        self.process = None
        return f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


# --- comparing ---

# Nothing else may come out of a damaged file.
OWN_ERRORS = {
    f"penstock.errors.{name}" for name in ("CorruptFileError", "MemoryBudgetError", "NotFoundError")
}
OWN_ERRORS |= {"NotImplementedError", "ValueError", "OSError"}


def message_class(text: str, path: Path) -> str:
    text = re.sub(r"'[^']*'|\"[^\"]*\"", "'...'", text.replace(str(path), "FILE"))
    text = re.sub(r"0x[0-9a-f]+|-?\d[\d,.]*(e[+-]?\d+)?", "N", text)
    return re.sub(r"/[\w/.-]+", "/...", text)[:150]


@dataclass
class Tally:
    cases: int = 0
    same: int = 0
    both_refuse: int = 0
    failures: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)  # h5py reads it
    lenient: Counter[str] = field(default_factory=Counter)  # h5py does not
    theirs_died: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        self.cases += other.cases
        self.same += other.same
        self.both_refuse += other.both_refuse
        self.failures += other.failures
        self.refused.update(other.refused)
        self.lenient.update(other.lenient)
        self.theirs_died.update(other.theirs_died)


def own_error(found: Item, path: Path) -> str:
    """Why an error of ours is a failure, or nothing."""
    _, kind, message = found
    if kind not in OWN_ERRORS:
        return f"raised {kind}: {message}"
    if kind.endswith(("CorruptFileError", "NotImplementedError")) and path.name not in message:
        return f"does not name the file: {kind}: {message}"
    return ""


def compare(
    path: Path, ours: dict[str, Item] | str, theirs: dict[str, Item] | str, tally: Tally
) -> list[str]:
    """What is wrong with this case."""
    wrong = []
    tally.cases += 1
    if isinstance(ours, str):
        return [f"Penstock {ours}"]
    for name, found in ours.items():
        if found[0] == "error" and (why := own_error(found, path)):
            wrong.append(f"{name}: {why}")
    if isinstance(theirs, str):
        tally.theirs_died[theirs] += 1
        return wrong
    for name in sorted(ours.keys() | theirs.keys()):
        our = ours.get(name, ours.get("open"))
        their = theirs.get(name, theirs.get("open"))
        if our is None or their is None or name == "open":
            continue
        if our[0] == "ok" and their[0] == "ok":
            if our[1] == their[1]:
                tally.same += 1
            else:
                wrong.append(
                    f"{name} differs:\n    Penstock {str(our[1])[:600]}\n    h5py     {str(their[1])[:600]}"
                )
        elif our[0] == "ok":
            tally.lenient[f"{name.split('/')[0]}: {message_class(their[2], path)}"] += 1
        elif their[0] == "ok":
            tally.refused[f"{our[1].rsplit('.', 1)[-1]}: {message_class(our[2], path)}"] += 1
        else:
            tally.both_refuse += 1
    return wrong


def columns_of(path: Path) -> dict[str, list[str]]:
    import h5py

    with h5py.File(path) as f:
        return {table: [str(name) for name in f[table].attrs["column-order"]] for table in ("obs", "var")}


def run_cases(
    cases: range, seed: int, seeds: list[tuple[Path, bytes, dict[str, list[str]]]], folder: Path
) -> Tally:
    tally = Tally()
    ours, theirs = Reader("ours"), Reader("theirs")
    shown = time.monotonic()
    try:
        for case in cases:
            rng = random.Random(seed * 1_000_003 + case)
            original, content, columns = seeds[case % len(seeds)]
            data = bytearray(content)
            # The seeds themselves come first: they must be read, and alike.
            what = "as it is" if case < len(seeds) else damage(rng, data)
            path = folder / f"case{case}.h5ad"
            path.write_bytes(data)
            before = tally.refused.total() + tally.both_refuse
            wrong = compare(path, ours.read(path, columns), theirs.read(path, columns), tally)
            if case < len(seeds) and tally.refused.total() + tally.both_refuse > before + len(MATRICES):
                wrong.append("a seed that is not damaged is refused")
            if wrong:
                FINDS.mkdir(parents=True, exist_ok=True)
                kept = FINDS / f"{seed}-{case}-{original.name}"
                shutil.copy(path, kept)
                tally.failures.append(f"{kept.relative_to(ROOT)} ({what}):\n  " + "\n  ".join(wrong))
                print(tally.failures[-1], flush=True)
            path.unlink()
            if time.monotonic() - shown > 30:
                shown = time.monotonic()
                print(
                    f"  {tally.cases:,} of {len(cases):,} files, {len(tally.failures)} failures", flush=True
                )
    finally:
        ours.stop()
        theirs.stop()
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000, help="files (default 2000)")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="files at a time")
    parser.add_argument("--serve", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    from make_seeds import anndata_seeds

    total = Tally()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        anndata_seeds(folder / "seeds")
        seeds = [(path, path.read_bytes(), columns_of(path)) for path in sorted((folder / "seeds").iterdir())]
        shares = [range(job, options.count, options.jobs) for job in range(options.jobs)]
        with ThreadPoolExecutor(options.jobs) as pool:
            for tally in pool.map(lambda cases: run_cases(cases, options.seed, seeds, folder), shares):
                total.add(tally)
    for title, counter in (
        ("refused by Penstock, read by h5py", total.refused),
        ("read by Penstock, refused by h5py", total.lenient),
        ("libhdf5", total.theirs_died),
    ):
        print(f"{title}: {counter.total():,}")
        for text, n in counter.most_common(60):
            print(f"  {n:>6}  {text}")
    print(
        f"{total.cases:,} files: {total.same:,} parts read alike, {total.both_refuse:,} refused by both, "
        f"{total.refused.total():,} by Penstock alone, {total.lenient.total():,} by h5py alone; "
        f"{len(total.failures)} failures"
    )
    return bool(total.failures)


if __name__ == "__main__":
    sys.exit(main())
