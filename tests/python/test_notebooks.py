"""The notebooks of examples/notebooks run, warn of nothing, draw, and are stored without outputs.

Without outputs: those hold paths, times and pictures of one machine, would differ after every run, and nobody would
see when they stop being true. What a notebook shows is what it shows here; docs/notebooks.md has its pictures.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import framework

import run_notebooks
from run_notebooks import FOLDER

NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


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


# In kill_and_resume.ipynb, of each training that it starts.
AS_MEANT = "assert code == (0 if kill_after is None else -signal.SIGKILL)"


def executed(path: Path, folder: Path) -> Any:
    """The notebook with its outputs. On a busy machine a training may be done before it is killed: that alone, the
    exit code 0 where a kill was meant, is tried again."""
    import nbclient.exceptions

    leave_out = shutil.ignore_patterns("cells", "__pycache__")
    copy = shutil.copytree(FOLDER.parent, folder / "examples", ignore=leave_out) / FOLDER.name / path.name
    copy.write_text(path.read_text().replace(AS_MEANT, f"{AS_MEANT}, code"))
    for number in range(5):
        try:
            return run_notebooks.execute(copy, folder / f"try{number}" / "notebooks")
        except nbclient.exceptions.CellExecutionError as error:
            said = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
            if number == 4 or not (AS_MEANT in said and re.search(r"^AssertionError: 0$", said, re.M)):
                raise
    raise AssertionError("not reached")


@pytest.mark.slow
@pytest.mark.usefixtures("quiet_kernel")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path: Path, tmp_path: Path) -> None:
    framework("nbclient")
    framework("ipykernel")
    absent = missing(read(path))
    if absent and os.environ.get("PENSTOCK_FRAMEWORKS") != "required":
        pytest.skip(f"{', '.join(absent)} not installed (make setup-test)")
    notebook = executed(path, tmp_path)
    said = [
        output.text
        for output in run_notebooks.outputs(notebook)
        if output.output_type == "stream" and output.name == "stderr"
    ]
    assert not said, "warnings: they say something to whoever reads the notebook, or are to be avoided"
    drawn = run_notebooks.pictures(notebook)
    assert drawn, "a notebook shows something"
    for png in drawn:
        check_picture(png)


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
