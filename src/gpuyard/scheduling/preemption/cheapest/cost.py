"""What an eviction costs, and whether it is legal at all.

The cost of a victim is device time: the devices it holds, times the work since its last checkpoint
and the time a restart takes, plus a price for the disturbance itself that a policy sets. It is
counted in device-milliseconds (one GPU-hour is 3,600,000 of them), rounded up, as exact integers.

Legal is whom the rules let go: whose priority is lower, who is not declared non-preemptible, who
was not evicted a moment ago, whose grace period is not longer than the gang may wait. Alone that is
not enough, because some limits are shared: the brake on evicted devices, the brake on lost device
time, and every disruption budget. Of each there is so much left (`Limits`), and a set of victims
must stay within all of them. Budgets bind here: where kube-scheduler would rather break one than
wait, we wait.

With ``lower`` and ``lower-or-newer-equal`` nobody can evict whom it was evicted for, directly or
around a circle: along every chain of evictions the pair (priority, age in the queue) rises. Whoever
passes ``offered`` has decided that by other means, such as quota.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from gpuyard.model.disruption import DisruptionBudget
from gpuyard.model.running import Running
from gpuyard.model.workloads import PodTemplate
from gpuyard.scheduling.fleet import IntArray
from gpuyard.scheduling.preemption.nodes.disruption import protects
from gpuyard.scheduling.snapshot import Snapshot

NS_PER_S = 10**9
DEVICE_MS_PER_GPU_HOUR = 3_600_000

Spared = Literal[
    "NotPreemptible",  # its owner said so
    "NotLower",  # the rules do not put it behind the gang
    "EvictedRecently",  # once per window is enough
    "GraceTooLong",  # the gang may not wait that long
    "BudgetExhausted",  # a PodDisruptionBudget allows fewer disruptions than it has pods
    "BrakeOn",  # by itself it holds, or would lose, more than the brake lets go
]


class Gang(msgspec.Struct, frozen=True, kw_only=True):
    """Pods that start together or not at all, and who is asking."""

    key: str
    pods: tuple[tuple[str, PodTemplate], ...]
    priority: int = 0
    queued_ns: int = 0

    @property
    def device_milli(self) -> int:
        """Thousandths of devices that all its pods ask for."""
        asked = (template.request.devices for _, template in self.pods)
        return sum(devices.total_milli for devices in asked if devices)


class VictimRules(msgspec.Struct, frozen=True, kw_only=True):
    """Who may be evicted, what a disturbance costs, and how long to look for the cheapest set.

    `whom`: of lower priority; or of equal priority as well where it queued later; or everybody who
    is offered. `eviction_price_device_ms` is added for each victim (one device-minute). So many
    candidates (`exhaustive_max`) are searched through completely. `rows_max` bounds the arithmetic
    (one row: one candidate on one node, looked at once), `landings_max` how often the gang is
    placed on trial, `exact_limit_s` each exact search for a gang of several shapes (0: none).
    """

    whom: Literal["lower", "lower-or-newer-equal", "offered"] = "lower"
    eviction_price_device_ms: int = 60_000
    grace_ns_max: int | None = None
    exhaustive_max: int = 16
    rows_max: int = 300_000
    landings_max: int = 128
    exact_limit_s: float = 0.05


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger and the cluster leave for evictions now; `None` does not bind."""

    recently_evicted: frozenset[str] = frozenset()
    device_milli_left: int | None = None
    lost_device_ms_left: int | None = None
    budgets: tuple[DisruptionBudget, ...] = ()


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that could go, what that costs, and what it takes of each shared limit."""

    running: Running
    cost_device_ms: int
    device_milli: int
    takes: tuple[int, ...]  # in the order of `left`

    @property
    def order(self) -> tuple[int, str]:
        """The cheapest first, then by key."""
        return self.cost_device_ms, self.running.key


def candidate(
    snapshot: Snapshot, running: Running, rules: VictimRules, limits: Limits, now_ns: int
) -> Candidate:
    """Return `running` with its cost; pods that hold no node (any more) cost and take nothing."""
    held = [snapshot.bookings[pod].assignment for pod in running.pods if pod in snapshot.bookings]
    device_milli = sum(assignment.device_milli for assignment in held)
    lost_device_ms = -(-device_milli * running.lost_ns(now_ns) // NS_PER_S)  # rounded up
    takes = []
    if limits.device_milli_left is not None:
        takes.append(device_milli)
    if limits.lost_device_ms_left is not None:
        takes.append(lost_device_ms)
    takes += [sum(protects(budget, assignment) for assignment in held) for budget in limits.budgets]
    return Candidate(
        running=running,
        cost_device_ms=lost_device_ms + rules.eviction_price_device_ms,
        device_milli=device_milli,
        takes=tuple(takes),
    )


def left(limits: Limits) -> IntArray:
    """Return how much of each shared limit that binds is left."""
    return np.array(_left(limits), dtype=np.int64)


def spared(gang: Gang, who: Candidate, rules: VictimRules, limits: Limits) -> Spared | None:
    """Return why `who` may not be evicted for `gang`, `None` where it may."""
    running = who.running
    if not running.preemptible:
        return "NotPreemptible"
    if not _is_behind(gang, running, rules):
        return "NotLower"
    if running.key in limits.recently_evicted:
        return "EvictedRecently"
    if rules.grace_ns_max is not None and running.grace_ns > rules.grace_ns_max:
        return "GraceTooLong"
    over = [take > have for take, have in zip(who.takes, _left(limits), strict=True)]
    if any(over):
        brakes = len(over) - len(limits.budgets)
        return "BrakeOn" if any(over[:brakes]) else "BudgetExhausted"
    return None


def stays_within(victims: Sequence[Candidate], limits: Limits) -> bool:
    """Tell whether all of `victims` together stay within every shared limit."""
    if not victims:
        return True
    taken = np.array([victim.takes for victim in victims], dtype=np.int64).sum(axis=0)
    return bool((taken <= left(limits)).all())


def _is_behind(gang: Gang, running: Running, rules: VictimRules) -> bool:
    match rules.whom:
        case "lower":
            return running.priority < gang.priority
        case "lower-or-newer-equal":
            return (running.priority, -running.queued_ns) < (gang.priority, -gang.queued_ns)
        case "offered":
            return True


def _left(limits: Limits) -> list[int]:
    brakes = (limits.device_milli_left, limits.lost_device_ms_left)
    amounts = [amount for amount in brakes if amount is not None]
    return amounts + [budget.allowed for budget in limits.budgets]
