"""Ask our queues what Volcano's enqueue action decides: which pod groups may have pods at all.

A queue's capability is the quota of a ClusterQueue, a pod group a workload: pending before it is
enqueued, admitted from then on. It asks for what its pods ask for, or, where it has none yet, for
its least resources; pods that ask for what no capability bounds need no quota. A pod group that
was enqueued and whose pods run in sufficient number is running; nobody decides that here.
"""

from collections.abc import Iterator, Mapping

from gpuyard.dialects import core
from gpuyard.model.constraints import LabelSelector
from gpuyard.model.queues import (
    QUOTA_MAX,
    Admission,
    Admitted,
    ClusterQueue,
    FlavorQuotas,
    LocalQueue,
    PodSetAssignment,
    ResourceFlavor,
    ResourceGroup,
    ResourceQuota,
)
from gpuyard.model.resources import CPU, MEMORY
from gpuyard.model.workloads import PodSet, PodTemplate, Request, Workload
from gpuyard.scheduling import queue_cycle
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.queues import Queues
from verification.oracles.rows import Answers, Json, Row
from verification.oracles.volcano import objects
from verification.oracles.volcano.objects import PodGroup

FLAVOR = "default"
COUNTED = (CPU, MEMORY)
POLICY = QueuePolicy(rounds_per_cycle=1000)
NOW_NS = 0


def one_cycle(row: Row) -> Answers:
    """Answer a row of the enqueue action: no pod moves, pod groups change their phase."""
    groups = objects.pod_groups_of(row.case)
    queues = _queues_of(row.case, groups)
    waiting = Waiting(queues, POLICY.rules)
    for group in groups:
        workload = _workload(row.case, group)
        if group.phase == "Pending":
            waiting.add(workload)
        else:
            admission = Admission(group.queue, tuple(_assignments(workload)))
            queues.admit(Admitted(workload=workload, admission=admission))
    nominator = Nominator(
        queues, POLICY.rules, now=lambda head: waiting.stamp(head.queue, head.workload)
    )
    plan = queue_cycle.run(waiting, nominator, POLICY, NOW_NS)
    phases = {group.key: _phase(row.case, queues, group) for group in groups}
    binds = {each.pod: each.node for start in plan.starts for each in start.assignments}
    evicted = sorted(each.victim for each in plan.evicts)
    return {
        "ExpectStatus": phases,
        "ExpectBindMap": binds,
        "ExpectBindsNum": len(binds),
        "ExpectEvicted": evicted,
        "ExpectEvictNum": len(evicted),
    }


def _phase(case: Mapping[str, Json], queues: Queues, group: PodGroup) -> str:
    held = queues.admitted.get(group.key)
    if held is None or held.evicted:
        return "Pending"
    running = [
        pod
        for pod in objects.pods_of(case)
        if objects.group_key(pod) == group.key and pod["status"]["phase"] == "Running"
    ]
    return "Running" if running and len(running) >= group.min_member else "Inqueue"


def _queues_of(case: Mapping[str, Json], groups: list[PodGroup]) -> Queues:
    given = objects.queues_of(case)
    namespaces = sorted({group.key.split("/")[0] for group in groups})
    return Queues(
        [_cluster_queue(each) for each in given],
        flavors=[ResourceFlavor(name=FLAVOR)],
        local_queues=[
            LocalQueue(namespace=namespace, name=each.name, cluster_queue=each.name)
            for namespace in namespaces
            for each in given
        ],
    )


def _cluster_queue(queue: objects.Queue) -> ClusterQueue:
    capability = queue.capability.as_dict()
    quotas = tuple(
        ResourceQuota(resource=name, nominal=capability.get(name, QUOTA_MAX)) for name in COUNTED
    )
    return ClusterQueue(
        name=queue.name,
        resource_groups=(ResourceGroup(COUNTED, (FlavorQuotas(FLAVOR, quotas),)),),
        namespace_selector=LabelSelector(),
        stop_policy="None" if queue.is_open else "Hold",
    )


def _workload(case: Mapping[str, Json], group: PodGroup) -> Workload:
    pods = [pod for pod in objects.pods_of(case) if objects.group_key(pod) == group.key]
    templates = {core.pod_key(pod): core.pod_template(pod) for pod in pods}
    if not templates and group.min_resources is not None:
        templates[group.key] = PodTemplate(request=Request(resources=group.min_resources))
    return Workload(
        key=group.key,
        queue=f"{group.key.split('/')[0]}/{group.queue}",
        pod_sets=tuple(
            PodSet(name=name, count=1, template=template) for name, template in templates.items()
        ),
        created_ns=0,
    )


def _assignments(workload: Workload) -> Iterator[PodSetAssignment]:
    for each in workload.pod_sets:
        yield PodSetAssignment(
            name=each.name,
            count=each.count,
            flavors=tuple((name, FLAVOR) for name in COUNTED),
            usage=each.template.request.resources,
        )
