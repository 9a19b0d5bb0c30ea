"""penstock.lightning: the loaders of a Lightning run."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import penstock

pytest.importorskip("lightning")


def run(code: str, *arguments: Any, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=cwd,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


MODEL = """
import sys, lightning, torch, penstock
from penstock.lightning import PenstockDataModule

class Model(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(90, 3)
        self.seen = {"train": [], "val": [], "test": [], "predict": []}
    def step(self, batch, name):
        self.seen[name].append(batch.index.tolist())
        return torch.nn.functional.cross_entropy(self.layer(batch.dense()), batch.obs["colour"], ignore_index=-1)
    def training_step(self, batch, i):
        return self.step(batch, "train")
    def validation_step(self, batch, i):
        self.step(batch, "val")
    def test_step(self, batch, i):
        self.step(batch, "test")
    def predict_step(self, batch, i):
        self.seen["predict"].append(batch.index.tolist())
        return batch.index  # of its own: all of them are kept until the end
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)

def trainer(**options):
    return lightning.Trainer(accelerator="cpu", devices=1, logger=False, enable_progress_bar=False,
                             enable_model_summary=False, **options)

def rows(lists):
    return [row for rows in lists for row in rows]

ds = penstock.open(sys.argv[1:])
parts = ds.split({"train": 0.7, "val": 0.2, "test": 0.1}, seed=0)
def data():
    return PenstockDataModule(**parts, predict=ds, memory="64MB", batch_size=64, obs=["colour"])
"""


def test_every_stage_gets_its_rows_in_one_budget(corpus: Any, tmp_path: Path) -> None:
    code = """
    module, model = data(), Model()
    t = trainer(max_epochs=2, enable_checkpointing=False)
    t.fit(model, module)
    def selected(part):
        return sorted(rows(b.index.tolist() for b in penstock.Loader(part, memory="64MB", batch_size=512)))
    assert sorted(rows(model.seen["train"])) == sorted(2 * selected(parts["train"]))
    # A look before the first epoch, then each epoch; file order.
    val = rows(model.seen["val"])
    assert val[-len(parts["val"]):] == selected(parts["val"])
    assert module._budget.usage()["used"] == 0
    t.test(model, module, verbose=False)
    assert rows(model.seen["test"]) == selected(parts["test"])
    predicted = t.predict(model, module)
    assert torch.cat(predicted).tolist() == rows(model.seen["predict"]) == list(range(len(ds)))
    assert module._budget.usage()["peak"] <= 64_000_000
    print("good")
    """
    assert run(MODEL + textwrap.dedent(code), *corpus.paths, cwd=tmp_path).strip().endswith("good")


def test_predictions_that_keep_row_numbers_need_no_memory(corpus: Any, tmp_path: Path) -> None:
    code = """
    module = PenstockDataModule(predict=ds, memory="3MB", batch_size=32, obs=["colour"], threads=1)
    assert module.loader("predict").plan.slots < 40 < len(module.loader("predict"))
    predicted = trainer().predict(Model(), module)
    print(torch.cat(predicted).tolist() == list(range(len(ds))))
    """
    assert run(MODEL + textwrap.dedent(code), *corpus.paths, cwd=tmp_path).split()[-1] == "True"


def test_a_stopped_run_goes_on_inside_the_epoch(corpus: Any, tmp_path: Path) -> None:
    code = """
    def seen(model):
        return model.seen["train"]
    whole = Model()
    trainer(max_epochs=2, enable_checkpointing=False, num_sanity_val_steps=0).fit(whole, data())
    from lightning.pytorch.callbacks import ModelCheckpoint
    saved = ModelCheckpoint(".", filename="stop", every_n_train_steps=10, save_on_train_epoch_end=False)
    first = Model()
    trainer(max_epochs=2, max_steps=10, callbacks=[saved], num_sanity_val_steps=0, limit_val_batches=0).fit(
        first, data())
    second = Model()
    trainer(max_epochs=2, enable_checkpointing=False, num_sanity_val_steps=0).fit(
        second, data(), ckpt_path="stop.ckpt", weights_only=False)
    print(len(seen(whole)), len(seen(first)), len(seen(second)), seen(first) + seen(second) == seen(whole))
    """
    out = run(MODEL + textwrap.dedent(code), *corpus.paths, cwd=tmp_path).split()
    assert out[-1] == "True", out


def test_labels_have_the_codes_of_training(corpus: Any) -> None:
    from penstock.lightning import PenstockDataModule

    ds = penstock.open(corpus.paths)
    module = PenstockDataModule(ds[:500], val=ds[500:600], memory="64MB", batch_size=64, obs=["colour"])
    assert module.val_dataloader().categories == module.train_dataloader().categories
    assert module.loader("val") is module.val_dataloader()
    with pytest.raises(KeyError, match="no test Dataset"):
        module.test_dataloader()
    module.teardown("fit")
    with pytest.raises(TypeError, match="needs a Dataset"):
        PenstockDataModule()
    with pytest.raises(TypeError, match=r"val must be a penstock\.Dataset, not str"):
        PenstockDataModule(ds, val="a.h5ad")  # type: ignore[arg-type]
    assert PenstockDataModule(ds).val_dataloader() == []


def test_options_are_known_when_the_module_is_made(corpus):
    from penstock.lightning import PenstockDataModule

    ds = corpus.open()
    with pytest.raises(TypeError, match="no option 'batchsize'; did you mean 'batch_size'"):
        PenstockDataModule(ds, batchsize=3)
    with pytest.raises(TypeError, match="no option 'vla'; did you mean 'val'"):
        PenstockDataModule(train=ds, vla=ds)
    with pytest.raises(TypeError, match="no option 'thread'; did you mean 'threads'"):
        PenstockDataModule(ds, evaluation={"thread": 3})


def test_only_training_is_balanced(corpus):
    from penstock.lightning import PenstockDataModule

    ds = corpus.open()
    train, val = ds.split([0.7, 0.3], seed=1)
    data = PenstockDataModule(
        train,
        val,
        memory="64MB",
        batch_size=100,
        weights=list(range(train.n_obs)),
        epoch_size=5000,
        drop_last=True,
    )
    assert data.loader("train").plan.n_rows == 5000
    plan = data.loader("val").plan
    assert plan.n_rows == val.n_obs and not plan.sampled and not plan.shuffle
    assert len(data.loader("val")) == -(-val.n_obs // 100)
    data.teardown()
