"""What a policy decides about the passes, as plain data.

Durations are in nanoseconds; factors and parts in billionths, so that they are exact.
"""

from typing import Literal

import msgspec

from gpuyard.model.queues import WEIGHT_ONE_NANO
from gpuyard.scheduling.deserved.runtimes import ReclaimResolution

PassName = Literal["allocate", "consolidate", "reclaim", "preempt", "stale-gangs"]
ALL_PASSES: tuple[PassName, ...] = (
    "allocate",
    "consolidate",
    "reclaim",
    "preempt",
    "stale-gangs",
)


class PassKnobs(msgspec.Struct, frozen=True, kw_only=True, tag="passes"):
    """How the passes run.

    `passes`: which, in this order.
    `usage_k_nano`: how strongly decayed usage corrects the over-quota weights.
    `saturation_multiplier_nano`: how much more saturated a victim's queue must be than the
    reclaimer's; at least one.
    `consolidate_jobs_max`: so many running jobs may be moved for one pending job (-1: any number).
    `reclaim_moves_victims`: a victim that finds another place is no loss to its queue.
    `jobs_per_queue_max`: so many pending jobs of a queue are looked at (-1: all).
    `scenarios_max`: so many sets of victims are simulated for one pending job in one pass.
    `skip_no_easier`: in a pass that evicts, do not try a job that is no easier to start than one of
    the same constraints that could not be started.
    `available_now_points`, `preferred_domain_points`: added to a node's score where the pod fits
    without waiting for anybody, and per tenth of the order of preferred domains.
    """

    passes: tuple[PassName, ...] = ALL_PASSES
    usage_k_nano: int = WEIGHT_ONE_NANO
    saturation_multiplier_nano: int = WEIGHT_ONE_NANO
    consolidate_jobs_max: int = -1
    reclaim_moves_victims: bool = True
    reclaim_resolution: ReclaimResolution = "lca"
    reclaim_min_runtime_ns: int = 0
    preempt_min_runtime_ns: int = 0
    stale_grace_ns: int = 60 * 10**9
    jobs_per_queue_max: int = -1
    scenarios_max: int = 4096
    skip_no_easier: bool = False
    available_now_points: int = 1_000
    preferred_domain_points: int = 100_000
