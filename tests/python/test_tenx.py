"""10x Genomics' .h5 files: as scanpy.read_10x_h5 names and shapes them, in batches that equal its matrix."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from support import SHARED, assert_same, batches_of_damaged, canonical, random_csr, to_scipy

import penstock

FILES = sorted(
    p.name for p in SHARED.glob("*.h5") if "10x" in p.name or "visium" in p.name or "brain" in p.name
)


def strings(values: list[str]) -> np.ndarray[Any, Any]:
    return np.array(values, dtype="S")


def write_matrix(group: h5py.Group, x: sp.csr_matrix) -> None:
    """Cells x features as CSC of features x cells."""
    group["data"] = x.data.astype(np.int32)
    group["indices"] = x.indices.astype(np.int64)
    group["indptr"] = x.indptr.astype(np.int64)
    group["shape"] = np.array(x.shape[::-1], dtype=np.int32)
    group["barcodes"] = strings([f"AAAC-{i}" for i in range(x.shape[0])])


def write_v3(path: Path, x: sp.csr_matrix, types: list[str], genomes: list[str]) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        write_matrix(group, x)
        n = x.shape[1]
        features = group.create_group("features")
        features["id"] = strings([f"ENSG{i}" for i in range(n)])
        features["name"] = strings([f"g{i}" for i in range(n)])
        features["feature_type"], features["genome"] = strings(types), strings(genomes)
        features["_all_tag_keys"] = strings(["genome"])
    return path


def write_v2(path: Path, matrices: dict[str, sp.csr_matrix]) -> Path:
    with h5py.File(path, "w") as file:
        for genome, x in matrices.items():
            group = file.create_group(genome)
            write_matrix(group, x)
            group["genes"] = strings([f"ENSG{i}" for i in range(x.shape[1])])
            group["gene_names"] = strings([f"g{i}" for i in range(x.shape[1])])
    return path


def assert_matrix(ds: penstock.Dataset, x: sp.csr_matrix) -> None:
    assert ds.shape == x.shape
    reference = canonical(sp.csr_matrix(x)).astype(np.float32)
    for options in ({"shuffle": False}, {}):
        loader = penstock.Loader(ds, batch_size=50, memory="128MB", to="numpy", **options)
        rows = []
        for batch in loader:
            assert_same(to_scipy(batch.X), reference[batch.index])
            rows.append(batch.index.copy())
        np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(len(ds)))


@pytest.mark.conformance
@pytest.mark.parametrize("name", FILES)
def test_real_files(name):
    scanpy = pytest.importorskip("scanpy")
    path = SHARED / name
    with h5py.File(path) as file:
        genomes = [] if "matrix" in file else list(file)
    for genome in genomes if len(genomes) > 1 else [None]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                adata = scanpy.read_10x_h5(path, genome=genome, gex_only=False)
            except Exception:
                pytest.skip("scanpy does not read it")
        ds = penstock.open(path, genome=genome)
        assert list(ds.obs_names) == list(adata.obs_names) and list(ds.var_names) == list(adata.var_names)
        for column in adata.var.columns:
            assert list(ds.var[column].astype(str)) == list(adata.var[column].astype(str))
        assert_matrix(ds, sp.csr_matrix(adata.X))


def test_features_are_chosen_by_type_and_genome(tmp_path):
    x = random_csr(np.random.default_rng(0), 120, 6)
    types = ["Gene Expression", "Antibody Capture", "Gene Expression", "Gene Expression", "Peaks", "Peaks"]
    genomes = ["GRCh38", "", "mm10", "GRCh38", "GRCh38", "mm10"]
    path = write_v3(tmp_path / "a.h5", x, types, genomes)
    ds = penstock.open(path)
    assert_matrix(ds, x)
    assert any("3 Gene Expression" in note for note in ds.notes)
    assert list(ds.var.columns) == ["gene_ids", "feature_types", "genome"]
    genes = penstock.open(path, feature_type="Gene Expression")
    assert_matrix(genes, x[:, [0, 2, 3]])
    assert list(genes.var["gene_ids"]) == ["ENSG0", "ENSG2", "ENSG3"]
    assert_matrix(penstock.open(path, feature_type="Gene Expression", genome="mm10"), x[:, [2]])
    assert_matrix(genes[:, ["g3", "g0"]], x[:, [3, 0]])
    with pytest.raises(KeyError, match="'Antibody Capture'"):
        penstock.open(path, feature_type="Antibody")
    with pytest.raises(KeyError, match="GRCh38"):
        penstock.open(path, genome="hg19")
    with pytest.raises(
        KeyError, match="no feature has both genome='mm10' and feature_type='Antibody Capture'"
    ):
        penstock.open(path, feature_type="Antibody Capture", genome="mm10")
    with pytest.raises(ValueError, match="genome="):
        penstock.open(path, matrix="layers/counts")


def test_other_files_have_no_features_to_choose_from(tmp_path):
    x = random_csr(np.random.default_rng(2), 10, 4)
    h5ad, parquet = tmp_path / "a.h5ad", tmp_path / "a.parquet"
    anndata.AnnData(x).write_h5ad(h5ad)
    frame = pd.DataFrame(x.toarray(), columns=list("abcd"))
    frame.to_parquet(parquet)
    for path in (h5ad, parquet):
        for option in ({"genome": "mm10"}, {"feature_type": "Gene Expression"}):
            with pytest.raises(ValueError, match="10x"):
                penstock.open(path, **option)


def test_genomes_of_version_2(tmp_path):
    rng = np.random.default_rng(1)
    matrices = {"hg19": random_csr(rng, 70, 8), "mm10": random_csr(rng, 30, 5)}
    path = write_v2(tmp_path / "a.h5", matrices)
    for genome, x in matrices.items():
        ds = penstock.open(path, genome=genome)
        assert_matrix(ds, x)
        assert list(ds.var.columns) == ["gene_ids"] and ds.var_names[2] == "g2"
    with pytest.raises(ValueError, match="'hg19', 'mm10'"):
        penstock.open(path)
    with pytest.raises(KeyError, match="mm10"):
        penstock.open(path, genome="mm9")
    assert_matrix(penstock.open(write_v2(tmp_path / "b.h5", {"mm10": matrices["mm10"]})), matrices["mm10"])


def test_what_contradicts_itself_is_corrupt(tmp_path):
    x = random_csr(np.random.default_rng(2), 20, 4)
    path = write_v3(tmp_path / "a.h5", x, ["Gene Expression"] * 4, ["a"] * 4)
    with h5py.File(path, "r+") as file:
        del file["matrix/shape"]
        file["matrix/shape"] = np.array([5, 20])
    with pytest.raises(penstock.CorruptFileError, match="5 features"):
        penstock.open(path)


def test_features_that_are_codes_are_refused(tmp_path):
    x = random_csr(np.random.default_rng(2), 20, 4)
    path = write_v3(tmp_path / "a.h5", x, ["Gene Expression"] * 4, ["a"] * 4)
    with h5py.File(path, "r+") as file:
        features = file["matrix/features"]
        del features["name"]
        features["name"] = np.full(4, -1, dtype=np.int8)
        features["name"].attrs["categories"] = features["id"].ref
    with pytest.raises(NotImplementedError, match="features/name: a categorical"):
        penstock.open(path)


def test_damage_is_an_error_and_never_a_crash(tmp_path):
    x = random_csr(np.random.default_rng(3), 60, 10)
    good = write_v3(tmp_path / "a.h5", x, ["Gene Expression"] * 10, ["a"] * 10).read_bytes()
    for batch in batches_of_damaged(good, tmp_path / "bad.h5", seed=4, copies=120):
        assert batch.X.shape[0] == len(batch.index)
