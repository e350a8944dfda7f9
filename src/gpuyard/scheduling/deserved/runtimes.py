"""How long a workload is left alone, and how long another one waits before it evicts anybody.

A victim is protected from its start until a least run time has passed. Which one, its queue says:

- against preemption by its own queue: the nearest queue upwards that states one;
- against reclaim, ``lca``: the queue just below the lowest common ancestor of both, or the nearest
  above that states one (a promise between siblings holds for all that is below them);
  ``queue``: the nearest upwards from the victim's own queue.

A workload with a *preemption delay* may start at once where there is room, but evicts nobody before
the delay has passed since it was created or last evicted: an autoscaler gets its chance first.

Semantics: KAI Scheduler v0.17, plugins/minruntime/resolver.go and podgroup_info (preemption delay).
"""

from collections.abc import Iterable
from typing import Literal

from gpuyard.scheduling.deserved.shares import Share, ShareTree

ReclaimResolution = Literal["lca", "queue"]


def preempt_min_runtime_ns(share: Share, default_ns: int = 0) -> int:
    """Return how long workloads of this queue run before others of it may preempt them."""
    return _first(default_ns, (step.queue.preempt_min_runtime_ns for step in share.to_root()))


def reclaim_min_runtime_ns(
    tree: ShareTree,
    reclaimer: str,
    victim: str,
    resolution: ReclaimResolution = "lca",
    default_ns: int = 0,
) -> int:
    """Return how long workloads of the queue `victim` run before `reclaimer` may evict them."""
    upwards = list(tree[victim].to_root())
    if resolution == "lca":
        mine = set(tree[reclaimer].to_root())
        common = [step for step in upwards if step in mine]
        if not common:  # two roots are siblings: only the root's own word counts
            upwards = upwards[-1:]
        else:
            below = len(upwards) - len(common) - 1
            upwards = upwards[max(0, below) :]
    return _first(default_ns, (step.queue.reclaim_min_runtime_ns for step in upwards))


def is_protected(started_ns: int | None, min_runtime_ns: int, now_ns: int) -> bool:
    """Tell whether a workload that started then may not be evicted yet; `None`: never started."""
    return started_ns is not None and now_ns < started_ns + max(0, min_runtime_ns)


def may_evict(
    created_ns: int, delay_ns: int, now_ns: int, last_evicted_ns: int | None = None
) -> bool:
    """Tell whether a workload's preemption delay has passed."""
    since_ns = max(created_ns, created_ns if last_evicted_ns is None else last_evicted_ns)
    return delay_ns <= 0 or now_ns >= since_ns + delay_ns


def _first(default_ns: int, stated: Iterable[int | None]) -> int:
    return next((value for value in stated if value is not None), default_ns)
