"""The programs around the package: data generator, chunk list, checksum, and that demo and benchmarks still run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import anndata
import numpy as np
import pytest

import chunk_list
import draw_loader
import make_demo_data

ROOT = Path(__file__).resolve().parents[2]
SPEC = make_demo_data.Spec(cells=500, files=2, genes=2000, seed=3)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_demo_data.make(SPEC, tmp_path_factory.mktemp("data"), jobs=2, quiet=True)


def run(*command: object, data: Path) -> str:
    env = {**os.environ, "PENSTOCK_DATA": str(data)}
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=env, cwd=data)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_demo_data_has_the_shape_it_says(made: list[Path]) -> None:
    parts = [anndata.read_h5ad(file) for file in made]
    assert [p.shape for p in parts] == [(250, 2000), (250, 2000)]
    for part in parts:
        assert (part.X.dtype, part.X.indices.dtype) == (np.float32, np.int32)
        assert part.X.has_canonical_format
        assert (part.X.data >= 1).all()
        assert (np.diff(part.obs["drug"].cat.codes) >= 0).all()
        np.testing.assert_array_equal(part.obs["n_counts"], np.asarray(part.X.sum(axis=1)).ravel())
    assert not set(parts[0].obs["drug"]) & set(parts[1].obs["drug"]) - {"DMSO_TF"}
    assert list(parts[0].var_names) == list(parts[1].var_names)


def test_demo_data_is_made_once_and_the_same(made: list[Path], tmp_path: Path) -> None:
    before = [file.stat().st_mtime_ns for file in made]
    assert make_demo_data.make(SPEC, made[0].parent) == made
    assert [file.stat().st_mtime_ns for file in made] == before
    again = make_demo_data.make(SPEC, tmp_path, jobs=1, quiet=True)
    for a, b in zip(made, again, strict=True):
        assert (anndata.read_h5ad(a).X != anndata.read_h5ad(b).X).nnz == 0
    again[1].write_bytes(b"cut short")
    assert make_demo_data.complete(tmp_path, SPEC) is None


def test_chunk_list_covers_the_matrix(made: list[Path]) -> None:
    raw: list[bytes] = []
    for line in chunk_list.chunk_lines([str(made[0])]):
        path, offset, stored, size = line.split("\t")
        with open(path, "rb") as file:
            file.seek(int(offset))
            raw.append(zlib.decompress(file.read(int(stored))))
        assert len(raw[-1]) == int(size)
    x = anndata.read_h5ad(made[0]).X
    assert b"".join(raw[0::2]).startswith(x.data.tobytes())
    assert b"".join(raw[1::2]).startswith(x.indices.tobytes())


def test_checksum_ignores_order_and_nothing_else() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import bench
    finally:
        sys.path.pop(0)
    indptr, genes = np.array([0, 2, 2, 3]), np.array([1, 5, 2])
    values = np.array([1, 2, 3], np.float32)

    def of(rows: list[int], indptr: np.ndarray, genes: np.ndarray, values: np.ndarray) -> dict[str, int]:
        checksum = bench.Checksum(3)
        checksum.add_csr(np.array(rows), indptr, genes, values)
        return checksum.result()

    truth = of([0, 1, 2], indptr, genes, values)
    moved = of([2, 0, 1], np.array([0, 1, 3, 3]), genes[[2, 0, 1]], values[[2, 0, 1]])
    assert moved == truth
    dense = bench.Checksum(3)
    x = np.zeros((3, 6), np.float32)
    x[0, [1, 5]], x[2, 2] = [1, 2], 3
    dense.add_dense(np.arange(3), x)
    assert dense.result() == truth
    for wrong in (of([0, 2, 1], indptr, genes, values), of([0, 1, 2], indptr, genes, values[[1, 0, 2]])):
        assert wrong["sum"] != truth["sum"]


@pytest.mark.slow
def test_demo_runs(tmp_path: Path) -> None:
    out = run(
        sys.executable,
        ROOT / "examples" / "demo.py",
        "--cells",
        4000,
        "--output",
        tmp_path / "out",
        data=tmp_path,
    )
    lines = out.splitlines()
    assert lines[0].startswith("4 files")
    accuracy = next(
        float(w.rstrip("%")) for line in lines if "accuracy" in line for w in line.split() if "%" in w
    )
    assert accuracy > 50
    assert "waited" in lines[-3]
    assert (tmp_path / "out" / "demo.png").stat().st_size > 10_000
    assert lines[-1].endswith("report.html")
    assert "penstock-data" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.slow
def test_demo_takes_files_of_the_user(made: list[Path], tmp_path: Path) -> None:
    demo = [sys.executable, ROOT / "examples" / "demo.py", "--output", tmp_path, "--data", *made]
    assert "accuracy" in run(*demo, "--label", "plate", data=tmp_path)
    for label, message in (("cell_lime", "cell_line"), ("n_counts", "numbers, not labels")):
        done = subprocess.run([*map(str, demo), "--label", label], capture_output=True, text=True)
        assert done.returncode != 0
        assert message in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_benchmarks_run(tmp_path: Path) -> None:
    if not (ROOT / "build" / "release" / "benchmarks" / "engine_bench").exists():
        pytest.skip("build/release has no benchmarks")
    bench = ROOT / "benchmarks" / "bench.py"
    cases = run(sys.executable, bench, "--list", data=tmp_path).split()
    cases.remove("cold")  # drops caches, and temporary folders may not be on a disk
    output = tmp_path / "out"
    out = run(sys.executable, bench, "--quick", "--only", ",".join(cases), "--output", output, data=tmp_path)
    report = json.loads((output / "bench.json").read_text())
    assert report["errors"] == {}, out
    assert {f["case"] for f in report["figures"]} == set(cases)


def test_drugs_have_an_effect_when_asked(made: list[Path], tmp_path: Path) -> None:
    spec = make_demo_data.Spec(cells=600, files=2, genes=500, seed=3, drug_effect=1.0)
    assert spec.content()["drug_effect"] == 1.0 and "drug1" in make_demo_data.default_dir(spec).name
    x = anndata.read_h5ad(make_demo_data.make(spec, tmp_path, jobs=1, quiet=True)[1])
    assert (np.diff(x.obs["drug"].cat.codes) >= 0).all()
    # Cells of one drug are more alike than cells of two, whatever their lines.
    counts = np.log1p(x.X.toarray())
    alike = np.corrcoef(counts - counts.mean(0))
    drugs = np.asarray(x.obs["drug"].cat.codes)
    same = drugs[:, None] == drugs[None, :]
    assert alike[same & ~np.eye(len(drugs), dtype=bool)].mean() > alike[~same].mean() + 0.1
    # Without one the manifest says what it said before there was the option.
    assert "drug_effect" not in json.loads((made[0].parent / "manifest.json").read_text())["spec"]
    with pytest.raises(ValueError, match="drug_effect"):
        make_demo_data.make(make_demo_data.Spec(drug_effect=-1), tmp_path)


def test_drawings_are_those_of_the_script() -> None:
    for name, draw in draw_loader.PICTURES.items():
        assert (ROOT / "docs" / "images" / name).read_text() == draw(), (
            "run tools/draw_loader.py, and look at it"
        )


@pytest.mark.slow
def test_learning_benchmark_runs(tmp_path: Path) -> None:
    output = tmp_path / "out"
    script = ROOT / "benchmarks" / "learning" / "run.py"
    out = run(sys.executable, script, "--quick", "--output", output, data=tmp_path)
    report = json.loads((output / "learning.json").read_text())
    orders = [row["order"] for row in report["rows"]]
    assert orders == ["file order", "B = 1", "B = 16", "B = 64", "B = 256", "full shuffle"]
    assert len({row["steps"] for row in report["rows"]}) == 1
    bits = [row["drug_bits"] for row in report["rows"]]
    assert bits[0] < bits[2] < bits[-1]  # more blocks in the window, more drugs in a batch
    assert all(0 <= r["test_f1"] <= 1 and r["test_loss"] > 0 for r in report["results"])
    assert (output / "learning.md").read_text() in out
    assert 10_000 < (output / "learning.png").stat().st_size < 150_000
