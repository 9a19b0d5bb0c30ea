"""The data of the notebooks in this folder: a small study of made-up donors, as one would get it.

    files = small_data.make("cells")  # 4 plates of .h5ad, 12,000 cells, in seconds; those that are there stay

Each plate holds three donors, one after the other, and each donor has cells of the same six types. Counts are Poisson
draws; a type's marker genes are up, and every donor has genes of its own that are up or down, by type: what a model
learns about donors it has seen does not help it with others.
"""

from __future__ import annotations

import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

TYPES = ["B cell", "CD4 T cell", "CD8 T cell", "NK cell", "dendritic cell", "monocyte"]
SHARES = [0.15, 0.3, 0.2, 0.1, 0.05, 0.2]


def make(
    folder: str, *, plates: int = 4, donors: int = 3, cells: int = 1000, genes: int = 2000, seed: int = 0
) -> list[str]:
    """Writes the plates that are not there yet; `donors` are per plate, `cells` per donor.

    obs of each plate: ``cell_type``, ``donor`` and ``plate`` (categories), ``n_counts``; var: ``gene_symbol``.
    """
    rng = np.random.default_rng(seed)
    popularity = rng.permutation((np.arange(genes) + 30.0) ** -1.1)
    marker = rng.lognormal(sigma=0.3, size=(len(TYPES), genes))
    marker[2] = marker[1] * rng.lognormal(sigma=0.2, size=genes)  # the T cells are alike
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = [Path(folder) / f"plate{plate + 1}.h5ad" for plate in range(plates)]
    for plate, path in enumerate(paths):
        if not path.exists():
            _write(path, np.random.default_rng([seed, plate]), popularity * marker, plate, donors, cells)
    return [str(path) for path in paths]


def _write(
    path: Path, rng: np.random.Generator, expression: np.ndarray, plate: int, donors: int, cells: int
) -> None:
    types = rng.choice(len(TYPES), p=SHARES, size=donors * cells)
    blocks = []
    for donor in range(donors):
        own = expression * rng.lognormal(sigma=0.5, size=expression.shape)
        own /= own.sum(1, keepdims=True)
        depth = rng.lognormal(np.log(500), 0.4, size=(cells, 1))
        blocks.append(
            sp.csr_matrix(
                rng.poisson(own[types[donor * cells : (donor + 1) * cells]] * depth).astype(np.float32)
            )
        )
    x = sp.vstack(blocks, format="csr")
    donor_names = [f"donor{plate * donors + donor + 1:02d}" for donor in range(donors)]
    name = f"plate{plate + 1}"
    obs = pd.DataFrame(
        {
            "cell_type": pd.Categorical.from_codes(types, TYPES),
            "donor": pd.Categorical(np.repeat(donor_names, cells)),
            "plate": pd.Categorical([name] * len(types)),
            "n_counts": np.asarray(x.sum(1)).ravel(),
        },
        index=[f"{name}_cell{i:05d}" for i in range(len(types))],
    )
    var = pd.DataFrame(
        {"gene_symbol": [f"GENE{i}" for i in range(x.shape[1])]},
        index=[f"ENSG{i:011d}" for i in range(x.shape[1])],
    )
    partial = path.with_suffix(".partial")
    ad.AnnData(x, obs=obs, var=var).write_h5ad(partial, compression="gzip")
    os.replace(partial, path)
