"""state_dict and load_state_dict: the batches that were to come, and what a checkpoint refuses."""

from __future__ import annotations

import json
import pickle
import shutil
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from support import assert_batch, flat, indices, random_csr, run_python, to_scipy, write_h5ad

import penstock

SMALL = {"batch_size": 64, "memory": "4MB", "to": "numpy"}


def content(batch):
    """Everything in a batch, as bytes."""
    x = to_scipy(batch.X)
    parts = [x.indptr, x.indices, x.data, batch.index, *batch.obs.values()]
    return [np.asarray(part).tobytes() for part in parts]


def stored(state):
    """Through JSON, as most checkpoints go."""
    return json.loads(json.dumps(state))


def restored(ds, state, **options):
    loader = penstock.Loader(ds, **{**SMALL, **options})
    loader.load_state_dict(stored(state))
    return loader


@pytest.mark.parametrize(
    "options", [{}, {"format": "dense"}, {"shuffle": False}, {"drop_last": True}, {"block_rows": 300}]
)
@pytest.mark.parametrize("epoch", [0, 3])
def test_goes_on_bit_for_bit(large, epoch, options):
    ds = large.open()
    options = {**options, "memory": "24MB", "window_rows": 4000, "obs": ["colour", "n"], "batch_size": 100}
    loader = penstock.Loader(ds, **{**SMALL, **options})
    loader.set_epoch(epoch)
    rng = np.random.default_rng(epoch)
    stops = sorted(rng.choice(len(loader), 5, replace=False))
    states, whole = {}, []
    for number, batch in enumerate(loader):
        if number in stops:
            states[number] = loader.state_dict(batches_done=number)
        whole.append(content(batch))
    after = [batch.index.copy() for batch, _ in zip(loader, range(3), strict=False)]
    for number, state in states.items():
        # Memory, threads and whether windows were given are not part of the order.
        again = restored(ds, state, **{**options, "memory": "30MB", "threads": 1, "window_rows": None})
        assert again.epoch == epoch and len(again) == len(loader)
        assert again.state_dict() == state
        assert [content(batch) for batch in again] == whole[number:]
        assert again.epoch == epoch + 1 and again.state_dict()["lineage"] == []
        for expected, batch in zip(after, again, strict=False):
            np.testing.assert_array_equal(batch.index, expected)


def test_planned_windows_and_blocks_are_the_checkpoints(large):
    ds = large.open()
    loader = penstock.Loader(ds, **{**SMALL, "memory": "8MB"})
    assert loader.plan.window_rows < 20_000
    whole = indices(loader)
    it = iter(loader)  # epoch 1
    for _ in range(150):
        next(it)
    state = loader.state_dict()
    rest = indices(it)
    again = restored(ds, state, memory="200MB")
    assert (
        again.plan.window_rows == loader.plan.window_rows and again.plan.block_rows == loader.plan.block_rows
    )
    for found, expected in zip(again, rest, strict=True):
        np.testing.assert_array_equal(found.index, expected)
    # Epochs after it keep them.
    again.set_epoch(0)
    np.testing.assert_array_equal(flat(again), np.concatenate(whole))
    with pytest.raises(penstock.MemoryBudgetError, match=r"the checkpoint has window_rows=.*memory >= "):
        restored(ds, state, memory="5MB")


def test_at_most_one_window_is_read_again(large):
    ds = large.open()
    options = {"memory": "24MB", "window_rows": 4000, "batch_size": 100}
    loader = penstock.Loader(ds, **{**SMALL, **options})
    whole = loader.plan.bytes_to_read
    it = iter(loader)
    for done in range(1, len(loader)):
        next(it)
        if done % 35:
            continue
        again = restored(ds, loader.state_dict(), **options)
        seen = sum(len(batch.index) for batch in again)
        assert seen == 35_000 - 100 * done
        # Blocks at the cut count for both sides.
        most = whole * (seen + 4000) / 35_000 * 1.1
        assert again.stats()["epoch_bytes_read"] <= most


def test_where_a_loader_stands(corpus):
    ds = corpus.open()
    loader = penstock.Loader(ds, **SMALL)
    assert loader.epoch == 0 and loader.state_dict()["lineage"] == []
    loader.peek()
    assert loader.state_dict()["lineage"] == []
    it = iter(loader)
    assert loader.state_dict()["lineage"] == []
    for _ in range(5):
        next(it)
    loader.peek()
    assert (loader.epoch, loader.state_dict()["lineage"]) == (0, [[1, 5]])
    assert loader.state_dict(batches_done=2)["lineage"] == [[1, 2]]
    assert loader.state_dict(batches_done=0)["lineage"] == []
    with pytest.raises(ValueError, match=r"batches_done=6, but only 5"):
        loader.state_dict(batches_done=6)
    with pytest.raises(ValueError, match="batches_done"):
        loader.state_dict(batches_done=-1)
    # After break: where it stopped, until something says where it goes on.
    del it
    assert (loader.epoch, loader.state_dict()["lineage"]) == (0, [[1, 5]])
    loader.set_epoch(7)
    assert (loader.epoch, loader.state_dict()["lineage"]) == (7, [])
    it = iter(loader)
    for _ in range(len(loader)):
        next(it)
    # All batches were returned, whether or not the loop has noticed.
    assert (loader.epoch, loader.state_dict()["lineage"]) == (8, [])
    assert next(it, None) is None
    assert loader.epoch == 8
    assert loader.state_dict(batches_done=46)["lineage"] == [[1, 46]]
    loader.close()
    assert loader.epoch == 8
    with pytest.raises(RuntimeError, match="closed"):
        loader.load_state_dict(loader.state_dict())


def test_loads_at_any_time(corpus):
    ds = corpus.open()
    plain = penstock.Loader(ds, **SMALL)
    epochs = [indices(plain) for _ in range(2)]
    loader = penstock.Loader(ds, **SMALL)
    it = iter(loader)
    for _ in range(10):
        next(it)
    state = loader.state_dict()
    next(it)
    loader.load_state_dict(state)  # inside an epoch: ends its iterator
    with pytest.raises(RuntimeError, match=r"load_state_dict\(\) was called"):
        next(it)
    np.testing.assert_array_equal(loader.peek().index, epochs[0][10])
    np.testing.assert_array_equal(flat(loader), np.concatenate(epochs[0][10:]))
    loader.load_state_dict(state)  # between epochs
    assert (loader.epoch, len(loader)) == (0, 47)
    loader.load_state_dict(state)  # twice
    assert len(indices(loader)) == 37
    np.testing.assert_array_equal(flat(loader), np.concatenate(epochs[1]))
    # The same epoch again is a whole one; so is another one asked for instead.
    loader.set_epoch(0)
    np.testing.assert_array_equal(flat(loader), np.concatenate(epochs[0]))
    loader.load_state_dict(state)
    loader.set_epoch(1)
    assert len(loader) == 47
    np.testing.assert_array_equal(flat(loader), np.concatenate(epochs[1]))
    loader.load_state_dict(state)
    loader.set_epoch(0)  # what samplers are told before each epoch
    assert len(indices(loader)) == 37


def test_pickled_loaders_go_on_too(corpus):
    loader = penstock.Loader(corpus.open(), **SMALL)
    whole = indices(loader)
    loader.set_epoch(0)
    it = iter(loader)
    next(it)
    state = loader.state_dict()
    other = pickle.loads(pickle.dumps(restored(corpus.open(), state)))
    np.testing.assert_array_equal(flat(other), np.concatenate(whole[1:]))


@pytest.mark.parametrize(
    "stages", [[(8, 2), (4, 3), (6, None)], [(1, 30), (3, None)], [(5, 1), (1, 5), (17, None)]]
)
@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"window_rows": 128, "batch_size": 16}])
def test_other_numbers_of_ranks(corpus, stages, options):
    expected = np.arange(3001)
    if "shuffle" in options:
        expected = expected[expected % 7 != 3]
    ds = corpus.open()[expected]
    seen, state, done = [], None, 0
    for world, batches in stages:
        states, counts = [], set()
        for rank in range(world):
            loader = penstock.Loader(ds, **{**SMALL, **options, "rank": rank, "world_size": world})
            if state is not None:
                loader.load_state_dict(stored(state))
            found = 0
            total = len(loader)
            for batch in loader:
                if batch.index[0] >= 0:
                    assert_batch(batch, corpus.x)
                seen.append(np.asarray(batch.index)[batch.index >= 0].copy())
                found += 1
                if found == batches:
                    break
            if batches is None:
                assert total == done + found, "len counts what was done before"
            counts.add(found)
            states.append(loader.state_dict())
        assert len(counts) == 1
        assert all(s == states[0] for s in states), "the same on every rank"
        state, done = states[0], done + counts.pop()
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), expected)
    assert (state["epoch"], state["lineage"]) == (1, [])


def test_same_ranks_go_on_bit_for_bit(corpus):
    ds = corpus.open()
    for rank in range(3):
        options = {"rank": rank, "world_size": 3}
        loader = penstock.Loader(ds, **{**SMALL, **options})
        whole = [content(batch) for batch in loader]
        state = loader.state_dict(batches_done=7)
        assert state["lineage"] == [[3, 7]]
        assert [content(batch) for batch in restored(ds, state, **options)] == whole[7:]


def test_small_and_plain(large):
    loader = penstock.Loader(large.open(), **SMALL)
    it = iter(loader)
    next(it)
    state = loader.state_dict()
    assert len(json.dumps(state)) < 1500 and stored(state) == state
    assert set(state) == {
        *(
            "version",
            "epoch",
            "lineage",
            "seed",
            "shuffle",
            "batch_size",
            "drop_last",
            "window_rows",
            "block_rows",
        ),
        *("epoch_size", "balance", "weights", "masses"),
        *("block_rows_exact", "blocks", "matrix", "n_obs", "n_vars", "genes", "files"),
    }
    assert [file["name"] for file in state["files"]] == ["part0.h5ad", "part1.h5ad"]


def test_torch_save(corpus, tmp_path):
    torch = pytest.importorskip("torch")
    loader = penstock.Loader(corpus.open(), **{**SMALL, "to": "torch"})
    it = iter(loader)
    next(it)
    torch.save({"loader": loader.state_dict()}, tmp_path / "checkpoint.pt")
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["loader"]
    assert state == loader.state_dict()


def test_differences_are_named(corpus, tmp_path):
    ds = corpus.open()
    loader = penstock.Loader(ds, **SMALL)
    next(iter(loader))
    state = loader.state_dict()

    def refused(match, ds=ds, state=state, **options):
        with pytest.raises(ValueError, match=match):
            restored(ds, state, **options)

    refused("seed: 0 in the checkpoint, 4 here", seed=4)
    refused("batch_size: 64 in the checkpoint, 32 here", batch_size=32)
    refused("shuffle: true in the checkpoint, false here", shuffle=False)
    refused("drop_last: false in the checkpoint, true here", drop_last=True)
    refused("window_rows: .* in the checkpoint, 128 here", window_rows=128)
    refused("block_rows: .* in the checkpoint, 3 here", block_rows=3)
    refused("files: 3 in the checkpoint, 2 here", penstock.open(corpus.paths[:2]))
    refused(
        "file 0: 'part0.h5ad' in the checkpoint, 'part1.h5ad' here", penstock.open(corpus.paths[::-1][1:])
    )
    refused("selected rows of part2.h5ad: 2,300 in the checkpoint, 2,299 here", ds[:3000])
    refused("batches", state={**state, "lineage": [[1, 48]]})
    # The same number of rows, other rows.
    first = penstock.Loader(ds[:100], **SMALL).state_dict()
    refused("which rows of part0.h5ad are selected", ds[1:101], first)
    restored(ds[np.arange(100)], first)

    # A file that has changed under the same name, and one that has only moved.
    moved = [shutil.copy(path, tmp_path) for path in corpus.paths]
    restored(penstock.open(moved), state)
    rng = np.random.default_rng(0)
    write_h5ad(moved[1], random_csr(rng, 2, 90))
    refused("rows of part1.h5ad: 1 in the checkpoint, 2 here", penstock.open(moved))
    write_h5ad(moved[1], random_csr(rng, 1, 90, density=0.9))
    refused("part1.h5ad", penstock.open(moved))

    # No harm to the loader that refuses.
    whole = indices(loader)
    other = penstock.Loader(ds, **SMALL)
    other.set_epoch(1)
    with pytest.raises(ValueError, match="seed"):
        other.load_state_dict({**state, "seed": 3})
    np.testing.assert_array_equal(flat(other), np.concatenate(whole))


@pytest.mark.parametrize(
    "bad",
    [{}, {"version": 1}, {"version": 2}, {"x": object()}, {"x": float("nan")}, {"version": True}],
    ids=["empty", "short", "later", "object", "nan", "bool"],
)
def test_what_is_no_state(corpus, bad):
    loader = penstock.Loader(corpus.open(), **SMALL)
    with pytest.raises(ValueError, match="state"):
        loader.load_state_dict(bad)
    for wrong in (None, [], "state"):
        with pytest.raises(TypeError, match="dict"):
            loader.load_state_dict(wrong)
    assert len(indices(loader)) == 47


NONSENSE = [
    ("epoch", -1),
    ("epoch", 2**63),
    ("lineage", [[1]]),
    ("lineage", [[0, 1]]),
    ("seed", "0"),
    ("files", 3),
]


@pytest.mark.parametrize("change", NONSENSE)
def test_fields_that_make_no_sense(corpus, change):
    loader = penstock.Loader(corpus.open(), **SMALL)
    with pytest.raises(ValueError, match=change[0]):
        loader.load_state_dict({**loader.state_dict(), change[0]: change[1]})


# --- frameworks ---


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_stateful_dataloader(corpus, workers):
    pytest.importorskip("torch")
    stateful = pytest.importorskip("torchdata.stateful_dataloader")

    def make():
        loader = penstock.Loader(corpus.open(), **{**SMALL, "to": "torch"})
        return stateful.StatefulDataLoader(loader, batch_size=None, num_workers=workers)

    plain = penstock.Loader(corpus.open(), **SMALL)
    epochs = [indices(plain) for _ in range(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = make()
        found = []
        for batch in first:
            found.append(batch.index.numpy().copy())
            if len(found) == 13:
                state = pickle.loads(pickle.dumps(first.state_dict()))
                break
        again = make()
        again.load_state_dict(state)
        found += indices(again)
        np.testing.assert_array_equal(np.concatenate(found), np.concatenate(epochs[0]))
        assert len(found) == 47
        np.testing.assert_array_equal(flat(again), np.concatenate(epochs[1]))


def test_a_dataloaders_worker_knows_better(corpus):
    torch = pytest.importorskip("torch")
    loader = penstock.Loader(corpus.open(), **{**SMALL, "to": "torch"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in torch.utils.data.DataLoader(loader, batch_size=None, num_workers=1):
            pass
    with pytest.raises(RuntimeError, match="StatefulDataLoader"):
        loader.state_dict()
    loader.set_epoch(0)
    assert loader.epoch == 0


@pytest.mark.slow
def test_lightning_stops_and_goes_on(corpus, tmp_path):
    pytest.importorskip("lightning")
    code = """
        import json, sys, warnings
        import lightning, numpy, torch, penstock
        from lightning.pytorch.callbacks import ModelCheckpoint

        folder, *paths = sys.argv[1:]
        warnings.simplefilter("ignore")

        class Model(lightning.LightningModule):
            def __init__(self, stop_at=None):
                super().__init__()
                torch.manual_seed(0)
                self.layer, self.seen, self.stop_at = torch.nn.Linear(90, 3), [], stop_at
            def training_step(self, batch, number):
                if len(self.seen) == self.stop_at:
                    raise RuntimeError("killed")
                self.seen.append(batch.index.tolist())
                return torch.nn.functional.cross_entropy(self.layer(batch.dense()), batch.obs["colour"])
            def configure_optimizers(self):
                return torch.optim.SGD(self.parameters(), lr=0.01)

        def fit(model, ckpt=None, **options):
            loader = penstock.Loader(penstock.open(paths), batch_size=64, memory="8MB", obs=["colour"])
            trainer = lightning.Trainer(accelerator="cpu", devices=1, max_epochs=3, logger=False,
                enable_progress_bar=False, enable_model_summary=False, default_root_dir=folder, **options)
            try:
                trainer.fit(model, loader, ckpt_path=ckpt)
            except RuntimeError as error:
                assert "killed" in str(error)
            return model

        whole = fit(Model(), enable_checkpointing=False)
        # In the first epoch, at the end of it (47 batches), in the third.
        for stop, every in ((12, 5), (50, 47), (100, 32)):
            saves = ModelCheckpoint(f"{folder}/{stop}", every_n_train_steps=every, save_top_k=-1, filename="{step}")
            before = fit(Model(stop), callbacks=[saves])
            last = stop // every * every
            after = fit(Model(), ckpt=f"{folder}/{stop}/step={last}.ckpt")
            assert before.seen[:last] + after.seen == whole.seen, stop
            assert all(torch.equal(a, b) for a, b in zip(after.parameters(), whole.parameters()))
        print("same", len(whole.seen))
    """
    done = run_python(code, str(tmp_path), *corpus.paths, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["same", "141"]


# --- killed ---

# A process that holds nothing forks one that trains, and kills it at a random moment; forks the next. What a training
# process did is what its last checkpoint counts: rows logged behind it are cut off.
KILLED = """
    import json, os, random, signal, sys, time
    import penstock

    log_path, state_path, kills, epochs, *paths = sys.argv[1:]

    def train():
        loader = penstock.Loader(penstock.open(paths), batch_size=16, memory="4MB", to="numpy", window_rows=256)
        log = open(log_path, "ab")
        log.truncate(0 if not os.path.exists(state_path) else json.load(open(state_path))["logged"])
        log.seek(0, os.SEEK_END)
        if os.path.exists(state_path):
            loader.load_state_dict(json.load(open(state_path))["loader"])
        for epoch in range(loader.epoch, int(epochs)):
            for number, batch in enumerate(loader):
                log.write((json.dumps([epoch, batch.index.tolist()]) + "\\n").encode())
                if number % 3 == 0:
                    log.flush()
                    with open(state_path + ".new", "w") as out:
                        json.dump({"loader": loader.state_dict(), "logged": log.tell()}, out)
                    os.replace(state_path + ".new", state_path)
                time.sleep(pause)
        log.close()
        if pause:  # however late its parent is
            time.sleep(600)
        os._exit(0)

    kills = int(kills)
    random.seed(kills)
    done = killed = 0
    while not done:
        child = os.fork()
        if child == 0:
            pause = 0.004 if killed < kills else 0
            train()
        if killed < kills:
            time.sleep(random.uniform(0.02, 0.15))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        killed += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        done = status == 0
        assert done or os.WIFSIGNALED(status), status
    print(killed)
"""


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_random_moments(corpus, tmp_path, kills):
    log = tmp_path / "log"
    # About 13 batches a life, more when kills come late; an epoch has 188.
    epochs = max(3, kills // 7)
    done = run_python(
        KILLED, str(log), str(tmp_path / "state.json"), str(kills), str(epochs), *corpus.paths, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == kills
    loader = penstock.Loader(corpus.open(), batch_size=16, memory="4MB", to="numpy", window_rows=256)
    expected = [[epoch, batch.index.tolist()] for epoch in range(epochs) for batch in loader]
    assert [json.loads(line) for line in log.read_text().splitlines()] == expected


def test_a_window_waits_for_the_rows_that_were_delivered_before(tmp_path):
    """Rows of batches that an earlier run delivered come late; the window is used anew only after them."""
    import anndata as ad

    rng = np.random.default_rng(0)
    lengths = np.ones(6000, int)
    lengths[:512] = 3000  # the block of the first batch takes longest
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    genes = np.concatenate([np.sort(rng.choice(4000, n, replace=False)) for n in lengths]).astype(np.int32)
    x = sp.csr_matrix((rng.random(indptr[-1]).astype(np.float32), genes, indptr), shape=(6000, 4000))
    ad.AnnData(x).write_h5ad(tmp_path / "a.h5ad", compression="gzip")
    ds = penstock.open(tmp_path / "a.h5ad")
    options = {
        "batch_size": 512,
        "memory": "200MB",
        "to": "numpy",
        "shuffle": False,
        "threads": 4,
        "window_rows": 1024,
        "block_rows": 512,
    }
    with penstock.Loader(ds, **options) as loader:
        state = {**loader.state_dict(), "epoch": 1, "lineage": [[1, 1]]}
    for _ in range(4):
        with penstock.Loader(ds, **options) as loader:
            loader.load_state_dict(state)
            rows = np.concatenate([batch.index for batch in loader])
        np.testing.assert_array_equal(rows, np.arange(512, 6000))


def test_other_genes_are_another_run(corpus):
    ds = penstock.open(corpus.paths)

    def loader(genes):
        return penstock.Loader(ds[:, genes], batch_size=64, memory="64MB", to="numpy")

    state = loader([1, 2, 3]).state_dict()
    for genes in ([4, 5, 6], [3, 2, 1]):
        with pytest.raises(ValueError, match="which genes, or their order"):
            loader(genes).load_state_dict(state)
    loader([1, 2, 3]).load_state_dict(state)


def test_a_lineage_of_empty_stages_is_refused_at_once(corpus):
    loader = penstock.Loader(penstock.open(corpus.paths), batch_size=1, memory="64MB", to="numpy")
    state = {**loader.state_dict(), "lineage": [[1 << 20, 0], [(1 << 20) - 1, 0], [(1 << 20) - 2, 0], [1, 1]]}
    with pytest.raises(ValueError, match="lineage"):
        loader.load_state_dict(state)
