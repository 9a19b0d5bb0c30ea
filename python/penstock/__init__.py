"""Penstock streams single-cell matrices that are larger than memory to a model: from the original files, shuffled, as
tensors, inside a byte budget.

>>> import penstock
>>> ds = penstock.open("tahoe/plate*.h5ad")
>>> loader = penstock.Loader(ds, batch_size=4096, memory="2GB", obs=["cell_line"])
>>> for batch in loader:
...     model(batch.dense(), batch.obs["cell_line"])
"""

from penstock._core import FileInfo
from penstock._core import version as __version__
from penstock.batch import Batch
from penstock.budget import MemoryBudget
from penstock.dataset import Dataset, open
from penstock.errors import CorruptFileError, MemoryBudgetError
from penstock.loader import Loader
from penstock.plan import Mixing, Plan

__all__ = [
    "Batch",
    "CorruptFileError",
    "Dataset",
    "FileInfo",
    "Loader",
    "MemoryBudget",
    "MemoryBudgetError",
    "Mixing",
    "Plan",
    "__version__",
    "open",
]
