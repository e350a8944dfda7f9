"""Nonsense ends at the door: it raises nothing but QuotaError, and behind it nothing raises.

Queues are built from any numbers and names; workloads ask for anything. What is let in is served in
whole cycles, with nodes, preemption and topology, and its idle devices are explained.
"""

import msgspec
import numpy as np
from hypothesis import assume, given, settings, strategies as st

from gpuyard.model.constraints import (
    Constraints,
    HostPort,
    LabelSelector,
    NodeSelectorTerm,
    PodTerm,
    Requirement,
    SpreadConstraint,
    Taint,
    Toleration,
)
from gpuyard.model.deltas import NodeObserved
from gpuyard.model.door import DoorRules
from gpuyard.model.nodes import Device, Node
from gpuyard.model.queues import (
    ClusterQueue,
    Cohort,
    FlavorQuotas,
    LocalQueue,
    QueuePreemption,
    ResourceFlavor,
    ResourceGroup,
    ResourceQuota,
)
from gpuyard.model.resources import CPU, PODS, Resources
from gpuyard.model.topology import HOSTNAME, SliceRequest, Topology, TopologyRequest
from gpuyard.model.workloads import DeviceRequest, PodSet, PodTemplate, Request, Workload
from gpuyard.scheduling import idle, presets, queue_cycle
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.door import Door
from gpuyard.scheduling.ledger import Ledger
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.queues import Queues
from gpuyard.scheduling.quota import QuotaError
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import survey

GPU = "nvidia.com/gpu"
NOW = 5
CYCLES = 4
UNTILS = {"the workload changes", "the queues change", "the nodes change"}

numbers = st.sampled_from([1, 2, 1, 4, 0, -1, 3, 1000, 8, 2**40, 2**62, 2**63 - 1, 2**70])
small = st.sampled_from([1, 1, 2, 3, 4, 0, -1])
flavor_names = st.sampled_from(["a100", "h100"])
any_names = st.sampled_from(["a100", "h100", "", "x"])
labels = st.sampled_from(["flavor", "rack", HOSTNAME, "zone", ""])
values = st.sampled_from(["a100", "h100", "r1", "n0", "7", "", "x"])
resources = st.sampled_from([CPU, GPU, PODS, "x"])
limits = st.none() | numbers


# -- queues


def groups_of(names, amounts):
    """Return resource groups over these flavors, with any quotas."""
    quotas = st.builds(
        ResourceQuota,
        resource=st.sampled_from([CPU, GPU]),
        nominal=amounts,
        borrowing_limit=st.none() | amounts,
        lending_limit=st.none() | amounts,
    )
    offered = st.builds(FlavorQuotas, names, st.lists(quotas, max_size=2).map(tuple))
    group = st.builds(
        ResourceGroup,
        st.sampled_from([(CPU, GPU), (CPU,), (GPU,), ()]),
        st.lists(offered, max_size=2).map(tuple),
    )
    return st.lists(group, max_size=2).map(tuple)


def usual_groups(names):
    """Return a resource group over flavors, each with quota for everything."""
    amount = st.integers(0, 12)
    quotas = st.tuples(
        *(st.builds(ResourceQuota, resource=st.just(name), nominal=amount) for name in (CPU, GPU))
    )
    offered = st.builds(FlavorQuotas, names, quotas)
    flavors = st.lists(offered, min_size=1, max_size=2, unique_by=lambda one: one.flavor)
    return flavors.map(lambda found: (ResourceGroup((CPU, GPU), tuple(found)),))


preemptions = st.builds(
    QueuePreemption,
    within_cluster_queue=st.sampled_from(["Never", "LowerPriority", "LowerOrNewerEqualPriority"]),
    reclaim_within_cohort=st.sampled_from(["Never", "LowerPriority", "Any"]),
)


def queues_of(names, queue_names, amounts, weights):
    return st.builds(
        ClusterQueue,
        name=queue_names,
        cohort=st.sampled_from(["", "c", "d"]),
        resource_groups=usual_groups(flavor_names) | groups_of(names, amounts),
        queueing_strategy=st.sampled_from(["StrictFIFO", "BestEffortFIFO"]),
        preemption=preemptions,
        stop_policy=st.sampled_from(["None", "None", "None", "Hold"]),
        fair_weight_nano=weights,
    )


def cohorts_of(names, amounts, weights):
    return st.builds(
        Cohort,
        name=st.sampled_from(["c", "d"]),
        parent=st.sampled_from(["", "", "c", "d", "e"]),
        resource_groups=groups_of(names, amounts),
        fair_weight_nano=weights,
    )


any_queues = st.lists(queues_of(any_names, any_names, numbers, numbers), max_size=3)
any_cohorts = st.lists(cohorts_of(any_names, numbers, numbers), max_size=2)
FLAVORS = [
    ResourceFlavor(name="a100", node_labels=(("flavor", "a100"),)),
    ResourceFlavor(name="h100", node_labels=(("flavor", "h100"),), topology="racks"),
]


@given(any_queues, any_cohorts)
def test_nonsense_about_queues_raises_nothing_but_quota_error(specs, cohorts):
    refusals = []
    try:
        Queues(specs, cohorts, flavors=FLAVORS, topologies=["racks"])
    except QuotaError as error:
        refusals.append(str(error))
    assert all(refusals)


# -- workloads

requirements = st.builds(
    Requirement,
    labels,
    st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]),
    st.lists(values, max_size=2).map(tuple),
)
terms = st.builds(
    NodeSelectorTerm,
    st.lists(requirements, max_size=2).map(tuple),
    st.lists(
        requirements.map(lambda one: msgspec.structs.replace(one, key="metadata.name")), max_size=1
    ).map(tuple),
)
pod_terms = st.builds(
    PodTerm,
    topology_key=labels,
    selector=st.none() | st.just(LabelSelector()),
    namespaces=st.just(("default",)),
)
spreads = st.builds(
    SpreadConstraint,
    max_skew=st.integers(1, 2),
    topology_key=labels,
    when_unsatisfiable=st.just("DoNotSchedule"),
    selector=st.just(LabelSelector()),
)


def few(strategy):
    """Return none most of the time."""
    return st.just(()) | st.just(()) | st.lists(strategy, max_size=2).map(tuple)


constraints = st.builds(
    Constraints,
    node_name=st.sampled_from(["", "", "", "n0", "gone"]),
    node_selector=few(st.tuples(labels, values)),
    required_nodes=st.none() | st.none() | st.lists(terms, max_size=2).map(tuple),
    tolerations=few(st.just(Toleration(operator="Exists"))),
    host_ports=few(st.just(HostPort(80))),
    required_pods=few(pod_terms),
    forbidden_pods=few(pod_terms),
    spread=few(spreads),
)
amounts = st.dictionaries(resources, numbers, max_size=3).map(Resources.of)
sane_amounts = st.fixed_dictionaries({CPU: st.integers(0, 4), GPU: st.integers(0, 4)}).map(
    Resources.of
)
devices = st.builds(
    DeviceRequest,
    count=numbers,
    milli=st.sampled_from([1000, 500, 0, -1, 1001, 2**70]),
    models=few(flavor_names),
)
templates = st.builds(
    PodTemplate,
    request=st.builds(
        Request,
        resources=sane_amounts | sane_amounts | amounts,
        devices=st.none() | st.none() | devices,
        scored=st.none() | st.none() | amounts,
    ),
    constraints=st.just(Constraints()) | constraints,
)
topologies = st.builds(
    TopologyRequest,
    mode=st.sampled_from(["required", "preferred", "unconstrained"]),
    level=labels,
    slices=few(st.builds(SliceRequest, labels, small)),
    group=st.sampled_from(["", "", "g"]),
    only_groups=st.booleans(),
)
pod_sets = st.builds(
    PodSet,
    name=st.sampled_from(["main", "more", "third", ""]),
    count=small | numbers,
    template=templates,
    min_count=st.none() | st.none() | small,
    topology=st.none() | st.none() | topologies,
    reclaimed=st.sampled_from([0, 0, 0, 1, -1]),
)


def usual(name):
    """Return a pod set as most are, perhaps with a wish that can be met."""
    request = st.builds(Request, resources=sane_amounts)
    shares = st.builds(DeviceRequest, count=st.just(1), milli=st.sampled_from([1000, 500]))
    devices_only = st.builds(Request, resources=st.just(Resources()), devices=shares)
    level = st.sampled_from([HOSTNAME, "rack"])
    wish = st.builds(TopologyRequest, mode=st.sampled_from(["required", "preferred"]), level=level)
    odd = constraints | st.just(Constraints(host_ports=(HostPort(80),)))
    return st.builds(
        PodSet,
        name=st.just(name),
        count=st.integers(1, 3),
        template=st.builds(
            PodTemplate,
            request=request | devices_only,
            constraints=st.just(Constraints()) | st.just(Constraints()) | odd,
        ),
        min_count=st.none() | st.just(1),
        topology=st.none() | wish,
    )


usual_sets = st.tuples(usual("main")) | st.tuples(usual("main"), usual("more"))
workloads = st.builds(
    Workload,
    key=st.sampled_from([f"t/w{index}" for index in range(9)]),
    pod_sets=usual_sets | usual_sets | usual_sets | st.lists(pod_sets, max_size=3).map(tuple),
    created_ns=st.integers(0, 3),
    priority=st.integers(0, 3),
    queue=st.sampled_from(["t/main", "t/main", "t/other", "t/gone", ""]),
    elastic=st.sampled_from([False, False, False, True]),
    replaces=st.sampled_from(["", "", "", "t/w0"]),
)
sane_queues = st.tuples(
    *(
        queues_of(flavor_names, st.just(name), st.integers(0, 12), st.just(10**9))
        for name in ("main", "other")
    )
)
sane_cohorts = st.lists(
    cohorts_of(flavor_names, st.integers(0, 8), st.just(10**9)),
    max_size=2,
    unique_by=lambda cohort: cohort.name,
)
fleets = st.lists(
    st.builds(
        lambda gpus, cpu, kind, rack, taint: (gpus, cpu, kind, rack, taint),
        st.integers(0, 4),
        st.integers(0, 8),
        flavor_names,
        st.sampled_from(["r1", "r2"]),
        st.booleans(),
    ),
    max_size=4,
)


def fleet_of(rows):
    snapshot = Snapshot()
    for index, (gpus, cpu, kind, rack, is_tainted) in enumerate(rows):
        snapshot.apply(
            NodeObserved(
                Node(
                    name=f"n{index}",
                    rank=index,
                    allocatable=Resources.of({CPU: cpu, GPU: gpus, PODS: 8}),
                    devices=(Device(model=kind),) * gpus,
                    labels=(("flavor", kind), (HOSTNAME, f"n{index}"), ("rack", rack)),
                    taints=(Taint("spot", "", "NoSchedule"),) if is_tainted else (),
                ),
                NOW,
            )
        )
    return snapshot


class Yard:
    """Queues over nodes; one flavor has a topology."""

    def __init__(self, specs, cohorts, rows):
        self.snapshot = fleet_of(rows)
        racks = Topology(name="racks", levels=("rack", HOSTNAME))
        places = {"h100": survey(self.snapshot, FLAVORS[1], racks)}
        local = [
            LocalQueue(namespace="t", name=name, cluster_queue=name) for name in ("main", "other")
        ]
        self.queues = Queues(
            specs, cohorts, flavors=FLAVORS, local_queues=local, places=places, topologies=["racks"]
        )
        self.policy = QueuePolicy(rules=AdmissionRules(), rounds_per_cycle=20)
        self.waiting = Waiting(self.queues, self.policy.rules)
        self.placer = Placer(self.snapshot, presets.placement("kube"), np.random.default_rng(0))

    def door(self, rules):
        return Door(self.queues, self.policy.rules, rules, self.snapshot)

    def cycle(self):
        nominator = Nominator(
            self.queues,
            self.policy.rules,
            now=lambda head: self.waiting.stamp(head.queue, head.workload),
            now_ns=NOW,
        )
        plan = queue_cycle.run(self.waiting, nominator, self.policy, NOW, placer=self.placer)
        for evict in plan.evicts:
            self.queues.remove(evict.victim)
        for name in self.queues.specs:
            self.waiting.wake(name, now_ns=NOW)
        return plan

    def idle(self):
        return idle.explain(self.placer, self.waiting, Ledger(), self.policy, NOW)


def yard_of(specs, cohorts, rows):
    """Return the yard; what `Queues` refuses is no yard."""
    try:
        return Yard(specs, cohorts, rows)
    except QuotaError:
        assume(condition=False)
        raise


knobs = st.builds(DoorRules, nodes_may_come=st.booleans(), pods_max=st.sampled_from([100, 2**80]))


@settings(max_examples=300)
@given(sane_queues, sane_cohorts, fleets, st.lists(workloads, max_size=6), knobs)
def test_the_door_answers_whatever_is_asked(specs, cohorts, rows, asked, rules):
    yard = yard_of(specs, cohorts, rows)
    door = yard.door(rules)
    for workload in asked:
        refused = door.check(workload)
        assert door.check(workload) == refused
        if refused is None:
            continue
        assert refused.until in UNTILS
        assert refused.reason.sentence
        assert not (rules.nodes_may_come and refused.until == "the nodes change")
        bound = refused.reason.binding
        if bound is not None and refused.reason.code in ("ExceedsMaxQuota", "ExceedsFleet"):
            assert bound.needed > bound.have


@settings(max_examples=400)
@given(sane_queues, sane_cohorts, fleets, st.lists(workloads, max_size=6), st.booleans())
def test_what_was_let_in_never_raises(specs, cohorts, rows, asked, may_come):
    yard = yard_of(specs, cohorts, rows)
    door = yard.door(DoorRules(nodes_may_come=may_come, pods_max=100))
    for workload in asked:
        if door.check(workload) is None and workload.key not in yard.queues.admitted:
            yard.waiting.add(workload, now_ns=NOW)
    for _ in range(CYCLES):
        yard.idle()
        yard.cycle()
    yard.idle()


@settings(max_examples=300)
@given(sane_queues, sane_cohorts, fleets, st.lists(workloads, min_size=1, max_size=6))
def test_whoever_starts_alone_would_have_been_let_in(specs, cohorts, rows, asked):
    """The door refuses nobody who could start; behind it, in an empty yard, some do."""
    rules = DoorRules(pods_max=100)
    for workload in asked:
        yard = yard_of(specs, cohorts, rows)
        refused = yard.door(rules).check(workload)
        if refused is None or refused.until == "the workload changes":
            continue
        yard.waiting.add(workload, now_ns=NOW)
        for _ in range(CYCLES):
            assert not yard.cycle().starts, refused


def test_some_are_let_in_and_some_of_these_start():
    """The properties above would hold of a door that lets nobody in."""
    seen = {"in": 0, "started": 0}
    codes = set()

    @settings(max_examples=400, database=None, derandomize=True)
    @given(sane_queues, sane_cohorts, fleets, st.lists(workloads, min_size=1, max_size=6))
    def collect(specs, cohorts, rows, asked):
        yard = yard_of(specs, cohorts, rows)
        door = yard.door(DoorRules(pods_max=100))
        for workload in asked:
            refused = door.check(workload)
            if refused is None:
                seen["in"] += 1
                yard.waiting.add(workload, now_ns=NOW)
            else:
                codes.add(refused.reason.code)
        seen["started"] += len(yard.cycle().starts)

    collect()
    assert seen["in"] > 20
    assert seen["started"] > 5
    assert {"BadConstraints", "Misconfigured", "NoMatchingFlavor", "ExceedsMaxQuota"} <= codes
