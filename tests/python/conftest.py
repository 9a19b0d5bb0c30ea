"""Fixtures: small files, and the matrix that they hold."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from support import SHARED, random_csr, random_obs, write_h5ad

import penstock
from penstock import _core

# A shell starts background jobs with SIGINT ignored, and children inherit that: those that are to be interrupted would
# never end.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclasses.dataclass
class Corpus:
    """Files and what is in them, in the order of their names."""

    paths: list[str]
    x: sp.csr_matrix
    obs: pd.DataFrame

    def open(self, **options: object) -> penstock.Dataset:
        return penstock.open(self.paths, **options)


def make_corpus(folder: Path, sizes: list[int], n_vars: int, seed: int, **layout: object) -> Corpus:
    rng = np.random.default_rng(seed)
    paths, matrices, tables = [], [], []
    for i, n in enumerate(sizes):
        x, obs = random_csr(rng, n, n_vars), random_obs(rng, n)
        obs.index = [f"f{i}c{j}" for j in range(n)]
        paths.append(write_h5ad(folder / f"part{i}.h5ad", x, obs, **layout))
        matrices.append(x)
        tables.append(obs)
    obs = pd.concat(tables)
    obs["line"] = pd.Categorical(obs["line"].astype(object), categories=tables[0]["line"].cat.categories)
    obs["colour"] = pd.Categorical(obs["colour"].astype(object))
    return Corpus(paths, sp.csr_matrix(sp.vstack(matrices)), obs)


@pytest.fixture
def starve_windows() -> Iterator[Callable[[int], None]]:
    """Takes so many bytes of window pages for all that loaders have, until the test ends: rows get deferred."""
    yield _core.starve_windows
    _core.starve_windows(0)


@pytest.fixture
def keep_nothing() -> Iterator[None]:
    """Loaders read row offsets and labels again with each block, until the test ends."""
    _core.keep_nothing(True)
    yield
    _core.keep_nothing(False)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Three files of very different sizes; gzip, chunks that no row fits."""
    folder = tmp_path_factory.mktemp("corpus")
    return make_corpus(folder, [700, 1, 2300], 90, seed=1, chunks=331, index_chunks=457, compression="gzip")


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Enough rows for several windows under a small budget."""
    folder = tmp_path_factory.mktemp("large")
    return make_corpus(
        folder, [20_000, 15_000], 400, seed=2, chunks=20_000, compression="gzip", compression_opts=1
    )


@pytest.fixture
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is not there")
    return SHARED
