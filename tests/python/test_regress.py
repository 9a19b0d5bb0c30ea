"""make regress: the rule that judges, and the runs that it judges."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.stats
from support import ROOT

FOLDER = ROOT / "benchmarks" / "regress"


@pytest.fixture(scope="module")
def regress() -> Iterator[ModuleType]:
    """benchmarks/regress/run.py, as a module of its own name."""
    import importlib.util

    sys.path.insert(0, str(FOLDER))
    spec = importlib.util.spec_from_file_location("regress_run", FOLDER / "run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["regress_run"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(FOLDER))


@pytest.fixture(scope="module")
def decide(regress: ModuleType) -> ModuleType:
    return regress.decide


# --- the rule -----------------------------------------------------------------------------------------------


def ratios(rng: np.random.Generator, n: int, true: float, noise: float, outliers: float) -> list[float]:
    """Of runs with lognormal noise, some of them three times as long."""

    def runs() -> np.ndarray:
        return np.exp(rng.normal(0, noise, n)) * np.where(rng.random(n) < outliers, 3.0, 1.0)

    return list(true * runs() / runs())


def play(decide: ModuleType, rng: np.random.Generator, *world: float, benchmarks: int = 1) -> tuple[Any, int]:
    rule = decide.Rule.of_run(benchmarks)
    seen: list[float] = []
    while True:
        found = decide.decide(seen, rule)
        if found.state is not decide.State.MORE:
            return found.state, len(seen)
        assert found.more >= 1 and len(seen) + found.more <= rule.most_pairs
        seen += ratios(rng, found.more, *world)


def share_slower(decide: ModuleType, *world: float, plays: int = 300, benchmarks: int = 1) -> float:
    rng = np.random.default_rng(0)
    states = [play(decide, rng, *world, benchmarks=benchmarks)[0] for _ in range(plays)]
    return states.count(decide.State.SLOWER) / plays


def test_no_false_alarms(decide: ModuleType) -> None:
    # Ratio 1.0, 25 % noise in each run, a tenth of the runs three times as long.
    assert share_slower(decide, 1.0, 0.25, 0.1, plays=1000) == 0
    # Even at the bar itself: at most the 1 % that is stated; 12 of 600 would be beyond any doubt.
    assert share_slower(decide, 1.10, 0.25, 0.1, plays=600) < 12 / 600


@pytest.mark.parametrize(
    ("world", "least"),
    [((1.3, 0.10, 0.05), 0.95), ((1.3, 0.25, 0.0), 0.6), ((1.5, 0.25, 0.1), 0.85), ((3.0, 0.25, 0.1), 0.99)],
)
def test_what_is_slower_is_found(decide: ModuleType, world: tuple[float, ...], least: float) -> None:
    assert share_slower(decide, *world) >= least


def test_several_benchmarks_share_the_level(decide: ModuleType) -> None:
    assert decide.Rule.of_run(8).alpha == pytest.approx(decide.FALSE_ALARMS / 8)
    assert share_slower(decide, 1.3, 0.10, 0.05, benchmarks=8) >= 0.9
    assert share_slower(decide, 1.0, 0.25, 0.1, benchmarks=8) == 0


def test_the_steps(decide: ModuleType) -> None:
    rule, state = decide.Rule(), decide.State
    first = decide.decide([], rule)
    assert (first.state, first.more) == (state.MORE, 7)
    assert decide.decide([1.0] * 3, rule).more == 4
    quiet = decide.decide([1.0, 1.2, 1.0, 1.0, 1.3, 1.0, 1.2], rule)
    assert (quiet.state, quiet.pairs, quiet.ratio) == (state.OK, 7, 1.0)
    assert decide.decide([1.10] * 7, rule).state is state.OK  # exceeds, not reaches

    suspects = [1.5] * 7
    assert decide.decide(suspects, rule).more == 30
    assert decide.decide(suspects + [1.2] * 10, rule).more == 20
    # The pairs that raised the suspicion do not confirm it.
    assert decide.decide(suspects + [1.0] * 30, rule).state is state.OK
    sure = decide.decide(suspects + [1.2, 1.3] * 15, rule)
    assert (sure.state, sure.pairs) == (state.SLOWER, 30)
    assert sure.interval.low > rule.bar and sure.interval.level >= 0.99
    # Above the bar, but not surely: two more looks, then no failure.
    doubtful = [0.8, 1.0, 1.2, 1.3, 1.12] * 6
    assert decide.decide(suspects + doubtful, rule).more == 30
    assert decide.decide(suspects + doubtful * 2, rule).more == 30
    assert decide.decide(suspects + doubtful * 3, rule).state is state.UNSURE


def test_interval_is_that_of_the_signed_rank_test(decide: ModuleType) -> None:
    rng = np.random.default_rng(1)
    for n in (8, 30, 60):
        for _ in range(20):
            sample = ratios(rng, n, 1.2, 0.25, 0.05)
            p = scipy.stats.wilcoxon(
                np.log(sample) - np.log(1.1), alternative="greater", method="exact"
            ).pvalue
            for alpha in (0.1, 0.01):
                found = decide.interval(sample, alpha)
                assert (found.low > 1.1 and found.level >= 1 - 2 * alpha) == (p <= alpha)
    few = decide.interval([1.0, 1.5, 2.0], 0.001)
    assert (few.low, few.high) == pytest.approx((1.0, 2.0)) and few.level == 0.75  # says that it is less sure
    for wrong in ([], [1.0, 0.0]):
        with pytest.raises(ValueError, match="positive"):
            decide.interval(wrong, 0.01)


# --- the runs -----------------------------------------------------------------------------------------------


class Clock:
    """A benchmark whose change takes `ratio` times as long, with noise that drifts."""

    def __init__(self, ratio: float) -> None:
        self.ratio, self.rng, self.calls = ratio, np.random.default_rng(2), []

    def __call__(self, side: Any) -> float:
        self.calls.append(side.name)
        drift = 1 + 0.01 * len(self.calls)  # the machine gets slower all the time
        cost = drift * float(np.exp(self.rng.normal(0, 0.05)))
        return cost * (self.ratio if side.name == "change" else 1.0)


def test_pairs_are_interleaved_and_judged(regress: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    base, change = regress.Side("base", Path("a")), regress.Side("change", Path("b"))

    def newer(side: Any) -> float:
        raise regress.Failed("usage\nno such option")

    same, slow = Clock(1.0), Clock(1.4)
    rows = regress.compare_all({"same": same, "slow": slow, "newer": newer}, base, change)
    assert [row.verdict for row in rows] == ["ok", "slower", "not measured"]
    assert same.calls[1:9] == ["base", "change", "change", "base"] * 2  # after one that warms up
    assert len(rows[1].base) == 37 and rows[1].decision.ratio == pytest.approx(1.4, rel=0.1)
    text = regress.table(rows)
    assert "slower" in text and "30 of 37" in text and "no such option" in text
    assert "SLOWER" in regress.summary(rows) and "--only slow" in regress.summary(rows)
    report = json.loads(json.dumps(regress.report(rows, (base, change), True)))
    assert [b["verdict"] for b in report["benchmarks"]] == ["ok", "slower", "not measured"]
    assert regress.exit_code(rows) == 1 and regress.exit_code(rows[:1]) == 0
    assert "nothing is slower" in regress.summary(rows[:1])


def test_base_is_found_and_exported(
    regress: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = tmp_path / "repository"
    monkeypatch.setattr(regress, "ROOT", repository)
    monkeypatch.setattr(regress, "WORK", tmp_path / "work")

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b")
        command = ["git", "-C", str(repository), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    repository.mkdir()
    git("init", "-q", "-b", "main")
    commits = []
    for text in ("one", "two"):
        (repository / "file").write_text(text)
        git("add", "file")
        git("commit", "-q", "-m", text)
        commits.append(git("rev-parse", "HEAD"))
    assert regress.default_base() == commits[0]  # on main, nothing changed: the commit before
    (repository / "file").write_text("three")
    assert regress.default_base() == commits[1]  # changed: the last commit
    git("checkout", "-q", "-b", "branch")
    git("commit", "-q", "-am", "three")
    assert regress.default_base() == commits[1]  # where the branch left main
    for _ in range(2):
        assert (regress.export(commits[0]) / "file").read_text() == "one"
    with pytest.raises(regress.Failed, match="nonsense"):
        regress.sides("nonsense")


@pytest.mark.slow
def test_quick_run_against_itself(regress: ModuleType, tmp_path: Path) -> None:
    command = [sys.executable, str(FOLDER / "run.py"), "--aa", "--quick", "--json", "--only", "engine-csr64"]
    env = {**regress.os.environ, "PENSTOCK_DATA": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode in (0, 1), done.stderr  # the machine may be as noisy as it likes
    report = json.loads(done.stdout)
    (benchmark,) = report["benchmarks"]
    assert len(benchmark["base"]) == len(benchmark["change"]) >= 7 and min(benchmark["base"]) > 0
    assert (benchmark["verdict"] == "slower") == (done.returncode == 1)
    assert "engine-csr64" in done.stderr and "verdict" in done.stderr
    # The benchmarks of the package, one run of each.
    data = regress.Data([str(f) for f in tmp_path.glob("*/*.h5ad")], 1)
    side = regress.installed()
    for what in ("epochs", "open", "memory"):
        assert regress.package(data, what, batch_size=64, memory="64MB", to="numpy")(side) > 0


def test_usage(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(FOLDER / "run.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    names = run("--list").stdout.split()
    assert {"engine-csr4096", "csr64", "dense64", "open", "rss"} <= set(names)
    wrong = run("--only", "nonsense")
    assert wrong.returncode == 2 and "engine-csr4096" in wrong.stderr
