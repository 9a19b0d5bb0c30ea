"""The notebooks of examples/notebooks run, warn of nothing, draw, and are stored without outputs.

Without outputs: those hold paths, times and pictures of one machine, would differ after every run, and nobody would
see when they stop being true. What a notebook shows is what it shows here; docs/notebooks.md has its pictures.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import ROOT, framework

FOLDER = ROOT / "examples" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SECONDS = 240  # of a cell, on a busy machine; a whole notebook takes 10 to 20


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def code_of(notebook: Any) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def missing(notebook: Any) -> list[str]:
    """Packages that a notebook imports and that are not installed."""
    code = "\n".join(code_of(notebook))
    names = set(re.findall(r"^(?:import|from) (\w+)", code, re.M)) - {
        path.stem for path in FOLDER.glob("*.py")
    }
    return sorted(name for name in names if importlib.util.find_spec(name) is None)


@pytest.fixture
def quiet_kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A kernel that sees no settings of this user, and no ranks of whoever runs the tests."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / "settings"))
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MPLBACKEND"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.slow
@pytest.mark.usefixtures("quiet_kernel")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path: Path, tmp_path: Path) -> None:
    nbclient, nbformat = framework("nbclient"), framework("nbformat")
    framework("ipykernel")
    absent = missing(read(path))
    if absent and os.environ.get("PENSTOCK_FRAMEWORKS") != "required":
        pytest.skip(f"{', '.join(absent)} not installed (make setup-test)")
    work = tmp_path / "notebooks"
    shutil.copytree(FOLDER, work, ignore=shutil.ignore_patterns("cells", "__pycache__"))
    notebook = nbformat.read(path, as_version=4)
    # The kernel is this Python, whichever kernels the machine knows by this name.
    notebook.cells.insert(
        0, nbformat.v4.new_code_cell(f"import sys\nassert sys.prefix == {sys.prefix!r}, sys.prefix")
    )
    client = nbclient.NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(work)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    said = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert not said, "warnings: they say something to whoever reads the notebook, or are to be avoided"
    pictures = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert pictures, "a notebook shows something"
    for picture in pictures:
        check_picture(base64.b64decode(picture))


def check_picture(png: bytes) -> None:
    """Not empty, and readable on a page."""
    from matplotlib import pyplot as plt

    pixels = plt.imread(io.BytesIO(png))[..., :3]
    assert 300 <= pixels.shape[0] <= 1000 and 400 <= pixels.shape[1] <= 1400
    ink = (np.ptp(pixels, axis=2) > 0.2).mean()  # of any colour: axes and text are black
    assert 0.001 < ink < 0.9


def test_stored_without_outputs() -> None:
    assert len(NOTEBOOKS) >= 4
    for path in NOTEBOOKS:
        notebook = read(path)
        assert notebook["nbformat"] == 4 and notebook["metadata"]["kernelspec"]["name"] == "python3", (
            path.name
        )
        # No version and no path of the machine that it was last run on.
        assert set(notebook["metadata"]) <= {"kernelspec", "language_info"}, path.name
        assert set(notebook["metadata"]["language_info"]) == {"name"}, path.name
        for cell in notebook["cells"]:
            assert not cell["metadata"], (path.name, cell["id"])
            if cell["cell_type"] == "code":
                assert cell["outputs"] == [] and cell["execution_count"] is None, (path.name, cell["id"])
        first = notebook["cells"][0]
        assert first["cell_type"] == "markdown" and "".join(first["source"]).startswith("# "), path.name
        assert path.stat().st_size < 30_000, path.name


def test_an_empty_picture_is_found() -> None:
    from matplotlib import pyplot as plt

    def drawn(points: list[int]) -> bytes:
        figure, axes = plt.subplots(figsize=(6, 4))
        axes.plot(points)
        file = io.BytesIO()
        figure.savefig(file)
        plt.close(figure)
        return file.getvalue()

    check_picture(drawn([1, 3, 2]))
    with pytest.raises(AssertionError):
        check_picture(drawn([]))
