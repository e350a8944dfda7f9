"""Every score by its name in a `PlacementPolicy`; one module explains one score.

A score is a row of `SCORES`: what it reads (and so how long its answers stay good), whom it
concerns, its raw value for many nodes at once, and its normalisation over the feasible ones.
"""

from gpuyard.model.policy import ScoreName
from gpuyard.scheduling.rules import Score, always
from gpuyard.scheduling.scores import (
    balanced_allocation,
    best_fit,
    bin_pack,
    clustering,
    cpu_only_node,
    dot_product,
    fgd,
    inter_pod_affinity,
    least_allocated,
    most_allocated,
    node_affinity,
    packing,
    random,
    requested_to_capacity_ratio,
    shared_device,
    taint_toleration,
    topology_spread,
)

SCORES: dict[ScoreName, Score] = {
    "fgd": Score("use", always, fgd.raw),
    "best-fit": Score("use", always, best_fit.raw, best_fit.normalise),
    "dot-product": Score("use", always, dot_product.raw),
    "packing": Score("use", always, packing.raw),
    "clustering": Score("use", always, clustering.raw),
    "random": Score("nothing", always, random.raw),
    "least-allocated": Score("use", always, least_allocated.raw),
    "most-allocated": Score("use", always, most_allocated.raw),
    "requested-to-capacity-ratio": Score("use", always, requested_to_capacity_ratio.raw),
    "balanced-allocation": Score("use", balanced_allocation.concerns, balanced_allocation.raw),
    "taint-toleration": Score("labels", always, taint_toleration.raw, taint_toleration.normalise),
    "node-affinity": Score(
        "labels", node_affinity.concerns, node_affinity.raw, node_affinity.normalise
    ),
    "inter-pod-affinity": Score(
        "pods", inter_pod_affinity.concerns, inter_pod_affinity.raw, inter_pod_affinity.normalise
    ),
    "topology-spread": Score(
        "pods", topology_spread.concerns, topology_spread.raw, topology_spread.normalise
    ),
    "bin-pack": Score("use", always, bin_pack.free, bin_pack.fewest_free),
    "spread": Score("use", always, bin_pack.free_share),
    "shared-device": Score("use", shared_device.concerns, shared_device.raw),
    "cpu-only-node": Score("labels", cpu_only_node.concerns, cpu_only_node.raw),
}
