"""Policies by name: public values, each a knob setting and nothing else.

`PLACEMENTS` say where pods go. The first six are the policies of FGD's evaluation (USENIX ATC'23,
Table 3). ``kube`` is kube-scheduler's default profile (v1.36.3; image locality, volumes and DRA
left out), with pods placed one by one and ties left to chance. ``kube-most-allocated`` is the
bin-packing profile of Kubernetes' documentation ("Resource Bin Packing", extended resources with
weight 3), with gangs placed whole, as a coscheduling plugin does. ``gpuyard`` is ours: FGD, with
best-fit beside it for what FGD cannot see when workloads end again. ``kai`` is KAI Scheduler's
default placement (v0.17): the fewest free GPUs first, and a device that others share already before
any of that.

`PRESETS` are whole policies. ``kueue`` is Kueue's defaults (v0.19), with best-fit for the pods that
it lets through, so that no peer loses by how kube-scheduler is set up; ``kai`` runs KAI's actions;
``gpuyard`` is ours. Under every other name there are no queues: by priority, then by age.
"""

from difflib import get_close_matches

from gpuyard.model.ledger import EvictionRules
from gpuyard.model.policy import (
    DEVICES,
    PlacementPolicy,
    Profile,
    ResourceWeight,
    ScoreName,
    WeightedScore,
)
from gpuyard.model.topology import HOSTNAME
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.passes.knobs import PassKnobs
from gpuyard.scheduling.policy import Policy
from gpuyard.scheduling.preemption.cheapest.consolidate import ConsolidationRules
from gpuyard.scheduling.preemption.queues.rules import QueuePreemptionRules
from gpuyard.scheduling.queue_policy import QueuePolicy

SECOND_NS = 10**9
MINUTE_NS = 60 * SECOND_NS
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

# FGD leaves the least fragments, best-fit keeps large holes whole; together they count twice what
# keeps the replicas of a service on different hosts.
_OURS = (WeightedScore(name="fgd", weight=3), WeightedScore(name="best-fit"))

PLACEMENTS: dict[str, PlacementPolicy] = {
    "fgd": PlacementPolicy(scores=_one("fgd"), devices="fgd"),
    "best-fit": PlacementPolicy(scores=_one("best-fit")),
    "dot-product": PlacementPolicy(scores=_one("dot-product")),
    "packing": PlacementPolicy(scores=_one("packing")),
    "clustering": PlacementPolicy(scores=_one("clustering")),
    "random": PlacementPolicy(scores=_one("random"), devices="random"),
    "gpuyard": PlacementPolicy(
        scores=_OURS,
        devices="fgd",
        profiles=(
            Profile(
                classes=("inference",),
                scores=(*_OURS, WeightedScore(name="inter-pod-affinity", weight=2)),
                devices="fgd",
                replicas_apart=HOSTNAME,
            ),
        ),
    ),
    "kai": PlacementPolicy(
        scores=(
            WeightedScore(name="bin-pack"),
            WeightedScore(name="cpu-only-node", weight=2),
            WeightedScore(name="shared-device", weight=100),
        ),
    ),
    "kube": PlacementPolicy(
        scores=(WeightedScore(name="least-allocated"), *_KUBE_AROUND),
        tie_break="random",
        gangs="pod-by-pod",
    ),
    "kube-most-allocated": PlacementPolicy(
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
_OUR_QUEUEING = QueuePolicy(
    rules=AdmissionRules(
        preemption=QueuePreemptionRules(victims="least-lost", revalidate=True),
        preempt_after_ns=HOUR_NS,
        preempt_when_waited_pct=100,
        preempt_not_before_ns=30 * SECOND_NS,
        preempt_at_once=("inference",),
        starts_as_it_preempted=True,
    ),
    rounds_per_cycle=1000,
    keeps_domains=False,
    hold_ns=10 * MINUTE_NS,
    evictions=EvictionRules(),
    moves=ConsolidationRules(),
)

PRESETS: dict[str, Policy] = {
    **{name: Policy(placement=placement) for name, placement in PLACEMENTS.items()},
    "kueue": Policy(placement=PLACEMENTS["best-fit"], queueing=QueuePolicy()),
    "kai": Policy(placement=PLACEMENTS["kai"], queueing=PassKnobs()),
    "gpuyard": Policy(placement=PLACEMENTS["gpuyard"], queueing=_OUR_QUEUEING),
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


def placement(name: str) -> PlacementPolicy:
    """Return what the preset `name` says about places. Raises UnknownPolicyError."""
    return preset(name).placement
