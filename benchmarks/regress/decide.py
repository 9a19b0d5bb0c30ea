"""When is a change slower? The decision rule of `make regress`: pure functions of ratios, no clock, no files.

A *ratio* is cost of the change / cost of the base, of one pair of neighbouring runs; above 1 the change is slower.

The rule, for each benchmark:

1. Measure 7 pairs. If the median of their ratios is at most 1.10, the benchmark is `ok`.
2. Else it is suspected, and 30 *new* pairs are measured; those that raised the suspicion do not count, since noise
   may have raised it. If the interval of the new ratios lies wholly above 1.10, the change is `slower`: sure. If their
   median is at most 1.10 it is `ok`.
3. Else step 2 goes on with 30 pairs more, twice at most. Still not sure: `unsure`, which does not fail.

The interval is that of the signed-rank test (Hodges-Lehmann), of the logarithms of the ratios. It needs nothing but
that noise hits base and change alike - which the interleaving, with the order swapped in each pair, provides - and
an outlier moves it by one rank, however far out it is.

The level: when all ratios are truly 1.10, a whole run says `slower` wrongly with a probability of at most 1 %
(`FALSE_ALARMS`), shared out equally over benchmarks and looks (Bonferroni). At a true ratio of 1.00 it is far less.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

FALSE_ALARMS = 0.01  # of a whole run


class State(enum.Enum):
    MORE = "more"  # measure on
    OK = "ok"
    UNSURE = "unsure"  # looks slower; not sure after all pairs
    SLOWER = "slower"  # sure


@dataclass(frozen=True)
class Rule:
    """What it takes. `alpha` is the chance of a wrong `slower` of one benchmark at a true ratio of `bar`."""

    bar: float = 1.10
    pairs: int = 7
    confirm: int = 30
    looks: int = 3
    alpha: float = FALSE_ALARMS

    @classmethod
    def of_run(cls, benchmarks: int) -> Rule:
        return cls(alpha=FALSE_ALARMS / max(1, benchmarks))

    @property
    def most_pairs(self) -> int:
        return self.pairs + self.looks * self.confirm


@dataclass(frozen=True)
class Interval:
    low: float
    high: float
    level: float  # two-sided, what was really attained


@dataclass(frozen=True)
class Decision:
    state: State
    more: int  # pairs to measure next
    ratio: float  # median of the ratios that decide
    interval: Interval
    pairs: int  # how many decide


def rank_sums(n: int) -> np.ndarray:
    """P(W = w) of Wilcoxon's signed-rank statistic of n values without an effect, w = 0 ... n (n + 1) / 2."""
    p = np.zeros(n * (n + 1) // 2 + 1)
    p[0] = 1.0
    for rank in range(1, n + 1):
        p[rank:] = (p[rank:] + p[:-rank]) / 2
        p[:rank] /= 2
    return p


def interval(ratios: Sequence[float], alpha: float) -> Interval:
    """Where the true ratio lies: it is below `low` with a probability of at most alpha, above `high` likewise.

    With too few ratios for that the widest interval there is, from the least to the greatest ratio; see `level`.
    """
    if len(ratios) == 0 or min(ratios) <= 0:
        raise ValueError("ratios must be positive, and at least one")
    logs = np.log(np.asarray(ratios, dtype=np.float64))
    n = len(logs)
    means = np.sort(((logs[:, None] + logs[None, :]) / 2)[np.triu_indices(n)])
    below = np.cumsum(rank_sums(n))  # P(W <= w)
    # The k-th least mean is above the true value with a probability of P(W <= k - 1).
    k = max(1, int(np.searchsorted(below, alpha, side="right")))
    return Interval(math.exp(means[k - 1]), math.exp(means[-k]), 1 - 2 * float(below[k - 1]))


def decide(ratios: Sequence[float], rule: Rule) -> Decision:
    """What follows from the ratios so far, in the order in which they were measured."""
    alpha = rule.alpha / rule.looks

    def decision(state: State, part: Sequence[float], more: int = 0) -> Decision:
        return Decision(state, more, median(part), interval(part, alpha), len(part))

    if len(ratios) < rule.pairs:
        missing = rule.pairs - len(ratios)
        if not ratios:
            return Decision(State.MORE, missing, math.nan, Interval(math.nan, math.nan, 0.0), 0)
        return decision(State.MORE, ratios, missing)
    first, fresh = ratios[: rule.pairs], ratios[rule.pairs :]
    if median(first) <= rule.bar:
        return decision(State.OK, first)
    for look in range(1, rule.looks + 1):
        if len(fresh) < look * rule.confirm:
            return decision(State.MORE, fresh or first, look * rule.confirm - len(fresh))
        part = fresh[: look * rule.confirm]
        found = decision(State.SLOWER, part)
        if found.interval.low > rule.bar and found.interval.level >= 1 - 2 * alpha:
            return found
        if found.ratio <= rule.bar:
            return decision(State.OK, part)
    return decision(State.UNSURE, fresh[: rule.looks * rule.confirm])
