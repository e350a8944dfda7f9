"""Topology-aware placement: which domains get how many pods, to the letter of Kueue.

What others call, in the order of its use:

- `survey` takes a picture of the nodes of one flavor as a `TopologyCapacity`; `use`, `release` and
  `fits` count on it what workloads were promised (`TopologyUsage`);
- `place` proposes places for the pod sets of a workload (`PodSetRequest`), or refuses with numbers
  (`Refusal`, said as a sentence by `sentence`); ``empty=True`` asks whether it would ever fit;
- `place_again` proposes other places for the pods of a host that failed;
- `usage_of` turns places into what `use` takes; `merged`, `truncated` and `pod_count` work on them;
- `has_levels` tells whether a topology knows the levels that a pod set asks for.

How choices are made is data: `gpuyard.model.topology.TopologyRules`. A domain is whatever nodes
with the same labels are: a rack, a block, an NVLink clique.

Inside, in the order in which a request passes through: `requests` (what is meant) → `matching`
(which hosts) → `counts` (how many fit, rolled up over `tree`) → `search` (which domains), with
`greedy` and `balanced` as the two ways to fill them → `assignments`.
"""

from gpuyard.scheduling.topology.assign import place, place_again
from gpuyard.scheduling.topology.assignments import merged, pod_count, truncated, usage_of
from gpuyard.scheduling.topology.capacity import TopologyCapacity, survey
from gpuyard.scheduling.topology.refusals import Exclusions, LayerRoom, Refusal, sentence
from gpuyard.scheduling.topology.requests import PodSetRequest, has_levels

__all__ = [
    "Exclusions",
    "LayerRoom",
    "PodSetRequest",
    "Refusal",
    "TopologyCapacity",
    "has_levels",
    "merged",
    "place",
    "place_again",
    "pod_count",
    "sentence",
    "survey",
    "truncated",
    "usage_of",
]
