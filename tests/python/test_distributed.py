"""Ranks: shares of the rows, and where rank and world size come from."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import flat, indices, run_python

import penstock


def batches_of(ds, rank, world, **options):
    loader = penstock.Loader(
        ds, **{"batch_size": 64, "memory": "8MB", "to": "numpy", "rank": rank, "world_size": world, **options}
    )
    assert len(loader) == loader.plan.n_batches
    found = [np.asarray(batch.index).copy() for batch in loader]
    assert len(found) == len(loader)
    return found


@pytest.mark.parametrize("world", range(1, 18))
@pytest.mark.parametrize("options", [{}, {"drop_last": True}, {"shuffle": False}, {"batch_size": 1000}])
def test_shares_are_disjoint_complete_and_equal(corpus, world, options):
    ds = corpus.open()[:2999]
    shares = [batches_of(ds, rank, world, **options) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    rows = [np.concatenate([b[b >= 0] for b in share]) if share else np.zeros(0, int) for share in shares]
    together = np.concatenate(rows)
    assert len(np.unique(together)) == len(together)
    if not options.get("drop_last"):
        np.testing.assert_array_equal(np.sort(together), np.arange(2999))
    else:
        size = options.get("batch_size", 64)
        assert all(len(b) == size for share in shares for b in share)
    assert max(len(r) for r in rows) - min(len(r) for r in rows) <= max(1, options.get("batch_size", 64))


@pytest.mark.parametrize("n", [1, 2, 16, 17, 97, 1021])
def test_sizes_that_divide_nothing(corpus, n):
    ds = corpus.open()[500 : 500 + n]
    for world in (1, 2, 3, 5, 7, 11, 13, 16, 17):
        for batch_size in (1, 7, 64) if n < 1000 else (7, 100):
            shares = [batches_of(ds, rank, world, batch_size=batch_size) for rank in range(world)]
            assert len({len(share) for share in shares}) == 1
            rows = np.concatenate([b[b >= 0] for share in shares for b in share])
            np.testing.assert_array_equal(np.sort(rows), np.arange(500, 500 + n))


@pytest.mark.slow
@pytest.mark.parametrize("world", range(1, 18))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 3001),
    seed=st.integers(0, 99),
    batch_size=st.integers(1, 700),
    epoch=st.integers(0, 3),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
)
def test_any_size_on_any_world(corpus, world, n, seed, batch_size, epoch, shuffle, drop_last):
    batch_size = max(batch_size, n // 60)  # no minutes for one row a batch
    chosen = np.sort(np.random.default_rng(seed).choice(3001, n, replace=False))
    ds = corpus.open()[chosen]
    shares = []
    for rank in range(world):
        loader = penstock.Loader(
            ds, batch_size=batch_size, memory="8MB", to="numpy", seed=seed, threads=1,
            shuffle=shuffle, drop_last=drop_last, rank=rank, world_size=world,
        )  # fmt: skip
        loader.set_epoch(epoch)
        shares.append(indices(loader))
        assert len(loader) == len(shares[-1])
        loader.close()
    assert len({len(share) for share in shares}) == 1
    every = [batch for share in shares for batch in share]
    # A repeated row comes alone.
    assert all(len(batch) == 1 for batch in every if (batch < 0).any())
    rows = np.concatenate([*every, np.zeros(0, int)])
    rows = rows[rows >= 0]
    if drop_last:
        assert all(len(batch) == batch_size for batch in every)
        assert len(np.unique(rows)) == len(rows) and np.isin(rows, chosen).all()
        assert n - len(rows) < world * batch_size
    else:
        np.testing.assert_array_equal(np.sort(rows), chosen)
        sizes = [sum(len(batch[batch >= 0]) for batch in share) for share in shares]
        assert max(sizes) - min(sizes) <= 1
    if not shuffle:
        assert (np.diff(rows) > 0).all()  # ranks and batches in file order


def test_extra_batches_repeat_a_row_only_where_single_rows_are_asked_for(corpus):
    # 65 rows over 2 ranks in batches of 32: 32 and 33 rows, in two batches each.
    ds = corpus.open()[:65]
    shares = [batches_of(ds, rank, 2, batch_size=32) for rank in range(2)]
    assert [[len(b) for b in s] for s in shares] == [[16, 16], [17, 16]]
    assert not any((b == -1).any() for share in shares for b in share)
    shares = [batches_of(ds, rank, 2, batch_size=1) for rank in range(2)]
    assert [len(s) for s in shares] == [33, 33]
    extra = [b for share in shares for b in share if (b == -1).any()]
    assert [len(b) for b in extra] == [1]


def test_more_ranks_than_rows(corpus):
    ds = corpus.open()[:3]
    shares = [batches_of(ds, rank, 8) for rank in range(8)]
    assert len({len(s) for s in shares}) == 1
    rows = np.concatenate([b[b >= 0] for s in shares for b in s])
    np.testing.assert_array_equal(np.sort(rows), np.arange(3))


def test_environment_of_torchrun(corpus, monkeypatch):
    ds = corpus.open()
    loader = penstock.Loader(ds, batch_size=64, memory="8MB", to="numpy")  # made before anybody knows
    whole = len(loader)
    monkeypatch.setenv("WORLD_SIZE", "2")
    seen = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        loader.set_epoch(0)
        seen.append(flat(loader))
        assert loader.plan.rank == rank and loader.plan.world_size == 2
        assert len(loader) in (whole // 2, whole // 2 + 1)
    rows = np.concatenate(seen)
    np.testing.assert_array_equal(np.sort(rows[rows >= 0]), np.arange(3001))
    explicit = penstock.Loader(ds, batch_size=64, memory="8MB", to="numpy", rank=0, world_size=1)
    assert len(explicit) == whole


def test_environment_that_makes_no_sense(corpus, monkeypatch):
    loader = penstock.Loader(corpus.open(), memory="8MB", to="numpy")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "two")
    with pytest.raises(ValueError, match="RANK"):
        iter(loader)
    monkeypatch.setenv("RANK", "2")
    with pytest.raises(ValueError, match="RANK"):
        len(loader)
    monkeypatch.setenv("RANK", "1")
    assert len(loader) > 0


def test_processes_share_the_cores(corpus, monkeypatch):
    cores = len(os.sched_getaffinity(0))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(2 * cores))
    assert penstock.Loader(corpus.open(), to="numpy").plan.threads == 1
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert 1 <= penstock.Loader(corpus.open(), to="numpy").plan.threads <= cores


def test_len_in_the_middle_of_an_epoch_does_not_end_it(corpus, monkeypatch):
    loader = penstock.Loader(corpus.open(), batch_size=64, memory="8MB", to="numpy")
    it = iter(loader)
    next(it)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert len(loader) == 47
    assert sum(1 for _ in it) == 46
    assert len(loader) in (23, 24)


COMPARED = """
    import json, sys, torch, penstock
    import torch.multiprocessing as mp

    def work(rank, store, paths):
        torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=3)
        def outcome(paths=paths, epoch=0, state=None, **options):
            loader = penstock.Loader(penstock.open(paths), **{"batch_size": 64, "memory": "8MB", **options})
            loader.set_epoch(epoch)
            if state is not None:
                loader.load_state_dict(state)
            try:
                # The second iterator must not compare again: the others are not there.
                n = sum(1 for _ in loader)
                return n + (sum(1 for _ in loader) if rank == 0 else 0)
            except ValueError as error:
                return str(error)
        odd = rank == 2
        found = [
            outcome(),
            outcome(window_rows=640 if odd else 1280),
            outcome(seed=int(odd), memory="6MB"),
            outcome(paths=paths[:2] if odd else paths),
            outcome(epoch=int(odd)),
            # Only some ranks use this one: they say which share is theirs, and nobody waits.
            outcome(rank=0, world_size=1) if odd else None,
        ]
        loader = penstock.Loader(penstock.open(paths), batch_size=64, memory="8MB")
        it = iter(loader)
        next(it)
        found.append(outcome(state=loader.state_dict()))
        with open(f"{store}.{rank}.json", "w") as out:
            json.dump(found, out)
        torch.distributed.destroy_process_group()

    if __name__ == "__main__":
        mp.start_processes(work, (sys.argv[1], sys.argv[2:]), nprocs=3, start_method="fork")
"""


@pytest.mark.slow
def test_ranks_compare_what_they_are_about_to_do(corpus, tmp_path):
    pytest.importorskip("torch")
    done = run_python(COMPARED, str(tmp_path / "store"), *corpus.paths)
    assert done.returncode == 0, done.stderr
    found = [json.loads((tmp_path / f"store.{rank}.json").read_text()) for rank in range(3)]
    for rank, (same, window, seed, files, epoch, alone, resumed) in enumerate(found):
        assert same == 16 * (2 if rank == 0 else 1)
        assert window.startswith("rank 2 differs: window_rows 640 against 1,280 on rank 0")
        assert seed.startswith("rank 2 differs: seed 1 against 0 on rank 0")
        assert "n_obs 701 against 3,001" in files
        assert "epoch 1 against 0" in epoch
        assert alone == (47 if rank == 2 else None)
        assert resumed == 15 + (16 if rank == 0 else 0)


MESH = """
    import json, sys, torch, penstock
    import torch.multiprocessing as mp
    from torch.distributed.device_mesh import init_device_mesh

    def work(rank, store, paths):
        torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=4)
        mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
        dp, tp = mesh["dp"], mesh["tp"]
        ds = penstock.open(paths)
        options = {"batch_size": 64, "memory": "8MB"}
        loader = penstock.Loader(ds, rank=dp.get_local_rank(), world_size=dp.size(), **options)
        found = {"dp": dp.get_local_rank(), "tp": tp.get_local_rank(), "epochs": []}
        for epoch in range(2):
            rows, equal = [], True
            for batch in loader:
                rows.append(batch.index.tolist())
                # What tensor-parallel layers take for granted: their group has one batch, bit for bit.
                mine = batch.X.to_dense()
                others = [torch.empty_like(mine) for _ in range(tp.size())]
                torch.distributed.all_gather(others, mine, group=tp.get_group())
                equal = equal and all(torch.equal(mine, other) for other in others)
            found["epochs"].append([rows, equal])
        with open(f"{store}.{rank}.json", "w") as out:
            json.dump(found, out)
        torch.distributed.destroy_process_group()

    if __name__ == "__main__":
        mp.start_processes(work, (sys.argv[1], sys.argv[2:]), nprocs=4, start_method="fork")
"""


@pytest.mark.slow
def test_a_mesh_of_data_and_tensor_parallel_ranks(corpus, tmp_path):
    pytest.importorskip("torch")
    done = run_python(MESH, str(tmp_path / "store"), *corpus.paths)
    assert done.returncode == 0, done.stderr
    found = [json.loads((tmp_path / f"store.{rank}.json").read_text()) for rank in range(4)]
    assert [(f["dp"], f["tp"]) for f in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for epoch in range(2):
        shares = [f["epochs"][epoch][0] for f in found]
        assert all(f["epochs"][epoch][1] for f in found)
        assert shares[0] == shares[1] and shares[2] == shares[3]
        assert len(shares[0]) == len(shares[2])
        rows = np.concatenate([np.concatenate(shares[0]), np.concatenate(shares[2])])
        np.testing.assert_array_equal(np.sort(rows[rows >= 0]), np.arange(3001))
    assert found[0]["epochs"][0][0] != found[0]["epochs"][1][0]


@pytest.mark.slow
def test_torch_distributed(corpus, tmp_path):
    pytest.importorskip("torch")
    code = """
        import json, sys, torch, penstock
        import torch.multiprocessing as mp

        def work(rank, store, paths):
            loader = penstock.Loader(penstock.open(paths), batch_size=64, memory="8MB")
            torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=3)
            share = [len(loader), torch.cat([b.index for b in loader]).tolist()]
            # A file each: what three processes print to one pipe may run together.
            with open(f"{store}.{rank}.json", "w") as out:
                json.dump(share, out)
            torch.distributed.destroy_process_group()

        if __name__ == "__main__":
            mp.start_processes(work, (sys.argv[1], sys.argv[2:]), nprocs=3, start_method="fork")
    """
    done = run_python(code, str(tmp_path / "store"), *corpus.paths)
    assert done.returncode == 0, done.stderr
    shares = [json.loads((tmp_path / f"store.{rank}.json").read_text()) for rank in range(3)]
    assert len({n for n, _ in shares}) == 1
    rows = np.concatenate([r for _, r in shares])
    np.testing.assert_array_equal(np.sort(rows[rows >= 0]), np.arange(3001))
