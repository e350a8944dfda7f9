"""The weeks of a demo side by side: means, ranges over the seeds, who gains, who loses.

Beside them lie what teams made of a shared fleet, one entry a contender, and the story.

Every figure is a mean over the seeds with the smallest and largest beside it: with a handful of
seeds a range says more than a standard error. Contenders meet the same weeks, so a difference is
taken week by week before it is averaged.
"""

from collections.abc import Callable, Iterable

import msgspec

from gpuyard.studies.demo.story import Story
from gpuyard.studies.demo.teams import TeamDays
from gpuyard.studies.demo.weeks import Contender, Scenario, Wait, Week

NO_GAIN_PCT = 1.0  # of the useful GPU-hours: below it nothing was gained
WORSE_S = 60.0  # a mean wait that grew by less is nobody's loss


class Spread(msgspec.Struct, frozen=True):
    """A mean over the seeds, and the smallest and largest of them."""

    mean: float
    low: float
    high: float


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """A class of workload whose mean wait grew against a peer."""

    kind: str
    before_s: float
    after_s: float


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The weeks of a scenario and the questions one asks of them."""

    scenario: Scenario
    weeks: tuple[Week, ...]
    teams: tuple[TeamDays, ...] = ()
    story: Story | None = None

    @property
    def ours(self) -> Contender:
        """Return gpuyard's column."""
        return next(one for one in self.scenario.contenders if one.role == "ours")

    @property
    def peers(self) -> tuple[Contender, ...]:
        """Return everybody else's, in the scenario's order."""
        return tuple(one for one in self.scenario.contenders if one.role != "ours")

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the classes of workload, sorted by name."""
        return tuple(sorted({kind for week in self.weeks for kind in week.waits}))

    def of(self, contender: Contender, load: float | None = None) -> tuple[Week, ...]:
        """Return the weeks of `contender` at `load` (default: the main load), by seed."""
        wanted = self.scenario.main_load if load is None else load
        found = (one for one in self.weeks if (one.contender, one.load) == (contender.name, wanted))
        return tuple(sorted(found, key=lambda one: one.seed))

    def spread(
        self, contender: Contender, figure: Callable[[Week], float], load: float | None = None
    ) -> Spread:
        """Return `figure` over the seeds."""
        return spread(figure(week) for week in self.of(contender, load))

    def gain(
        self, peer: Contender, figure: Callable[[Week], float], load: float | None = None
    ) -> Spread:
        """Return ours minus `peer`'s `figure`, week by week."""
        pairs = zip(self.of(self.ours, load), self.of(peer, load), strict=True)
        return spread(figure(mine) - figure(theirs) for mine, theirs in pairs)

    def losers(self, peer: Contender) -> tuple[Loss, ...]:
        """Return the classes that wait longer with us than with `peer`, the worst first."""
        losses = []
        for kind in self.kinds:
            before = self.spread(peer, waits_of(kind)).mean
            after = self.spread(self.ours, waits_of(kind)).mean
            if after - before > WORSE_S:
                losses.append(Loss(kind=kind, before_s=before, after_s=after))
        return tuple(sorted(losses, key=lambda loss: loss.before_s - loss.after_s))

    def loads_without_gain(self, peer: Contender) -> tuple[float, ...]:
        """Return the loads at which we gain at most `NO_GAIN_PCT` of `peer`'s useful GPU-hours."""
        return tuple(
            load
            for load in sorted(self.scenario.loads)
            if self._gain_pct(peer, load) <= NO_GAIN_PCT
        )

    def loads_with_loss(self, peer: Contender) -> tuple[float, ...]:
        """Return those of them at which we lose more than that."""
        return tuple(
            load
            for load in sorted(self.scenario.loads)
            if self._gain_pct(peer, load) < -NO_GAIN_PCT
        )

    def _gain_pct(self, peer: Contender, load: float) -> float:
        theirs = self.spread(peer, useful, load).mean
        return 100 * self.gain(peer, useful, load).mean / theirs if theirs else 0.0


def spread(values: Iterable[float]) -> Spread:
    """Return mean, smallest and largest of `values`, of which there must be at least one."""
    listed = list(values)
    return Spread(sum(listed) / len(listed), min(listed), max(listed))


def useful(week: Week) -> float:
    """Return the GPU-hours of complete workloads."""
    return week.useful_gpu_h


def waits_of(kind: str) -> Callable[[Week], float]:
    """Return the figure "mean wait of one class", in seconds."""

    def mean_s(week: Week) -> float:
        wait: Wait | None = week.waits.get(kind)
        return wait.mean_s if wait else 0.0

    return mean_s


def mean_gang(week: Week) -> float:
    """Return how many nodes' worth of a gang could start at once, averaged over the week."""
    return sum(week.gang) / max(1, len(week.gang))
