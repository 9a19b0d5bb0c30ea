"""Parquet files that are damaged, in every layout: cut short anywhere, and with flipped bits.

Every page is written with its checksum, and found here by an own look at the headers: so it is known of each byte
whether a checksum covers it, and which place an error must name.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_parquet import GENES, gene_table, list_table, matrix, obs_of

import penstock

ALLOWED = (OSError, NotImplementedError, ValueError, KeyError, MemoryError)
N_ROWS, N_GENES = 60, 40
CHECKED: dict[str, Any] = {"write_page_checksum": True, "write_batch_size": 16}


# --- the files ---


@dataclasses.dataclass
class Layout:
    """A matrix in files; `damage` are those of them that a test may damage."""

    open: Path
    damage: list[Path]
    x: Any
    obs: list[str]  # columns whose labels are read and compared


def write_lists(folder: Path, **options: Any) -> Layout:
    x = matrix(N_ROWS, genes=N_GENES)
    gene_table(folder, N_GENES)
    path = folder / "a.parquet"
    pq.write_table(list_table(x), path, row_group_size=25, **CHECKED, **options)
    return Layout(path, [path], x, ["drug"])


def write_triplets(folder: Path) -> Layout:
    x = matrix(N_ROWS, genes=N_GENES)
    root = folder / "a.pqdata"
    root.mkdir()
    coo = x.tocoo()
    table = pa.table({"row": coo.row.astype(np.int32), "col": coo.col.astype(np.int64), "data": coo.data})
    shape = {"array": json.dumps({"shape": list(x.shape)})}
    names = {name: root / f"{name}.parquet" for name in ("X", "obs", "var")}
    pq.write_table(
        table.replace_schema_metadata(shape), names["X"], row_group_size=90, data_page_size=100, **CHECKED
    )
    obs_of(N_ROWS).to_parquet(names["obs"], row_group_size=25, **CHECKED)
    pd.DataFrame(index=GENES[:N_GENES]).to_parquet(names["var"], **CHECKED)
    return Layout(root, list(names.values()), x, ["drug", "n", "score"])


def write_wide(folder: Path) -> Layout:
    x = matrix(N_ROWS, genes=N_GENES)
    path = folder / "w.parquet"
    table = pa.table({GENES[i]: x.toarray()[:, i] for i in range(N_GENES)})
    pq.write_table(table, path, row_group_size=25, **CHECKED)
    return Layout(path, [path], x, [])


LAYOUTS: dict[str, Callable[[Path], Layout]] = {
    "lists": write_lists,
    "lists, V2 pages, page index, zstd": lambda folder: write_lists(
        folder, data_page_version="2.0", data_page_size=100, write_page_index=True, compression="zstd"
    ),
    "lists without a codec or dictionary": lambda folder: write_lists(
        folder, data_page_size=200, compression="none", use_dictionary=False
    ),
    "triplets": write_triplets,
    "wide": write_wide,
}


# For a test that hangs: the longest takes 15 s on an idle machine, and a minute on a busy one.
SECONDS = 600


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Layout]:
    """One of the layouts; a test over it that does not end is ended."""

    def too_long(*_: Any) -> None:
        raise AssertionError(f"no end after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        yield LAYOUTS[request.param](tmp_path)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# --- where pages lie ---


@dataclasses.dataclass
class Page:
    """Bytes [begin, end) are those that its checksum covers. As errors name its place: `chunk`, then `at`."""

    chunk: str
    at: str
    begin: int
    end: int


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def struct(data: bytes, at: int) -> tuple[dict[int, int], int]:
    """The integers of a thrift struct in the compact protocol by field, and where it ends."""
    fields: dict[int, int] = {}
    field = 0
    while data[at] != 0:
        delta, kind = data[at] >> 4, data[at] & 15
        at += 1
        if delta == 0:
            raw, at = varint(data, at)
            delta = (raw >> 1) - field
        field += delta
        if kind in (4, 5, 6):  # zigzag integers
            raw, at = varint(data, at)
            fields[field] = raw >> 1 if raw % 2 == 0 else -(raw >> 1) - 1
        elif kind == 8:  # bytes
            length, at = varint(data, at)
            at += length
        elif kind == 12:
            _, at = struct(data, at)
        else:
            assert kind in (1, 2), f"a page header with a field of kind {kind}"  # booleans are in the kind
    return fields, at + 1


def pages(path: Path) -> list[Page]:
    """Every page of a file; all of them have checksums."""
    data, out = path.read_bytes(), []
    metadata = pq.ParquetFile(path).metadata
    for group in range(metadata.num_row_groups):
        for column in range(metadata.num_columns):
            chunk = metadata.row_group(group).column(column)
            at = chunk.dictionary_page_offset or chunk.data_page_offset
            end = at + chunk.total_compressed_size
            while at < end:
                header, body = struct(data, at)
                assert 4 in header, "a page without a checksum"
                place = f"{path.name}: row group {group}, column {chunk.path_in_schema}"
                out.append(Page(place, f", page at byte 0x{at:x}:", body, body + header[3]))
                at = out[-1].end
            assert at == end
    return out


def flip(path: Path, whole: bytes, at: int, bit: int) -> None:
    damaged = bytearray(whole)
    damaged[at] ^= 1 << bit
    path.write_bytes(damaged)


# --- reading ---


def read(layout: Layout) -> bool:
    """Whether everything that is read is right; raises what reading raises."""
    ds = penstock.open(layout.open)
    obs = obs_of(N_ROWS)
    right = list(ds.var_names) == GENES[:N_GENES] and len(ds.obs_names) == N_ROWS
    if layout.open.is_dir():
        right &= list(ds.obs_names) == list(obs.index)
    if not set(layout.obs) <= set(ds.obs.columns):  # the damage is in a name
        return False
    loader = penstock.Loader(ds, batch_size=16, memory="16MB", to="numpy", threads=1, obs=layout.obs)
    rows = 0
    for batch in loader:
        rows += batch.n_obs
        right &= bool((layout.x[batch.index] != batch.X).nnz == 0)
        for name in layout.obs:
            want = obs[name].to_numpy()[batch.index]
            labels = batch.obs[name]
            if name == "drug":
                names = np.array([*loader.categories[name], None], dtype=object)
                labels = names[labels]
            right &= bool((labels == want).all())
    return right and rows == N_ROWS


def test_every_layout_is_right_before_it_is_damaged(layout: Layout) -> None:
    assert read(layout)
    assert all(len(pages(path)) >= 1 for path in layout.damage)


def test_cut_short_anywhere_it_is_an_error_that_names_the_file(layout: Layout) -> None:
    for path in layout.damage:
        whole = path.read_bytes()
        for n in range(0, len(whole), max(1, len(whole) // 120)):
            path.write_bytes(whole[:n])
            with pytest.raises(ALLOWED) as error:
                read(layout)
            assert path.name in str(error.value), n
        path.write_bytes(whole)


def test_a_flipped_bit_under_a_checksum_is_an_error_with_its_place(layout: Layout) -> None:
    rng = np.random.default_rng(0)
    for path in layout.damage:
        whole = path.read_bytes()
        all_pages = pages(path)
        for page in all_pages[:: 1 + len(all_pages) // 80]:
            at = range(page.begin, page.end)
            # The first bytes hold lengths and levels: all of them, and some of the rest.
            for byte in {*at[:8], *at[-2:], *rng.choice(at, min(len(at), 4), replace=False)}:
                flip(path, whole, byte, int(rng.integers(8)))
                with pytest.raises(ALLOWED) as error:
                    read(layout)
                message = f"byte 0x{byte:x} in {page}: {error.value}"
                assert page.chunk in str(error.value), message
                assert re.search(", page at byte 0x[0-9a-f]+: ", str(error.value)), message
                # Opening counts the rows of lists by their levels, before checksums are looked at: a wrong number
                # is that of all pages of the chunk.
                if ".list." not in page.chunk or byte >= page.end - 2:
                    assert page.chunk + page.at in str(error.value), message
        path.write_bytes(whole)


def test_a_flipped_bit_elsewhere_is_an_error_that_names_the_file_or_none(layout: Layout) -> None:
    """Headers, page indexes and the footer have no checksums: errors, or what the file now says, and an end."""
    rng = np.random.default_rng(1)
    errors = 0
    for path in layout.damage:
        whole = path.read_bytes()
        covered = np.zeros(len(whole), bool)
        for page in pages(path):
            covered[page.begin : page.end] = True
        bare = np.flatnonzero(~covered)
        assert len(bare) > 100
        for byte in rng.choice(bare, min(len(bare), 400), replace=False):
            flip(path, whole, int(byte), int(rng.integers(8)))
            try:
                read(layout)
            except ALLOWED as error:
                errors += 1
                assert path.name in str(error) or layout.open.name in str(error), f"byte 0x{byte:x}: {error}"
        path.write_bytes(whole)
    assert errors > 100


def test_a_damaged_file_among_whole_ones_is_the_one_that_is_named(tmp_path: Path) -> None:
    layout = write_lists(tmp_path)
    for name in ("b", "c"):
        shutil.copyfile(layout.open, tmp_path / f"{name}.parquet")
    page = next(p for p in pages(tmp_path / "b.parquet") if "row group 1, column expressions" in p.chunk)
    flip(tmp_path / "b.parquet", layout.open.read_bytes(), page.end - 1, 3)
    paths = [tmp_path / f"{name}.parquet" for name in "abc"]
    loader = penstock.Loader(
        penstock.open(paths), batch_size=16, memory="16MB", to="numpy", shuffle=False, block_rows=16
    )
    rows = 0
    with pytest.raises(penstock.CorruptFileError) as error:
        for batch in loader:
            np.testing.assert_array_equal(batch.index, np.arange(rows, rows + 16))
            assert (layout.x[batch.index % N_ROWS] != batch.X).nnz == 0
            rows += batch.n_obs
    assert page.chunk + page.at in str(error.value)
    assert N_ROWS <= rows <= N_ROWS + 25  # all of a.parquet, and b.parquet up to the damage
