"""For Lightning: the loaders of a training run as one data module."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from penstock.budget import MemoryBudget
from penstock.dataset import Dataset
from penstock.errors import not_found
from penstock.loader import Loader

try:
    from lightning.pytorch import LightningDataModule
except ImportError as error:
    raise ImportError("penstock.lightning needs Lightning: pip install lightning") from error

if TYPE_CHECKING:
    _Base = object
else:
    _Base = LightningDataModule

__all__ = ["PenstockDataModule"]

_STAGES = ("train", "val", "test", "predict")
_TRAINING = ("shuffle", "drop_last", "balance", "weights", "epoch_size")


class PenstockDataModule(_Base):
    """Loaders for fit, validate, test and predict that share one byte budget.

    Ranks are the trainer's. Training rows are shuffled, all others come in file order (so predictions line up with
    ``obs_names``); labels of all have the codes of the training Dataset. Lightning's checkpoints hold the training
    loader's position: ``trainer.fit(..., ckpt_path=...)`` goes on inside the epoch.

    Parameters
    ----------
    train, val, test, predict
        Datasets, None where there is none. A split by names fits: ``PenstockDataModule(**ds.split({"train": 0.8,
        "val": 0.1, "test": 0.1}, group_by="donor"))``.
    memory
        Of all loaders together: bytes, text such as ``"2GB"``, which are shared evenly by as many loaders as there are
        Datasets, or a `penstock.MemoryBudget` of yours, of which each loader takes a share.
    evaluation
        Options of `penstock.Loader` for val, test and predict where they differ: ``{"batch_size": 8192}``.
    **options
        Options of `penstock.Loader`: ``batch_size``, ``obs``, ``format``, ``log1p``, ... ``shuffle``,
        ``drop_last``, ``balance``, ``weights`` and ``epoch_size`` are for training alone.

    Raises
    ------
    TypeError
        No Dataset is given, or something else in its place; an option that no Loader has.

    Examples
    --------
    >>> parts = penstock.open("plates/*.h5ad").split({"train": 0.9, "val": 0.1}, group_by="donor")
    >>> data = PenstockDataModule(**parts, memory="4GB", batch_size=4096, obs=["cell_type"])
    >>> lightning.Trainer(max_epochs=5).fit(model, data)
    """

    def __init__(
        self,
        train: Dataset | None = None,
        val: Dataset | None = None,
        test: Dataset | None = None,
        predict: Dataset | None = None,
        *,
        memory: int | str | MemoryBudget = "1GB",
        evaluation: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self._datasets = dict(zip(_STAGES, (train, val, test, predict), strict=True))
        for name, dataset in self._datasets.items():
            if dataset is not None and not isinstance(dataset, Dataset):
                raise TypeError(f"{name} must be a penstock.Dataset, not {type(dataset).__name__}")
        if all(dataset is None for dataset in self._datasets.values()):
            raise TypeError("PenstockDataModule needs a Dataset: train=, val=, test= or predict=")
        of_loader = set(inspect.signature(Loader.__init__).parameters) - {"self", "dataset"}
        for option in {**options, **(evaluation or {})}:
            if option not in of_loader:
                known = {*of_loader, *inspect.signature(type(self)).parameters} - {"options"}
                raise TypeError(str(not_found("PenstockDataModule has no option", option, sorted(known))))
        given = sum(dataset is not None for dataset in self._datasets.values())
        self._budget = memory if isinstance(memory, MemoryBudget) else MemoryBudget(memory, loaders=given)
        self._options = options
        same = {name: value for name, value in options.items() if name not in _TRAINING}
        self._evaluation = {**same, "shuffle": False, **(evaluation or {})}
        self._loaders: dict[str, Loader] = {}

    def loader(self, name: str) -> Loader:
        """The loader of ``"train"``, ``"val"``, ``"test"`` or ``"predict"``; made at the first use.

        Raises
        ------
        KeyError
            There is no Dataset of that name.

        Examples
        --------
        >>> print(data.loader("train").plan)
        """
        if name in self._loaders:
            return self._loaders[name]
        dataset = self._datasets[name]
        if dataset is None:
            raise KeyError(f"this PenstockDataModule has no {name} Dataset")
        options = self._options_of(name)
        if name != "train" and self._datasets["train"] is not None:
            # Its codes are everybody's.
            codes = self.loader("train").categories
            obs = options.get("obs", ())
            names = [obs] if isinstance(obs, str) else list(obs)
            given = obs if isinstance(obs, Mapping) else {}
            options["obs"] = {
                column: codes.get(column) if given.get(column) is None else given[column] for column in names
            }
        self._loaders[name] = Loader(dataset, memory=self._budget, **options)
        return self._loaders[name]

    def _options_of(self, name: str) -> dict[str, Any]:
        """Options of the loader of that name, but for codes that are training's."""
        options = dict(self._options if name == "train" else self._evaluation)
        trainer = getattr(self, "trainer", None)
        if trainer is not None:
            options.setdefault("rank", trainer.global_rank)
            options.setdefault("world_size", trainer.world_size)
        return options

    # What Lightning calls; it asks only for what the trainer's stage needs.

    def train_dataloader(self) -> Loader:
        return self.loader("train")

    def val_dataloader(self) -> Loader | list[Any]:
        return [] if self._datasets["val"] is None else self.loader("val")

    def test_dataloader(self) -> Loader:
        return self.loader("test")

    def predict_dataloader(self) -> Loader:
        return self.loader("predict")

    def teardown(self, stage: str | None = None) -> None:
        """Closes the loaders: their memory is free for the next stage."""
        for loader in self._loaders.values():
            loader.close()
        self._loaders.clear()
