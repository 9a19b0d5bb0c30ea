"""Run by test_frameworks.py: two CPU ranks of Lightning, with the loader made before fit."""

from __future__ import annotations

import json
import os
import sys
import warnings

import lightning
import torch

import penstock


class Model(lightning.LightningModule):
    def __init__(self, out: str, n_genes: int) -> None:
        super().__init__()
        self.out, self.seen = out, []
        self.layer = torch.nn.Linear(n_genes, 3)

    def training_step(self, batch: penstock.Batch, number: int) -> torch.Tensor:
        assert type(batch) is penstock.Batch
        self.seen.append(batch.index.tolist())
        loss = torch.nn.functional.cross_entropy(self.layer(batch.dense()), batch.obs["colour"])
        self.log("loss", loss, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        with open(f"{self.out}.{self.current_epoch}.{self.global_rank}", "w") as file:
            json.dump(self.seen, file)
        self.seen = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.01)


def main() -> None:
    out, devices, *paths = sys.argv[1:]
    warnings.filterwarnings("error", message=".*batch_size.*")
    loader = penstock.Loader(penstock.open(paths), batch_size=64, memory="8MB", obs=["colour"])
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=int(devices),
        strategy="ddp" if int(devices) > 1 else "auto",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=os.path.dirname(out),
    )
    trainer.fit(Model(out, 90), loader)


if __name__ == "__main__":
    main()
