"""Who has to go by what he would lose: ours, in the place of Kueue's order."""

import pytest

from gpuyard.model.queues import (
    Admission,
    Admitted,
    FlavorResource,
    PodSetAssignment,
    QueuePreemption,
    Usage,
)
from gpuyard.model.resources import Resources
from gpuyard.model.workloads import Workload
from gpuyard.scheduling.preemption.queues.rules import Demand, QueuePreemptionRules
from gpuyard.scheduling.preemption.queues.targets import targets
from gpuyard.scheduling.queues import Loss
from tests.small_queues import GPU, group, queue, queues_of


def _holders_with_losses(losses):
    """Return a full queue of one-GPU holders, each losing so many (time, device time)."""
    rules = QueuePreemption(within_cluster_queue="LowerPriority")
    queues = queues_of(queue(group(h100=len(losses)), preemption=rules))
    for key, (time_ns, device_ns) in losses.items():
        held = PodSetAssignment(
            name="main", count=1, flavors=((GPU, "h100"),), usage=Resources.of({GPU: 1})
        )
        admission = Admission("main", (held,))
        asked = Workload(key=key, pod_sets=(), created_ns=0)
        queues.admit(Admitted(workload=asked, admission=admission, reserved_ns=0))
        queues.losses[key] = Loss(time_ns, device_ns)
    return queues


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        pytest.param("newest", ("a",), id="as Kueue: by name where all else is equal"),
        pytest.param("least-lost", ("c",), id="who loses least over all devices"),
    ],
)
def test_victims_by_what_they_lose(choice, expected):
    queues = _holders_with_losses({"a": (9, 90), "b": (1, 80), "c": (5, 5)})
    key = FlavorResource("h100", GPU)
    demand = Demand(
        workload=Workload(key="new", pod_sets=(), created_ns=1, priority=1),
        queue="main",
        usage=Usage(((key, 1),)),
        contested=frozenset({key}),
    )
    found = targets(queues, demand, QueuePreemptionRules(victims=choice))
    assert tuple(target.workload for target in found) == expected
