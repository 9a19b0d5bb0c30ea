#!/usr/bin/env python3
"""The training of train_ddp.py under Ray Train: Ray starts the ranks, on one machine or many, and starts them again.

    pip install ".[ray]"
    python examples/train_ray.py                                                   two workers here, a small set
    python examples/train_ray.py --workers 4 --data a.h5ad b.h5ad --label cell_type                    yours
    ray job submit --working-dir examples -- python train_ray.py --data ...        on a cluster that runs already

Ray's TorchTrainer makes a process group of its workers, and a loader asks that for its rank. Checkpoints with the
loader's position go to --storage, on a disk that all machines see. When a worker dies, all start again from the
newest; so does the same command, when the same --name was cut short.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

# Before ray is imported: nobody is told that it runs.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
import ray.train
import torch
import train_ddp
from ray.train.torch import TorchTrainer, get_device


def worker(options: dict[str, Any]) -> None:
    """One rank. Ray has initialised torch.distributed."""
    found = None
    last = ray.train.get_checkpoint()
    if last is not None:
        with last.as_directory() as folder:
            found = train_ddp.read_checkpoint(Path(folder) / "checkpoint.pt", get_device())

    def save(checkpoint: dict[str, Any], metrics: dict[str, Any]) -> None:
        # Every rank reports, or the others wait for it; one brings the checkpoint.
        with tempfile.TemporaryDirectory() as folder:
            kept = None
            if ray.train.get_context().get_world_rank() == 0:
                train_ddp.write_checkpoint(Path(folder) / "checkpoint.pt", checkpoint)
                kept = ray.train.Checkpoint.from_directory(folder)
            ray.train.report(metrics, checkpoint=kept)

    train_ddp.train(argparse.Namespace(**options), get_device(), found, save)


def start_ray(workers: int) -> None:
    if "RAY_ADDRESS" in os.environ:
        ray.init()
    else:
        # Cells do not pass through Ray's object store: the least that it takes.
        ray.init(num_cpus=workers, include_dashboard=False, object_store_memory=80 * 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    train_ddp.add_options(parser)
    parser.add_argument("--workers", type=int, default=2, help="ranks (default: %(default)s)")
    parser.add_argument("--name", default="penstock", help="of the run (default: %(default)s)")
    parser.add_argument(
        "--storage", type=Path, default=Path("ray-results"), help="for checkpoints (default: %(default)s)"
    )
    parser.add_argument(
        "--max-failures", type=int, default=2, help="times to start again (default: %(default)s)"
    )
    args = parser.parse_args()
    # Workers have working folders of their own.
    files = [os.path.abspath(name) for name in args.data or train_ddp.demo_files(args.cells)]
    options = {**vars(args), "data": files, "trace": args.trace and args.trace.resolve()}

    start_ray(args.workers)
    trainer = TorchTrainer(
        worker,
        train_loop_config=options,
        # A loader decodes on the machine's cores divided by the workers there, whatever "CPU" says:
        # resources_per_worker={"CPU": 8} is for Ray's bookkeeping.
        scaling_config=ray.train.ScalingConfig(num_workers=args.workers, use_gpu=torch.cuda.is_available()),
        run_config=ray.train.RunConfig(
            name=args.name,
            storage_path=str(args.storage.resolve()),
            failure_config=ray.train.FailureConfig(max_failures=args.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
        ),
    )
    result = trainer.fit()
    print(f"{result.metrics['step']} steps, loss {result.metrics['loss']:.4f}: {result.checkpoint.path}")
    ray.shutdown()


if __name__ == "__main__":
    main()
