"""The budget bounds the process."""

from __future__ import annotations

import json

import pytest
from conftest import make_corpus
from support import run_python

CODE = """
    import json, sys
    import penstock
    memory, to, format, epochs, *paths = sys.argv[1:]
    densify = format == "dense()"
    format = format if not densify else "csr"
    if to == "torch":
        import torch
        import penstock.torch

    def rss():
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))

    ds = penstock.open(paths)
    before = rss()
    loader = penstock.Loader(ds, batch_size=256, memory=memory, to=to, format=format, obs=["colour"])
    peaks = []
    for epoch in range(int(epochs)):
        peak = 0
        for i, batch in enumerate(loader):
            x = batch.dense() if densify else None
            if i % 8 == 0:
                peak = max(peak, rss())
        del batch, x
        peaks.append(peak - before)
    print(json.dumps({"peaks": peaks, "budget": loader.plan.memory, "stats": loader.stats()["memory"]}))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("to", "format"), [("torch", "csr"), ("numpy", "dense"), ("torch", "dense"), ("torch", "dense()")]
)
def test_rss_stays_inside_the_budget(tmp_path_factory, to, format):
    folder = tmp_path_factory.mktemp("rss")
    corpus = make_corpus(
        folder, [30_000] * 3, 1500, seed=3, chunks=50_000, compression="gzip", compression_opts=1
    )
    done = run_python(CODE, "48MB", to, format, "8", *corpus.paths, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["stats"]["peak"] <= report["budget"] == 48_000_000
    assert max(report["peaks"]) <= 48_000_000 + (16 << 20), report["peaks"]
    # No upward slope: the last epochs need no more than the first few did - except for the read-ahead, which
    # is reserved from the start but only touched when a read turns out to be slow.
    late = report["stats"]["peak_by_tag"]["fetch"] + (4 << 20)
    assert max(report["peaks"][4:]) <= max(report["peaks"][:4]) + late, report["peaks"]
