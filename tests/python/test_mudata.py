"""MuData files: a modality is read as the AnnData object that it is."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata.io import read_elem, write_elem
from support import SHARED, assert_same, framework, random_csr, random_obs, to_scipy
from test_cli import COMMAND, run

import penstock

RNA, PROT = 700, 500  # cells; the second modality has some of the first one's


def modality(seed: int, n: int, genes: int, names: list[str]) -> ad.AnnData:
    rng = np.random.default_rng(seed)
    x = random_csr(rng, n, genes)
    obs = random_obs(rng, n)
    obs.index = pd.Index(names)
    var = pd.DataFrame(
        {"chromosome": rng.integers(1, 23, genes)}, index=[f"g{seed}_{i}" for i in range(genes)]
    )
    adata = ad.AnnData(x, obs=obs, var=var, layers={"double": x * 2})
    adata.raw = ad.AnnData(random_csr(rng, n, genes + 5), obs=obs)
    adata.obsm["X_pca"] = rng.standard_normal((n, 4)).astype(np.float32)
    return adata


@pytest.fixture(scope="module")
def objects() -> dict[str, ad.AnnData]:
    names = [f"cell{i}" for i in range(RNA)]
    rng = np.random.default_rng(7)
    some = [names[i] for i in rng.permutation(RNA)[:PROT]]
    return {"rna": modality(1, RNA, 60, names), "prot": modality(2, PROT, 12, some)}


@pytest.fixture(scope="module")
def path(objects: dict[str, ad.AnnData], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As mudata writes one (https://mudata.readthedocs.io/stable/io/spec.html), without the package."""
    out = tmp_path_factory.mktemp("mudata") / "cells.h5mu"
    with h5py.File(out, "w") as file:
        file.attrs.update({"encoding-type": "MuData", "encoding-version": "0.1.0"})
        for name, adata in objects.items():
            write_elem(file, f"mod/{name}", adata)
        file["mod"].attrs["mod-order"] = np.array(list(objects), dtype=h5py.string_dtype())
        write_elem(file, "obs", pd.DataFrame({"all": np.arange(RNA)}, index=objects["rna"].obs_names))
        names = [name for adata in objects.values() for name in adata.var_names]
        write_elem(file, "var", pd.DataFrame(index=names))
        write_elem(file, "obsm", {"rna": np.ones((RNA, 1), dtype=bool)})
    return out


def matrices_of(adata: ad.AnnData) -> dict[str, Any]:
    return {"X": adata.X, "raw/X": adata.raw.X, "layers/double": adata.layers["double"]}


@pytest.mark.parametrize("matrix", ["X", "raw/X", "layers/double"])
@pytest.mark.parametrize("name", ["rna", "prot"])
def test_a_modality_is_an_anndata(path: Path, objects: dict[str, ad.AnnData], name: str, matrix: str) -> None:
    adata = objects[name]
    ds = penstock.open(path, matrix=f"mod/{name}/{matrix}")
    assert ds.matrix == f"mod/{name}/{matrix}"
    assert list(ds.obs_names) == list(adata.obs_names)
    assert list(ds.var_names) == list((adata.raw if matrix == "raw/X" else adata).var_names)
    assert list(ds.obs["colour"]) == list(adata.obs["colour"])
    wanted = sp.csr_matrix(matrices_of(adata)[matrix])
    with penstock.Loader(
        ds, batch_size=64, memory="32MB", to="numpy", obs=["colour"], obsm=["X_pca"]
    ) as loader:
        seen = 0
        for batch in loader:
            assert_same(to_scipy(batch.X), wanted[batch.index])
            np.testing.assert_array_equal(batch.obsm["X_pca"], adata.obsm["X_pca"][batch.index])
            seen += batch.n_obs
    assert seen == adata.n_obs
    found = ds.to_anndata()
    assert list(found.layers) == (["double"] if "layers" in matrix else [])
    assert_same(sp.csr_matrix(found.X), wanted)


def test_the_file_itself_has_tables_and_says_what_to_choose(path: Path) -> None:
    ds = penstock.open(path)
    assert list(ds.obs["all"]) == list(range(RNA))
    with pytest.raises(
        KeyError, match=r'open another matrix with matrix="mod/rna/X" or matrix="mod/rna/raw/X"'
    ):
        penstock.Loader(ds, memory="32MB", to="numpy")


@pytest.mark.parametrize(
    ("matrix", "text"),
    [
        ("mod/rma/X", r'did you mean matrix="mod/rna/X"\?'),
        ("mod/rna", r'expected "mod/NAME/X", .*did you mean matrix="mod/rna/X"\?'),
        ("mod/rna/doubl", r'expected "mod/rna/X", .*did you mean matrix="mod/rna/layers/double"\?'),
        ("layers/double", r'/layers/double does not exist; open another matrix with matrix="mod/rna/X"'),
        ("mod/rna/layers/counts", r'does not exist; open another matrix with matrix="mod/rna/X"'),
    ],
)
def test_what_is_not_there_is_said_with_what_is(path: Path, matrix: str, text: str) -> None:
    with pytest.raises((ValueError, KeyError), match=text):
        penstock.open(path, matrix=matrix)


def test_advice_stays_in_the_modality(path: Path, tmp_path: Path) -> None:
    """Counts of another modality are no counts of this one."""
    copy = tmp_path / "a.h5mu"
    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "r+") as file:
        for matrix in ("mod/rna/X", "mod/rna/raw/X", "mod/rna/layers/double"):
            file[matrix]["data"][:] += 0.25
    assert not penstock.open(copy, matrix="mod/rna/X").notes
    with h5py.File(copy, "r+") as file:
        file["mod/rna/layers/double"]["data"][:] += 0.75
    (note,) = penstock.open(copy, matrix="mod/rna/X").notes
    assert 'mod/rna/layers/double holds counts: open it with matrix="mod/rna/layers/double"' in note


@pytest.mark.skipif(COMMAND is None, reason="the command is not built")
def test_info_and_verify_go_through_all(path: Path, tmp_path: Path) -> None:
    everything = ["mod/rna/X", "mod/rna/raw/X", "mod/rna/layers/double"]
    everything += [name.replace("rna", "prot") for name in everything]
    (info,) = json.loads(run("info", "--json", str(path)).stdout)
    assert info["other_matrices"] == everything
    (info,) = json.loads(run("info", "--json", "--matrix", "mod/prot/X", str(path)).stdout)
    assert (info["n_obs"], info["n_vars"], info["other_matrices"]) == (PROT, 12, everything[4:])
    (verdict,) = json.loads(run("verify", "--json", str(path)).stdout)
    assert verdict["bad"] == 0 and set(everything) < set(verdict["matrices"])
    assert "mod/prot/obsm/X_pca" in verdict["matrices"]
    copy = tmp_path / "a.h5mu"
    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "r+") as file:
        file["mod/prot/X/indices"][5] = 12
    done = run("verify", str(copy))
    assert done.returncode != 0 and "/mod/prot/X/indices" in done.stdout + done.stderr
    assert run("verify", "--matrix", "mod/rna/X", str(copy)).returncode == 0


@pytest.mark.skipif(COMMAND is None, reason="the command is not built")
def test_an_x_beside_modalities_is_read_and_verified(
    path: Path, objects: dict[str, ad.AnnData], tmp_path: Path
) -> None:
    copy = tmp_path / "a.h5mu"
    copy.write_bytes(path.read_bytes())
    with h5py.File(copy, "r+") as file:
        del file["var"]
        write_elem(file, "X", objects["rna"].X)
        write_elem(file, "var", pd.DataFrame(index=objects["rna"].var_names))
    assert_same(sp.csr_matrix(penstock.open(copy).to_anndata().X), objects["rna"].X)
    (verdict,) = json.loads(run("verify", "--json", str(copy)).stdout)
    assert verdict["bad"] == 0 and "X" in verdict["matrices"]


def test_a_modality_crosses_processes_and_runs(path: Path, objects: dict[str, ad.AnnData]) -> None:
    """A pickled Dataset is that modality, a selection too, and a run goes on where it was."""
    ds = penstock.open(path, matrix="mod/prot/X")
    part = pickle.loads(pickle.dumps(ds.query("colour == 'red'")))
    wanted = objects["prot"][objects["prot"].obs["colour"] == "red"]
    assert part.matrix == "mod/prot/X" and list(part.obs_names) == list(wanted.obs_names)
    options: dict[str, Any] = {"batch_size": 64, "memory": "32MB", "to": "numpy", "seed": 3}
    with penstock.Loader(ds, **options) as first, penstock.Loader(ds, **options) as second:
        whole = [batch.index.copy() for batch in first]
        first.set_epoch(0)
        batches = iter(first)
        begun = [next(batches).index.copy() for _ in range(3)]
        second.load_state_dict(first.state_dict())
        rest = [batch.index.copy() for batch in second]
    np.testing.assert_array_equal(np.concatenate(begun + rest), np.concatenate(whole))


@pytest.mark.conformance
@pytest.mark.skipif(not SHARED.exists(), reason="no shared data")
def test_a_real_file_equals_what_anndata_reads() -> None:
    real = SHARED / "mudata_v0.4.1_mdata_axis0.h5mu"
    (verdict,) = json.loads(run("verify", "--json", str(real)).stdout)
    assert verdict["bad"] == 0
    for name in ("mod1", "mod2"):
        with h5py.File(real) as file:
            x = read_elem(file[f"mod/{name}/X"])
            var_names = list(read_elem(file[f"mod/{name}/var"]).index)
        ds = penstock.open(real, matrix=f"mod/{name}/X")
        assert list(ds.var_names) == var_names
        np.testing.assert_array_equal(ds.to_anndata().X.toarray(), x)


def test_files_that_mudata_writes(objects: dict[str, ad.AnnData], tmp_path: Path) -> None:
    mudata = framework("mudata")
    mudata.MuData({name: adata.copy() for name, adata in objects.items()}).write(tmp_path / "a.h5mu")
    for name, adata in objects.items():
        ds = penstock.open(tmp_path / "a.h5mu", matrix=f"mod/{name}/X")
        assert list(ds.obs_names) == list(adata.obs_names)
        assert_same(sp.csr_matrix(ds.to_anndata().X), sp.csr_matrix(adata.X))
