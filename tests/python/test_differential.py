"""The harness that compares Penstock with h5py and anndata on damaged files, for a few files of it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from support import ROOT


@pytest.mark.slow
def test_damaged_files_are_read_as_h5py_reads_them_or_refused():
    run = subprocess.run(
        [sys.executable, ROOT / "fuzz" / "differential.py", "--seed", "1", "--count", "50"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    # The seeds come first, undamaged: without them read alike the harness would compare nothing.
    alike = re.search(r"50 files: (\d+) parts read alike", run.stdout)
    assert alike and int(alike[1]) > 150, run.stdout
