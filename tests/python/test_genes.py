"""Genes: selections of them, and files with different ones, against anndata and scipy."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_parquet import gene_table, list_table, matrix, write_triplets

import penstock

HEALTH = [HealthCheck.function_scoped_fixture]


def write(
    path: Path, x: Any, names: list[str], var: pd.DataFrame | None = None, compression: str | None = "gzip"
) -> Path:
    table = pd.DataFrame(index=names) if var is None else var
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        obs = pd.DataFrame({"n": np.arange(x.shape[0])}, index=[f"{path.stem}{i}" for i in range(x.shape[0])])
        ad.AnnData(x, obs=obs, var=table).write_h5ad(path, compression=compression)
    return path


def expect(ds: penstock.Dataset, want: Any, **options: Any) -> penstock.Loader:
    """Every row once, equal to those of `want` (rows of all files x genes selected)."""
    options = {"batch_size": 32, "memory": "64MB", **options}
    seen = np.zeros(want.shape[0], int)
    loader = penstock.Loader(ds, to="numpy", **options)
    for batch in loader:
        np.add.at(seen, batch.index, 1)
        got = batch.X if options.get("format") == "dense" else batch.X.toarray()
        np.testing.assert_array_equal(got, want[batch.index].toarray())
        if options.get("format") != "dense":
            for i in range(len(batch.index)):
                row = batch.X.indices[batch.X.indptr[i] : batch.X.indptr[i + 1]]
                assert (np.diff(row) > 0).all()
    assert (seen == 1).all()
    return loader


@pytest.fixture(scope="module")
def x() -> Any:
    return matrix(300)


@pytest.fixture(scope="module")
def files(x: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("genes")
    names = [f"ENSG{i:05d}" for i in range(300)]
    var = pd.DataFrame({"symbol": [f"S{i // 2}" for i in range(300)], "n": np.arange(300)}, index=names)
    gene_table(folder)
    pq.write_table(list_table(x), folder / "lists.parquet", row_group_size=70)
    dense = write(folder / "dense.h5ad", x.toarray(), names)
    unsorted = x.copy()
    for i in range(300):  # the genes of each row in falling order
        row = slice(unsorted.indptr[i], unsorted.indptr[i + 1])
        unsorted.indices[row] = unsorted.indices[row][::-1].copy()
        unsorted.data[row] = unsorted.data[row][::-1].copy()
    unsorted.has_sorted_indices = False
    return {
        "h5ad": write(folder / "a.h5ad", x, names, var),
        "unsorted": write(folder / "u.h5ad", unsorted, names, compression=None),
        "dense": dense,
        "lists": folder / "lists.parquet",
        "triplets": write_triplets(x, folder / "a.pqdata"),
    }


@settings(max_examples=30, deadline=None, suppress_health_check=HEALTH)
@given(
    data=st.data(),
    kind=st.sampled_from(["h5ad", "unsorted", "lists", "triplets"]),
    format=st.sampled_from(["csr", "dense"]),
    shuffle=st.booleans(),
    dtype=st.sampled_from(["float32", "float64", "int32"]),
)
def test_any_genes_in_any_order(
    files: dict[str, Path], x: Any, data: Any, kind: str, format: str, shuffle: bool, dtype: str
) -> None:
    ds = penstock.open(files[kind])
    genes = data.draw(st.lists(st.integers(0, 299), unique=True, max_size=40))
    if data.draw(st.booleans()):
        genes = sorted(genes)
    want = x.tocsc()[:, genes].tocsr().astype(dtype)
    by = data.draw(st.sampled_from(["positions", "names", "mask", "twice"]))
    if by == "names":
        part = ds.select_vars([f"ENSG{i:05d}" for i in genes])
    elif by == "mask":
        genes = sorted(genes)
        want = x.tocsc()[:, genes].tocsr().astype(dtype)
        part = ds[:, np.isin(np.arange(300), genes)]
    elif by == "twice":
        every = np.random.default_rng(len(genes)).permutation(300)
        part = ds[:, every][:, [int(np.flatnonzero(every == g)[0]) for g in genes]]
    else:
        part = ds[:, genes]
    assert part.shape == (300, len(genes))
    assert list(part.var_names) == [f"ENSG{i:05d}" for i in genes]
    assert list(part.var.index) == list(part.var_names)
    expect(part, want, format=format, shuffle=shuffle, dtype=dtype)
    look = part[5:25].to_anndata()
    np.testing.assert_array_equal(look.X.toarray(), x.tocsc()[:, genes].toarray()[5:25])
    again = pickle.loads(pickle.dumps(part[::3]))
    assert list(again.var_names) == list(part.var_names)
    assert again.shape == (100, len(genes))


def test_rows_and_genes_together(files: dict[str, Path], x: Any) -> None:
    ds = penstock.open(files["h5ad"])
    part = ds[10:200, ["ENSG00007", "ENSG00003"]]
    assert part.shape == (190, 2) and "2 of 300 vars" in repr(part)
    for batch in penstock.Loader(part, batch_size=64, memory="64MB", to="numpy", obs=["n"]):
        np.testing.assert_array_equal(batch.X.toarray(), x[batch.index][:, [7, 3]].toarray())
        np.testing.assert_array_equal(batch.obs["n"], batch.index)
    train, val = part.split([0.5, 0.5], seed=1)
    assert train.n_vars == val.n_vars == 2
    assert ds[5, "ENSG00001"].shape == (1, 1)
    assert ds[:, 5].var_names[0] == "ENSG00005" and ds[..., -1].var_names[0] == "ENSG00299"
    assert ds[:, ::-100].var_names.tolist() == ["ENSG00299", "ENSG00199", "ENSG00099"]
    assert ds[:, :].n_vars == 300 and ds[:, []].shape == (300, 0)


def test_names_of_another_column_and_missing_ones(files: dict[str, Path], x: Any) -> None:
    ds = penstock.open(files["h5ad"])
    with pytest.raises(KeyError, match="no gene 'ENSG0007'.*did you mean 'ENSG0"):
        ds[:, ["ENSG0007"]]
    with pytest.raises(KeyError, match="2 of 3 names are not there.*missing="):
        ds.select_vars(["nope", "ENSG00001", "neither"])
    with pytest.raises(ValueError, match="'S1' names several genes"):
        ds.select_vars(["S1"], key="symbol")
    with pytest.raises(KeyError, match="symbol"):
        ds.select_vars(["S1"], key="symbl")
    with pytest.raises(ValueError, match="asked for twice"):
        ds.select_vars(["ENSG00001", "ENSG00001"])
    with pytest.raises(ValueError, match="given twice"):
        ds[:, [3, 3]]
    with pytest.raises(IndexError):
        ds[:, [300]]
    with pytest.raises(TypeError, match="list of names"):
        ds.select_vars("ENSG00001")
    with pytest.raises(ValueError, match="missing='ignore'"):
        ds.select_vars(["ENSG00001"], missing="ignore")  # type: ignore[arg-type]
    assert ds.select_vars(["250"], key="n").var_names.tolist() == ["ENSG00250"]
    wanted = ["ENSG00009", "absent", "ENSG00002"]
    dropped = ds.select_vars(wanted, missing="drop")
    assert dropped.var_names.tolist() == ["ENSG00009", "ENSG00002"]
    zero = ds.select_vars(wanted, missing="zero")
    assert zero.var_names.tolist() == wanted
    assert zero.var["n"].isna().tolist() == [False, True, False]
    want = sp.hstack([x[:, [9]], sp.csr_matrix((300, 1), dtype=np.float32), x[:, [2]]]).tocsr()
    expect(zero, want)
    expect(pickle.loads(pickle.dumps(zero)), want, format="dense")
    # The zeros are kept by further selections.
    assert zero[:, ["absent", "ENSG00009"]].var_names.tolist() == ["absent", "ENSG00009"]
    expect(zero[:, [1, 0]], want[:, [1, 0]].tocsr())


# --- names that are not there ---

ENSEMBL = [f"ENSG{i:011d}" for i in range(16)]


@pytest.fixture(scope="module")
def ids(tmp_path_factory: pytest.TempPathFactory) -> penstock.Dataset:
    """Sixteen genes by Ensembl id; their symbols are in two columns, of which one has some."""
    var = pd.DataFrame(
        {
            "n_cells": np.arange(16),
            "old_symbol": ["TP53", "MYC", *[f"old{i}" for i in range(14)]],
            "gene_symbol": pd.Categorical(["TP53", "MYC", "CD4", "CD8A", *[f"G{i}" for i in range(12)]]),
        },
        index=ENSEMBL,
    )
    x = sp.eye(16, format="csr", dtype=np.float32)
    return penstock.open(write(tmp_path_factory.mktemp("ids") / "ids.h5ad", x, [], var))


def said(dataset: penstock.Dataset) -> str:
    """The note, which is the plan's, too, and survives pickling and further selections."""
    (note,) = dataset.notes
    assert note in penstock.Loader(dataset, memory="64MB", to="numpy").plan.notes
    assert dataset[:4].notes == dataset[:, :2].notes == pickle.loads(pickle.dumps(dataset)).notes == [note]
    assert note.kind == pickle.loads(pickle.dumps(dataset)).notes[0].kind == "genes_missing"
    return note


@pytest.mark.parametrize("missing", ["drop", "zero"])
def test_how_many_names_were_found(ids: penstock.Dataset, missing: Any) -> None:
    wanted = [*ENSEMBL[:11], *(f"nope{i}" for i in range(10))]
    part = ids.select_vars(wanted, missing=missing)
    assert part.n_vars == (11 if missing == "drop" else 21)
    what = "left out" if missing == "drop" else "columns of zeros"
    assert said(part) == (
        f"11 of 21 genes asked for were found; missing, {what}: "
        + ", ".join(f"'nope{i}'" for i in range(8))
        + " and 2 more"
    )
    assert ids.select_vars(ENSEMBL[:11], missing=missing).notes == []
    for none in (["nope"], ["nope", "neither", "no"], ["TP53", "MYC", "CD4"]):
        with pytest.raises(KeyError, match=f"no gene is there of the {len(none)} asked for"):
            ids.select_vars(none, missing=missing)
    assert ids.select_vars([], missing=missing).n_vars == 0
    twice = part.select_vars(["nope0", ENSEMBL[0]], missing="drop")
    assert twice.notes[0].startswith("11 of 21") and len(twice.notes) == (2 if missing == "drop" else 1)


def test_the_column_of_var_that_has_the_names(ids: penstock.Dataset) -> None:
    hint = r'"?select them with key="gene_symbol"'
    for wanted, of in (
        (["CD4"], "it is"),
        (["CD4", "TP53", "MYC"], "all 3 are"),
        (["CD4", "MYC", "x"], "2 of the 3 are"),
    ):
        for missing in ("error", "drop", "zero"):
            with pytest.raises(KeyError, match=f"{of} in var column 'gene_symbol': {hint}"):
                ids.select_vars(wanted, missing=missing)  # type: ignore[arg-type]
        with pytest.raises(KeyError, match=hint):
            ids[:, wanted]
        with pytest.raises(KeyError, match=hint):
            ids[3:, wanted[0]]
    # More than were found, though not none.
    wanted = [ENSEMBL[5], "CD4", "MYC"]
    assert "2 of the 3 are in var column 'gene_symbol'" in said(ids.select_vars(wanted, missing="drop"))
    with pytest.raises(KeyError, match="all 2 are among the names of the genes: leave key out"):
        ids.select_vars(ENSEMBL[:2], key="gene_symbol")
    with pytest.raises(KeyError, match="all 3 are in var column 'gene_symbol'"):
        ids.select_vars(["TP53", "MYC", "CD8A"], key="old_symbol", missing="error")
    assert ids.select_vars(["CD8A", "TP53"], key="gene_symbol").var_names.tolist() == [ENSEMBL[3], ENSEMBL[0]]
    assert "by var 'old_symbol'" in said(ids.select_vars(["TP53", "x"], key="old_symbol", missing="drop"))
    # Only genes that are selected count, and in a join those of the first file.
    with pytest.raises(KeyError, match="no gene 'TP53' .*there are: "):
        ids[:, 4:].select_vars(["TP53"])


@pytest.mark.parametrize(
    ("asked", "there", "why"),
    [
        (f"{ENSEMBL[1]}.4", ENSEMBL[1], r"\(version suffix\)"),
        (ENSEMBL[1], f"{ENSEMBL[1]}.12", r"\(version suffix\)"),
        (f"\ufeff{ENSEMBL[1]}", ENSEMBL[1], r'\(a byte order mark; .* encoding="utf-8-sig"\)'),
        ("tp53", "TP53", r"\(letter case\)"),
        (" TP53\r", "TP53", r"\(blanks around it\)"),
        (f" {ENSEMBL[1].lower()}.4", ENSEMBL[1], r"\(blanks around it, letter case, version suffix\)"),
    ],
)
def test_names_that_are_written_otherwise(tmp_path: Path, asked: str, there: str, why: str) -> None:
    x = sp.eye(4, format="csr", dtype=np.float32)
    ds = penstock.open(write(tmp_path / "a.h5ad", x, ["RP11-34P13.7", there, "B", "C"]))
    shown = asked.replace("\ufeff", r"\\ufeff")
    for select in (
        lambda: ds[:, [asked]],
        lambda: ds.select_vars([asked]),
        lambda: ds.select_vars(["B", asked]),
    ):
        with pytest.raises(KeyError, match=rf"'{shown}' is '{there}' here {why}"):
            select()
    part = ds.select_vars([asked, "B"], missing="zero")
    assert said(part).startswith("1 of 2 genes") and f"is '{there}' here" in said(part)
    with pytest.raises(KeyError, match="no gene 'RP11-34P13'"):  # a symbol's number is no version
        ds.select_vars(["RP11-34P13"])


def test_a_hint_without_room_is_left_out(ids: penstock.Dataset) -> None:
    wanted = ["CD4", ENSEMBL[7], "CD8A", *(f"nope{i}" for i in range(100_000))]
    path = ids.files[0].path
    note = penstock.open(path).select_vars(wanted, missing="drop").notes[0]
    assert note.startswith("1 of 100,003 genes asked for") and 'key="gene_symbol"' in note
    tight = penstock.open(path, index_memory="4MB").select_vars(wanted, missing="drop")
    assert tight.notes[0].endswith("'nope5' and 99,994 more")


def test_names_of_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    import h5py

    path = write(tmp_path / "a.h5ad", sp.eye(3, format="csr", dtype=np.float32), ["A", "B", "C"])
    with h5py.File(path, "r+") as file:
        file["var/_index"][...] = np.array([b"A", b"caf\xe9", b"C"], dtype=object)
    ds = penstock.open(path)
    assert ds.var_names.tolist() == ["A", "caf\udce9", "C"]
    part = ds[:, ["caf\udce9", "A"]]
    assert pickle.loads(pickle.dumps(part)).var_names.tolist() == ["caf\udce9", "A"]
    np.testing.assert_array_equal(part.to_anndata().X.toarray(), np.eye(3)[:, [1, 0]])


def test_a_few_genes_make_a_larger_window(files: dict[str, Path]) -> None:
    ds = penstock.open(files["h5ad"])
    whole = penstock.Loader(ds, batch_size=16, memory="5MB", to="numpy").plan
    few = penstock.Loader(ds[:, :10], batch_size=16, memory="5MB", to="numpy").plan
    assert few.compact_row_bytes < whole.compact_row_bytes


# --- joins ---


@settings(max_examples=25, deadline=None, suppress_health_check=HEALTH)
@given(data=st.data(), n_files=st.integers(1, 4), join=st.sampled_from(["inner", "outer"]))
def test_joins_equal_anndata(
    tmp_path_factory: pytest.TempPathFactory, data: Any, n_files: int, join: Any
) -> None:
    folder = tmp_path_factory.mktemp("join")
    parts, paths = [], []
    for f in range(n_files):
        names = data.draw(st.lists(st.sampled_from([f"g{i}" for i in range(30)]), unique=True, min_size=12))
        if f > 0 and data.draw(st.booleans()):
            names = list(parts[0].var_names)
        rng = np.random.default_rng(f)
        x = sp.random(40, len(names), 0.3, format="csr", dtype=np.float32, random_state=rng)
        x.data = np.ceil(x.data * 9)
        paths.append(write(folder / f"f{f}.h5ad", x, names))
        parts.append(ad.read_h5ad(paths[-1]))
    common = set(parts[0].var_names)
    for part in parts:
        common &= set(part.var_names)
    if join == "inner" and not common:
        with pytest.raises(ValueError, match="no gene is in every file"):
            penstock.open(paths, join=join)
        return
    want = ad.concat(parts, join=join) if n_files > 1 else parts[0]
    ds = penstock.open(paths, join=join)
    assert list(ds.var_names) == list(want.var_names)
    assert list(ds.var.index) == list(want.var_names)
    expect(ds, sp.csr_matrix(want.X), format=data.draw(st.sampled_from(["csr", "dense"])))
    genes = data.draw(st.lists(st.sampled_from(list(want.var_names)), unique=True))
    expect(ds[:, genes], sp.csr_matrix(want[:, genes].X))
    np.testing.assert_array_equal(ds[::7].to_anndata().X.toarray(), sp.csr_matrix(want.X)[::7].toarray())


def test_joins_say_what_they_did_and_what_they_refuse(tmp_path: Path) -> None:
    x = sp.csr_matrix(np.eye(3, dtype=np.float32))
    a = write(tmp_path / "a.h5ad", x, ["A", "B", "C"], pd.DataFrame({"k": [1, 2, 3]}, index=["A", "B", "C"]))
    b = write(tmp_path / "b.h5ad", x, ["C", "D", "A"])
    with pytest.raises(ValueError, match='join="inner" takes the genes that all files have'):
        penstock.open([a, b])
    inner, outer = penstock.open([a, b], join="inner"), penstock.open([a, b], join="outer")
    assert inner.var_names.tolist() == ["A", "C"] and outer.var_names.tolist() == ["A", "B", "C", "D"]
    assert any("2 genes of 4 over all files" in note for note in inner.notes)
    assert inner.var["k"].tolist() == [1, 3]
    assert outer.var["k"].isna().tolist() == [False, False, False, True]
    twice = write(tmp_path / "t.h5ad", x, ["A", "A", "B"])
    with pytest.raises(ValueError, match="t.h5ad: var name 'A' is there twice"):
        penstock.open([a, twice], join="outer")
    assert penstock.open([twice], join="outer").n_vars == 3  # nothing to join
    with pytest.raises(ValueError, match="several genes"):
        penstock.open(twice)[:, ["A"]]


@pytest.mark.parametrize("join", ["inner", "outer"])
def test_files_of_lists_around_another_file(tmp_path: Path, join: str) -> None:
    """The third file shares the first one's gene table, not the columns of the file between them."""
    parts = [matrix(9, genes=12, seed=i) for i in range(3)]
    genes = gene_table(tmp_path, 12)
    names = list(pq.read_table(genes)["ensembl_id"].to_pylist())
    paths = [tmp_path / "a.parquet", tmp_path / "b.h5ad", tmp_path / "c.parquet"]
    for i in (0, 2):
        pq.write_table(list_table(parts[i]), paths[i])
    write(paths[1], parts[1], ["other", *names[:4:-1], *names[:4]])
    tables = [names, ["other", *names[:4:-1], *names[:4]], names]
    want = ad.concat(
        [ad.AnnData(x, var=pd.DataFrame(index=t)) for x, t in zip(parts, tables, strict=True)], join=join
    )
    ds = penstock.open(paths, join=join)
    assert sorted(ds.var_names) == sorted(want.var_names)
    expect(ds, sp.csr_matrix(want[:, list(ds.var_names)].X))


def test_damaged_column_numbers_are_named_with_genes_selected(tmp_path: Path) -> None:
    import h5py

    path = write(tmp_path / "bad.h5ad", matrix(50, genes=20), [f"g{i}" for i in range(20)], compression=None)
    with h5py.File(path, "r+") as file:
        file["X/indices"][7] = 20
    ds = penstock.open(path)[:, ["g3"]]
    with pytest.raises(OSError, match=r"bad.h5ad.*X.*column index outside \[0, 20\)"):
        list(penstock.Loader(ds, batch_size=8, memory="64MB", to="numpy"))


def test_keys_of_genes_that_the_first_file_lacks(tmp_path: Path) -> None:
    x = sp.csr_matrix(np.float32([[1, 2], [3, 4]]))
    a = write(tmp_path / "a.h5ad", x, [], pd.DataFrame({"symbol": ["SA", "SB"]}, index=["A", "B"]))
    b = write(tmp_path / "b.h5ad", x, [], pd.DataFrame({"symbol": ["sb", "SC"]}, index=["B", "C"]))
    ds = penstock.open([a, b], join="outer")
    panel = ds.select_vars(["SC", "SA", "sb"], key="symbol", missing="drop")
    assert panel.var_names.tolist() == ["C", "A"]  # of B the first file's word counts
    np.testing.assert_array_equal(panel.to_anndata().X.toarray(), [[0, 1], [0, 3], [2, 0], [4, 0]])


def test_a_value_that_is_missing_names_no_gene(files: dict[str, Path]) -> None:
    zero = penstock.open(files["h5ad"]).select_vars(["250", "absent"], key="n", missing="zero")
    with pytest.raises(KeyError):
        zero.select_vars([""], key="n")
    with pytest.raises(ValueError, match="gene of zeros would be called 'ENSG00007'"):
        penstock.open(files["h5ad"]).select_vars(["7", "ENSG00007"], key="n", missing="zero")


def test_var_of_a_first_file_without_genes(tmp_path: Path) -> None:
    none = write(tmp_path / "none.h5ad", sp.csr_matrix((2, 0), dtype=np.float32), [])
    some = write(tmp_path / "some.h5ad", sp.csr_matrix(np.float32([[1, 2]])), ["A", "B"])
    ds = penstock.open([none, some], join="outer")
    assert ds.shape == (3, 2) and ds.var.shape[0] == 2
