"""What can be opened, and what a Dataset says about it."""

from __future__ import annotations

import errno
import pathlib

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from support import random_csr, random_obs, write_h5ad

import penstock


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, n in (("b", 4), ("a", 3), ("c", 5)):
        write_h5ad(tmp_path / f"{name}.h5ad", random_csr(rng, n, 6), random_obs(rng, n))
    (tmp_path / "notes.txt").write_text("not a matrix")
    return tmp_path


def names(ds):
    return [pathlib.Path(f.path).name for f in ds.files]


@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_path(folder, kind):
    ds = penstock.open(kind(folder / "a.h5ad"))
    assert ds.shape == (3, 6) and len(ds) == 3 and ds.n_obs == 3 and ds.n_vars == 6


def test_glob_and_directory_are_sorted_by_name(folder):
    assert names(penstock.open(str(folder / "*.h5ad"))) == ["a.h5ad", "b.h5ad", "c.h5ad"]
    assert names(penstock.open(folder)) == ["a.h5ad", "b.h5ad", "c.h5ad"]
    assert names(penstock.open(str(folder / "[ac].h5ad"))) == ["a.h5ad", "c.h5ad"]


def test_list_keeps_its_order(folder):
    paths = [folder / "c.h5ad", folder / "a.h5ad", str(folder / "b*")]
    assert names(penstock.open(paths)) == ["c.h5ad", "a.h5ad", "b.h5ad"]


def test_a_name_with_brackets_is_a_file(folder):
    (folder / "a.h5ad").rename(folder / "odd[1].h5ad")
    assert penstock.open(folder / "odd[1].h5ad").n_obs == 3


@pytest.mark.parametrize("paths", ["none*.h5ad", "missing.h5ad", "sub"])
def test_nothing_there(tmp_path, paths):
    (tmp_path / "sub").mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        penstock.open(tmp_path / paths)
    assert paths.strip("*").split("*")[0] in str(caught.value)
    assert caught.value.errno == errno.ENOENT


def test_bad_arguments(folder):
    with pytest.raises(ValueError, match="empty"):
        penstock.open([])
    with pytest.raises(TypeError):
        penstock.open(3)
    with pytest.raises(NotImplementedError, match="local files"):
        penstock.open("s3://bucket/a.h5ad")
    with pytest.raises(ValueError, match="bytes"):
        penstock.open(folder, index_memory="lots")
    with pytest.raises(penstock.MemoryBudgetError):
        penstock.open(folder, index_memory=100)
    with pytest.raises(ValueError):
        penstock.open(folder, join="sideways")
    with pytest.raises(TypeError, match="penstock.open"):
        penstock.Dataset(folder)


def test_not_a_matrix(folder, tmp_path):
    with pytest.raises(penstock.CorruptFileError, match=r"notes\.txt"):
        penstock.open(folder / "notes.txt")
    with h5py.File(tmp_path / "plain.h5ad", "w") as file:
        file["x"] = [1, 2, 3]
    with pytest.raises((KeyError, penstock.CorruptFileError, NotImplementedError), match=r"plain\.h5ad"):
        penstock.open(tmp_path / "plain.h5ad")


def test_missing_matrix_lists_what_there_is(tmp_path):
    x = random_csr(np.random.default_rng(0), 4, 6)
    path = write_h5ad(tmp_path / "a.h5ad", x, layers={"counts": x})
    with pytest.raises(KeyError, match="counts"):
        penstock.open(path, matrix="layers/count")
    with pytest.raises(ValueError, match="matrix"):
        penstock.open(path, matrix="Y")


@pytest.mark.parametrize(
    ("matrix", "meant"),
    [
        ("counts", "layers/counts"), ("Counts", "layers/counts"), ("layer/counts", "layers/counts"),
        ("raw", "raw/X"), ("raw.X", "raw/X"), ("x", "X"), ("layers/", "layers/counts"), ("what", None),
    ],
)  # fmt: skip
def test_a_matrix_that_may_be_meant(tmp_path, matrix, meant):
    x = random_csr(np.random.default_rng(0), 4, 6)
    path = write_h5ad(tmp_path / "a.h5ad", x, raw=x, layers={"counts": x})
    hint = (
        f'did you mean matrix="{meant}"'
        if meant
        else 'matrix="X" or matrix="raw/X" or matrix="layers/counts"'
    )
    if matrix == "layers/":
        hint = 'matrix="layers/counts"'
    with pytest.raises(ValueError, match=f"a.h5ad: matrix='{matrix}': expected.*{hint}"):
        penstock.open(path, matrix=matrix)


def test_options_of_other_libraries_are_hinted_at(corpus):
    for options, hint in (
        ({"layer": "counts"}, 'takes no layer=; use matrix="layers/counts"'),
        ({"use_raw": True}, 'use matrix="raw/X"'),
        ({"matrx": "X"}, "takes no matrx=; did you mean 'matrix'"),
        ({"whatever": 1}, "takes no whatever=; there are: paths, matrix"),
    ):
        with pytest.raises(TypeError, match=hint):
            penstock.open(corpus.paths, **options)
    for options, hint in (
        ({"batchsize": 3}, "did you mean 'batch_size'"), ({"layer": "raw"}, 'penstock.open'),
        ({"num_workers": 2}, "use threads="), ({"labels": ["line"]}, "use obs="),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=f"penstock.Loader takes no .*{hint}"):
            penstock.Loader(corpus.open(), **options)


def test_what_anndata_has_and_a_dataset_has_not(tmp_path, corpus):
    x = random_csr(np.random.default_rng(0), 4, 6)
    ds = penstock.open(write_h5ad(tmp_path / "a.h5ad", x, raw=x, layers={"counts": x}))
    for name, hint in (
        ("X", r"penstock.Loader\(ds\)"), ("layers", r'matrix="layers/NAME"\) \(this file has raw/X, layers/counts\)'),
        ("raw", 'matrix="raw/X"'), ("obsm", "obsm_entries"), ("n_var", "did you mean 'n_vars'"),
        ("whatever", "a Dataset has no 'whatever'$"),
    ):  # fmt: skip
        with pytest.raises(AttributeError, match=hint):
            getattr(ds, name)
        assert not hasattr(ds, name)
    with pytest.raises(AttributeError, match=r"a Dataset has no 'colour', but obs has: ds.obs\['colour'\]"):
        _ = corpus.open().colour
    with pytest.raises(AttributeError, match="did you mean 'colour'"):
        _ = corpus.open().color


def test_a_folder_that_is_missing_is_named(tmp_path, corpus):
    (tmp_path / "there").mkdir()
    for path in (
        tmp_path / "gone" / "deep" / "a.h5ad",
        tmp_path / "gone" / "*.h5ad",
        tmp_path / "gone" / "**" / "a.h5ad",
    ):
        with pytest.raises(FileNotFoundError, match=f"there is no folder '{tmp_path / 'gone'}'"):
            penstock.open(path)
    for path in (tmp_path / "a.h5ad", tmp_path / "there" / "*.h5ad", tmp_path / "there" / "*" / "a.h5ad"):
        with pytest.raises(FileNotFoundError) as caught:
            penstock.open(path)
        assert "there is no folder" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"'.*part0.h5ad' is no folder"):
        penstock.open(f"{corpus.paths[0]}/a.h5ad")
    with pytest.raises(OSError, match="there is no folder"):
        corpus.open().selection.save(tmp_path / "gone" / "a.rows")


def test_what_is_no_matrix_is_named(tmp_path):
    with h5py.File(write_h5ad(tmp_path / "a.h5ad", random_csr(np.random.default_rng(0), 4, 6)), "r+") as file:
        del file["X"]
        file["X"] = np.zeros((4, 6, 2), dtype=np.float32)
    with pytest.raises(NotImplementedError, match="3 dimensions"):
        penstock.open(tmp_path / "a.h5ad")


def test_var_names_must_agree(tmp_path):
    rng = np.random.default_rng(0)
    genes = [f"g{i}" for i in range(6)]
    write_h5ad(tmp_path / "a.h5ad", random_csr(rng, 3, 6), var=pd.DataFrame(index=genes))
    genes[4] = "other"
    write_h5ad(tmp_path / "b.h5ad", random_csr(rng, 3, 6), var=pd.DataFrame(index=genes))
    with pytest.raises(ValueError) as caught:
        penstock.open(tmp_path)
    message = str(caught.value)
    assert "g4" in message and "other" in message and "b.h5ad" in message
    write_h5ad(tmp_path / "b.h5ad", random_csr(rng, 3, 5))
    with pytest.raises(ValueError, match="5"):
        penstock.open(tmp_path)


def test_matrices(tmp_path):
    rng = np.random.default_rng(0)
    x, raw, counts = random_csr(rng, 9, 6, counts=False), random_csr(rng, 9, 8), random_csr(rng, 9, 6)
    path = write_h5ad(tmp_path / "a.h5ad", x, raw=raw, layers={"counts": counts})
    for matrix, expected in (("X", x), ("raw/X", raw), ("layers/counts", counts)):
        ds = penstock.open(path, matrix=matrix)
        assert ds.shape == expected.shape and ds.matrix == matrix
        np.testing.assert_array_equal(ds.to_anndata().X.toarray(), expected.toarray())
    assert list(penstock.open(path, matrix="raw/X").var_names) == [f"r{i}" for i in range(8)]


def test_advice_when_x_is_not_counts(tmp_path):
    rng = np.random.default_rng(0)
    path = write_h5ad(tmp_path / "a.h5ad", random_csr(rng, 90, 6, counts=False), raw=random_csr(rng, 90, 8))
    ds = penstock.open(path)
    assert any("raw/X" in note for note in ds.notes)
    assert "raw/X" in repr(ds)
    assert any("raw/X" in note for note in penstock.Loader(ds, to="numpy", memory="64MB").plan.notes)
    assert [note.kind for note in ds.notes] == ["not_counts"]
    assert "not_counts" in [note.kind for note in penstock.Loader(ds, to="numpy", memory="64MB").plan.notes]
    assert not penstock.open(path, matrix="raw/X").notes


def test_var_key(tmp_path):
    x = random_csr(np.random.default_rng(0), 4, 3)
    var = pd.DataFrame({"symbol": ["TP53", "MYC", "KRAS"]}, index=["e1", "e2", "e3"])
    path = write_h5ad(tmp_path / "a.h5ad", x, var=var)
    assert list(penstock.open(path).var_names) == ["e1", "e2", "e3"]
    assert list(penstock.open(path, var_key="symbol").var_names) == ["TP53", "MYC", "KRAS"]
    with pytest.raises(KeyError, match="symbol"):
        penstock.open(path, var_key="symbl")


def test_metadata(corpus):
    ds = corpus.open()
    assert list(ds.obs.columns) == list(corpus.obs.columns)
    assert list(ds.obs_names) == list(corpus.obs.index)
    assert isinstance(ds.obs_names, pd.Index) and isinstance(ds.var, pd.DataFrame)
    assert list(ds.var_names) == list(ds.var.index) == [f"g{i}" for i in range(90)]
    for name in corpus.obs.columns:
        found, expected = ds.obs[name], corpus.obs[name].reset_index(drop=True)
        if isinstance(expected.dtype, pd.CategoricalDtype):
            assert isinstance(found.dtype, pd.CategoricalDtype)
            found, expected = found.astype(object), expected.astype(object)
        pd.testing.assert_series_equal(found, expected, check_index_type=False)
    assert ds.nbytes > 0
    assert [f.n_obs for f in ds.files] == [700, 1, 2300]
    assert [f.first_row for f in ds.files] == [0, 700, 701]
    assert sum(f.entries for f in ds.files) == corpus.x.nnz
    assert "gzip" in ds.files[0].layout or "deflate" in ds.files[0].layout


def test_obs_table(corpus):
    ds = corpus.open()
    assert list(ds.obs[["n", "flag"]].columns) == ["n", "flag"]
    head = ds.obs.head(3)
    assert list(head.index) == list(corpus.obs.index[:3]) and list(head.columns) == list(corpus.obs.columns)
    assert "colour" in ds.obs and "nothing" not in ds.obs and len(ds.obs) == 3001
    assert list(ds.obs) == list(ds.obs.columns)
    assert ds.obs.dtypes["colour"] == "category"
    assert "score32" in repr(ds.obs)


def test_missing_column_suggests_near_names(corpus):
    ds = corpus.open()
    for ask in (lambda: ds.obs["color"], lambda: ds.categories("color")):
        with pytest.raises(KeyError) as caught:
            ask()
        assert str(caught.value) == "obs has no column 'color'; did you mean 'colour'?"


def test_categories_are_the_sorted_union(tmp_path):
    x = random_csr(np.random.default_rng(0), 2, 3)
    one = pd.DataFrame({"c": pd.Categorical(["b", "d"], categories=["d", "b", "unused"])}, index=["1", "2"])
    two = pd.DataFrame({"c": pd.Categorical(["a", None], categories=["a"])}, index=["1", "2"])
    paths = [write_h5ad(tmp_path / "1.h5ad", x, one), write_h5ad(tmp_path / "2.h5ad", x, two)]
    ds = penstock.open(paths)
    categories = ds.categories("c")
    assert categories == sorted(categories) and {"a", "b", "d"} <= set(categories)
    assert ds[:1].categories("c") == categories
    assert list(ds.obs["c"].astype(object).fillna("-")) == ["b", "d", "a", "-"]


def test_categories_of_numbers(corpus):
    with pytest.raises(ValueError, match="score"):
        corpus.open().categories("score")


def test_locate(corpus):
    ds = corpus.open()
    assert ds.locate(0) == (corpus.paths[0], 0)
    assert ds.locate(700) == (corpus.paths[1], 0)
    assert ds.locate(np.int64(3000)) == (corpus.paths[2], 2299)
    assert ds[10:20].locate(2999) == (corpus.paths[2], 2298)
    for bad in (-1, 3001):
        with pytest.raises(IndexError):
            ds.locate(bad)


def test_repr(corpus):
    ds = corpus.open()
    text = repr(ds)
    assert "3,001 obs × 90 vars" in text and "3 files" in text and "colour" in text
    assert "<table>" in ds._repr_html_() and "3,001" in ds._repr_html_()
    assert "10 of 3,001 obs" in repr(ds[:10])


def test_to_anndata(corpus):
    ds = corpus.open()
    adata = ds.to_anndata(slice(690, 720))
    np.testing.assert_array_equal(adata.X.toarray(), corpus.x[690:720].toarray())
    assert list(adata.obs_names) == list(corpus.obs.index[690:720])
    assert list(adata.obs["n"]) == list(corpus.obs["n"][690:720])
    assert adata.X.dtype == np.float32
    assert ds.to_anndata().shape == (3001, 90)


def test_to_anndata_has_a_layer_where_the_file_has_it(tmp_path):
    x = random_csr(np.random.default_rng(0), 40, 9)
    counts = x.copy()
    counts.data = np.ceil(counts.data * 5)
    path = write_h5ad(tmp_path / "a.h5ad", x, layers={"counts": counts}, raw=counts)
    for rows in (None, slice(3, 30), [9, 2, 9]):
        found = penstock.open(path, matrix="layers/counts").to_anndata(rows)
        expected = counts if rows is None else counts[rows]
        assert list(found.layers) == ["counts"] and found.raw is None
        for matrix in (found.X, found.layers["counts"]):
            np.testing.assert_array_equal(matrix.toarray(), expected.toarray())
        found.X.data[:] = 0  # as normalisation in place does
        np.testing.assert_array_equal(found.layers["counts"].toarray(), expected.toarray())
        for matrix in ("X", "raw/X"):
            found = penstock.open(path, matrix=matrix).to_anndata(rows)
            assert not found.layers and found.raw is None


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]
)
def test_value_types(tmp_path, dtype):
    x = random_csr(np.random.default_rng(0), 50, 9, dtype=dtype)
    ds = penstock.open(write_h5ad(tmp_path / "a.h5ad", x, chunks=17, compression="gzip", shuffle=True))
    assert ds.dtype == np.dtype(dtype)
    found = ds.to_anndata().X
    assert found.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(found.toarray(), x.toarray())


def test_empty_matrices(tmp_path):
    for name, shape in (("none", (0, 5)), ("blank", (4, 5))):
        ds = penstock.open(write_h5ad(tmp_path / f"{name}.h5ad", sp.csr_matrix(shape, dtype=np.float32)))
        assert ds.shape == shape and ds.to_anndata().X.nnz == 0
