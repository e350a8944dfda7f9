"""Policies by name: public values, each a knob setting and nothing else.

The first six are the policies of FGD's evaluation (USENIX ATC'23, Table 3). ``kube`` is
kube-scheduler's default profile (v1.36.3; image locality, volumes and DRA left out), with pods
placed one by one and ties left to chance. ``kube-most-allocated`` is the bin-packing profile of
Kubernetes' documentation ("Resource Bin Packing", extended resources with weight 3), with gangs
placed whole, as a coscheduling plugin does. ``gpuyard`` is ours: FGD, with best-fit beside it for
what FGD cannot see when workloads end again. ``kai`` is KAI Scheduler's default placement (v0.17):
the fewest free GPUs first, and a device that others share already before any of that.
"""

from difflib import get_close_matches

from gpuyard.model.ledger import EvictionRules
from gpuyard.model.policy import DEVICES, Policy, ResourceWeight, ScoreName, WeightedScore
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.preemption.cheapest.consolidate import ConsolidationRules
from gpuyard.scheduling.preemption.queues.rules import QueuePreemptionRules
from gpuyard.scheduling.queue_policy import QueuePolicy

MINUTE_NS = 60 * 10**9
HOUR_NS = 60 * MINUTE_NS


def _one(score: ScoreName) -> tuple[WeightedScore, ...]:
    return (WeightedScore(name=score),)


_KUBE_AROUND = (
    WeightedScore(name="taint-toleration", weight=3),
    WeightedScore(name="node-affinity", weight=2),
    WeightedScore(name="topology-spread", weight=2),
    WeightedScore(name="inter-pod-affinity", weight=2),
    WeightedScore(name="balanced-allocation", weight=1),
)

PRESETS: dict[str, Policy] = {
    "fgd": Policy(scores=_one("fgd"), devices="fgd"),
    "best-fit": Policy(scores=_one("best-fit")),
    "dot-product": Policy(scores=_one("dot-product")),
    "packing": Policy(scores=_one("packing")),
    "clustering": Policy(scores=_one("clustering")),
    "random": Policy(scores=_one("random"), devices="random"),
    "gpuyard": Policy(
        scores=(WeightedScore(name="fgd", weight=3), WeightedScore(name="best-fit")),
        devices="fgd",
    ),
    "kai": Policy(
        scores=(
            WeightedScore(name="bin-pack"),
            WeightedScore(name="cpu-only-node", weight=2),
            WeightedScore(name="shared-device", weight=100),
        ),
    ),
    "kube": Policy(
        scores=(WeightedScore(name="least-allocated"), *_KUBE_AROUND),
        tie_break="random",
        gangs="pod-by-pod",
    ),
    "kube-most-allocated": Policy(
        scores=(
            WeightedScore(
                name="most-allocated",
                resources=(
                    ResourceWeight("cpu"),
                    ResourceWeight("memory"),
                    ResourceWeight(DEVICES, 3),
                ),
            ),
            *_KUBE_AROUND,
        ),
        tie_break="random",
    ),
}

# Small workloads move before anybody is evicted. An eviction has to wait until as much device time
# was waited as it throws away, an hour at most; `verification.contested` compares.
QUEUE_PRESETS: dict[str, QueuePolicy] = {
    "kueue": QueuePolicy(),
    "gpuyard": QueuePolicy(
        rules=AdmissionRules(
            preemption=QueuePreemptionRules(victims="least-lost", revalidate=True),
            preempt_after_ns=HOUR_NS,
            preempt_when_waited_pct=100,
            starts_as_it_preempted=True,
        ),
        rounds_per_cycle=1000,
        keeps_domains=False,
        hold_ns=10 * MINUTE_NS,
        evictions=EvictionRules(),
        moves=ConsolidationRules(),
    ),
}


class UnknownPolicyError(ValueError):
    """No preset has that name; says which ones there are and which was probably meant."""

    def __init__(self, name: str) -> None:
        """Look for the nearest name."""
        near = get_close_matches(name, PRESETS, n=1)
        known = ", ".join(sorted(PRESETS))
        meant = f"did you mean {near[0]!r}? ({known})" if near else f"there are {known}"
        super().__init__(f"unknown policy {name!r}; {meant}")


def preset(name: str) -> Policy:
    """Return the preset `name`.

    Raises
    ------
    UnknownPolicyError
        where there is none.

    """
    if name not in PRESETS:
        raise UnknownPolicyError(name)
    return PRESETS[name]
