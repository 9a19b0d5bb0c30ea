"""An environment for each competitor in build/peers, from its lock in env/; quick when it is there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VENVS = ROOT / "build" / "peers"


class EnvironmentFailed(Exception):
    pass


def _run(*command: object) -> None:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        lines = [x for x in (done.stderr + done.stdout).splitlines() if x.strip() and "WARNING" not in x]
        raise EnvironmentFailed(f"{' '.join(map(str, command[:5]))} ...: " + " | ".join(lines[-3:]))


def _sources() -> bytes:
    """A digest of what the package is built from."""
    digest = hashlib.sha256()
    paths = [ROOT / "CMakeLists.txt", ROOT / "pyproject.toml"]
    for folder in ("include", "src", "python", "tools/cmake"):
        paths += (p for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix != ".pyc")
    for path in sorted(paths):
        if not path.name.endswith("_test.cc"):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.digest()


def lock_key(name: str) -> str:
    """What an environment depends on."""
    digest = hashlib.sha256(sys.version.encode())
    for lock in (HERE / "env" / f"{name}.txt", HERE / "env" / f"{name}.nodeps.txt"):
        digest.update(lock.read_bytes() if lock.exists() else b"-")
    if name == "penstock":
        digest.update(_sources())
    return digest.hexdigest()


def python_of(name: str) -> Path:
    return VENVS / name / "bin" / "python"


def _new(name: str) -> Path:
    python = python_of(name)
    works = python.exists() and not subprocess.run([python, "-c", ""], capture_output=True).returncode
    if not works:
        shutil.rmtree(VENVS / name, ignore_errors=True)
        VENVS.mkdir(parents=True, exist_ok=True)
        _run(getattr(sys, "_base_executable", sys.executable), "-m", "venv", VENVS / name)
    return python


def _pip(python: Path, *arguments: object) -> None:
    _run(python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "-q", *arguments)


def ensure(name: str, say: object = print) -> Path:
    """Makes the environment unless it is there in this version; returns its Python."""
    stamp = VENVS / name / ".key"
    key = lock_key(name)
    if stamp.exists() and stamp.read_text() == key and python_of(name).exists():
        return python_of(name)
    if name != "light" and sys.version_info < (3, 11):
        raise EnvironmentFailed("the locks are for Python 3.11 and later")
    if callable(say):
        say(f"making the environment build/peers/{name}")
    python = _new(name)
    stamp.unlink(missing_ok=True)
    if name == "light":  # the project's .venv has all but scDataset
        site = sysconfig.get_path("purelib", vars={"base": str(VENVS / name)})
        (Path(site) / "project.pth").write_text(sysconfig.get_path("purelib") + "\n")
    lock = HERE / "env" / f"{name}.txt"
    if lock.exists():
        _pip(python, "-r", lock)
    without = HERE / "env" / f"{name}.nodeps.txt"
    if without.exists():
        _pip(python, "--no-deps", "-r", without)
    if name == "penstock":
        wheels = VENVS / "wheel"
        shutil.rmtree(wheels, ignore_errors=True)
        quiet = ("--disable-pip-version-check", "--no-input", "-q", "--no-deps", "--no-build-isolation")
        os.environ.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(len(os.sched_getaffinity(0))))
        _run(sys.executable, "-m", "pip", "wheel", *quiet, "-w", wheels, ROOT)
        _pip(python, "--no-deps", "--force-reinstall", *wheels.glob("penstock-*.whl"))
    stamp.write_text(key)
    return python


def versions(name: str) -> dict[str, str]:
    """The packages of an environment that matter to a result."""
    code = (
        "import importlib.metadata as m, json\n"
        "names = 'penstock anndata scdataset protoplast pyarrow datasets torch numpy scipy h5py'.split()\n"
        "found = {d.metadata['Name'].lower(): d.version for d in m.distributions() if d.metadata['Name']}\n"
        "print(json.dumps({n: found[n] for n in names if n in found}))"
    )
    done = subprocess.run([python_of(name), "-c", code], capture_output=True, text=True, check=True)
    result: dict[str, str] = json.loads(done.stdout)
    return result
