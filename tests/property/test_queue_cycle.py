"""Passes over random queues and nodes: nothing is broken, whatever comes, ends and is evicted."""

from collections import Counter
from graphlib import TopologicalSorter

import hypothesis.strategies as st
import msgspec
import numpy as np
import pytest
from hypothesis import note, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gpuyard.model.caps import EACH, UsageCap
from gpuyard.model.deltas import NodeObserved, PodGone
from gpuyard.model.ledger import Eviction, EvictionRules, Hold
from gpuyard.model.nodes import Device, Node
from gpuyard.model.queues import (
    ClusterQueue,
    Cohort,
    FlavorFungibility,
    LocalQueue,
    QueuePreemption,
    ResourceFlavor,
)
from gpuyard.model.resources import Resources
from gpuyard.model.topology import HOSTNAME, Topology, TopologyRequest
from gpuyard.model.workloads import DeviceRequest
from gpuyard.scheduling import presets, queue_cycle, quota
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.ledger import Ledger
from gpuyard.scheduling.ordering.between import BetweenRules
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.cheapest.consolidate import ConsolidationRules
from gpuyard.scheduling.preemption.queues.rules import QueuePreemptionRules
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.queues import Loss, Queues
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import survey
from tests.kept_answers import asked_again
from tests.small_queues import GPU, group, pods, workload


@pytest.fixture(autouse=True, scope="module")
def _answers_are_checked():
    with asked_again():
        yield


QUEUE_NAMES = ("a", "b", "c", "d")
ROUNDS_MAX = 1000
TRIES_MAX = 5  # of one workload in one pass: flavors alone and both, and once more
RACK = "rack"
PREEMPTIONS = (
    QueuePreemption(),
    QueuePreemption(within_cluster_queue="LowerPriority", reclaim_within_cohort="Any"),
    QueuePreemption(reclaim_within_cohort="LowerPriority"),
)
WISHES = (
    FlavorFungibility(),
    FlavorFungibility(when_can_borrow="TryNextFlavor", when_can_preempt="Preempt"),
)
TOPOLOGIES = (
    None,
    TopologyRequest(mode="required", level=RACK),
    TopologyRequest(mode="preferred", level=RACK),
)


@st.composite
def policies(draw):
    is_fair = draw(st.booleans())
    ours = draw(st.booleans())
    rules = AdmissionRules(
        between=BetweenRules(by_share=is_fair),
        preemption=QueuePreemptionRules(
            fair_sharing=is_fair,
            victims="least-lost" if ours else "newest",
            revalidate=ours,
            stable=ours,
        ),
        preempt_after_ns=draw(st.sampled_from((0, 2))),
        preempt_when_waited_pct=draw(st.sampled_from((0, 100))),
    )
    cap = UsageCap(name="each", resource=GPU, amount=6, user=EACH)
    hold_ns = draw(st.sampled_from((0, 3)))
    moves = ConsolidationRules(after_ns=0) if hold_ns and draw(st.booleans()) else None
    return QueuePolicy(
        rules=rules,
        rounds_per_cycle=draw(st.sampled_from((1, ROUNDS_MAX))),
        keeps_domains=draw(st.booleans()),
        hold_ns=hold_ns,
        moves=moves,
        evictions=draw(
            st.sampled_from(
                (None, EvictionRules(per_workload_window_ns=5, brake_device_milli_max=8000))
            )
        ),
        caps=draw(st.sampled_from(((), (cap,)))),
    )


def on_devices(pod_set):
    """Return the same pods, asking for devices as well as for the resource."""
    request = pod_set.template.request
    devices = DeviceRequest(count=dict(request.resources.amounts)[GPU])
    request = msgspec.structs.replace(request, devices=devices)
    template = msgspec.structs.replace(pod_set.template, request=request)
    return msgspec.structs.replace(pod_set, template=template)


class Passes(RuleBasedStateMachine):
    """Queues over two racks of two hosts with four GPUs each, in one flavor or one by rack."""

    @initialize(
        policy=policies(),
        quotas=st.lists(st.sampled_from((0, 2, 4, 6, 8)), min_size=4, max_size=4),
        limits=st.lists(st.none() | st.integers(0, 8), min_size=4, max_size=4),
        allowed=st.lists(st.sampled_from(PREEMPTIONS), min_size=4, max_size=4),
        wishes=st.sampled_from(WISHES),
        kind=st.fixed_dictionaries(
            dict.fromkeys(("is_strict", "by_rack", "has_nodes", "has_places"), st.booleans())
        ),
    )
    def begin(self, policy, quotas, limits, allowed, wishes, kind):
        note(f"{policy}")
        self.policy = policy
        flavors = {"h100": (("zone", "z"),)}
        if kind["by_rack"]:
            flavors = {"h100": ((RACK, "r0"),), "a100": ((RACK, "r1"),)}
        strict = QUEUE_NAMES[:2] if kind["is_strict"] else ()
        specs = [
            ClusterQueue(
                name=name,
                cohort=("left", "left", "right", "")[index],
                queueing_strategy="StrictFIFO" if name in strict else "BestEffortFIFO",
                resource_groups=(group(**dict.fromkeys(flavors, (quotas[index], limits[index]))),),
                preemption=allowed[index],
                fungibility=wishes,
            )
            for index, name in enumerate(QUEUE_NAMES)
        ]
        self.snapshot = Snapshot()
        for index in range(4):
            name = f"n{index}"
            labels = ((HOSTNAME, name), (RACK, f"r{index // 2}"), ("zone", "z"))
            node = Node(
                name=name,
                rank=index,
                labels=labels,
                allocatable=Resources.of({GPU: 4}),
                devices=(Device(model="h100"),) * 4,
            )
            self.snapshot.apply(NodeObserved(node))
        self.placer = None
        self.has_places = kind["has_nodes"] and kind["has_places"]
        made = [
            ResourceFlavor(
                name=name, node_labels=labels, topology="racks" if self.has_places else ""
            )
            for name, labels in flavors.items()
        ]
        places = {}
        if kind["has_nodes"]:
            rng = np.random.default_rng(0)
            self.placer = Placer(self.snapshot, presets.placement("best-fit"), rng)
        if self.has_places:
            topology = Topology(name="racks", levels=(RACK, HOSTNAME))
            places = {each.name: survey(self.snapshot, each, topology) for each in made}
        self.queues = Queues(
            specs,
            [Cohort(name="left", parent="root"), Cohort(name="right", parent="root")],
            flavors=made,
            local_queues=[
                LocalQueue(namespace="t", name=name, cluster_queue=name) for name in QUEUE_NAMES
            ],
            places=places,
        )
        self.waiting = Waiting(self.queues, policy.rules)
        self.now_ns = 0
        self.nominator = Nominator(
            self.queues,
            policy.rules,
            now=lambda head: self.waiting.stamp(head.queue, head.workload),
        )
        self.ledger = Ledger()
        self.count = 0
        self.asked = {}

    def has_begun(self):
        return hasattr(self, "queues")

    @rule(
        times=st.integers(1, 4),
        to=st.sampled_from(QUEUE_NAMES),
        count=st.sampled_from((1, 1, 1, 2, 3, 6)),
        gpus=st.sampled_from((1, 1, 1, 2, 4)),
        least=st.none() | st.integers(1, 3),
        topology=st.sampled_from(TOPOLOGIES),
        priority=st.integers(0, 2),
        user=st.sampled_from(("", "ann", "bob")),
    )
    def submit(self, times, **asked):
        for _ in range(times):
            self.submit_one(**asked)

    def submit_one(self, to, count, gpus, least, topology, priority, user):
        self.count += 1
        asked = msgspec.structs.replace(
            workload(
                on_devices(
                    pods(
                        count, gpus, min_count=least, topology=topology if self.has_places else None
                    )
                ),
                key=f"t/w{self.count}",
            ),
            queue=f"t/{to}",
            priority=priority,
            user=user,
            created_ns=self.now_ns,
        )
        self.asked[asked.key] = asked
        self.waiting.add(asked, now_ns=self.now_ns)

    @rule(later_ns=st.integers(0, 3))
    def serve(self, later_ns):
        self.now_ns += later_ns
        self.nominator.now_ns = self.now_ns
        for index, key in enumerate(self.queues.admitted):
            self.queues.losses[key] = Loss(index % 3, index % 5)
        before = {key for key, held in self.queues.admitted.items() if held.evicted}
        waiting = sum(map(len, self.waiting.pending.values()))
        plan = queue_cycle.run(
            self.waiting,
            self.nominator,
            self.policy,
            self.now_ns,
            ledger=self.ledger,
            placer=self.placer,
        )
        self.ledger = self.ledger.after(plan.changes)
        assert plan.rounds <= 1 + TRIES_MAX * waiting
        for evict in plan.evicts:
            assert evict.victim not in before, "told to go twice"
            assert self.queues.admitted[evict.victim].evicted
            assert evict.workload in plan.waits
        self._no_start_broke_a_limit(plan)

    def _no_start_broke_a_limit(self, plan):
        """Where something started, its queue is within what it may have, holds aside."""
        held = dict(self.queues.holds)
        for key in held:
            self.queues.drop_hold(key)
        for start in plan.starts:
            leaf = self.queues.node(start.admission.cluster_queue)
            for key, _ in start.admission.usage().quota:
                assert quota.available(leaf, key) >= 0
        for key, one in held.items():
            self.queues.hold(key, one)

    @precondition(lambda self: self.has_begun() and self.queues.admitted)
    @rule(which=st.integers(0, 99))
    def end(self, which):
        """A workload ends, or a victim is gone and waits again."""
        keys = sorted(self.queues.admitted)
        key = keys[which % len(keys)]
        held = self.queues.remove(key)
        self.queues.losses.pop(key, None)
        if self.placer is not None:
            for pod in [each for each in self.snapshot.bookings if each.startswith(f"{key}/")]:
                self.snapshot.apply(PodGone(pod))
        if held.evicted:
            self.waiting.add(self.asked[key], now_ns=self.now_ns)
        self.waiting.wake(held.admission.cluster_queue)

    @invariant()
    def usage_is_what_is_held(self):
        if not self.has_begun():
            return
        expected = Counter()
        for held in self.queues.admitted.values():
            for key, amount in held.admission.usage().quota:
                expected[held.admission.cluster_queue, key] += amount
        for one in self.queues.holds.values():
            for key, amount in one.usage.quota:
                expected[one.queue, key] += amount
        for name in QUEUE_NAMES:
            for key, amount in self.queues.node(name).usage.items():
                assert amount == expected[name, key]

    @invariant()
    def gangs_stand_whole_on_nodes_that_have_room(self):
        if not self.has_begun() or self.placer is None:
            return
        assert (self.snapshot.fleet.free >= 0).all()
        standing = Counter(pod.rpartition("/")[0] for pod in self.snapshot.bookings)
        for key, held in self.queues.admitted.items():
            assert standing.pop(key) == sum(each.count for each in held.admission.pod_sets)
        assert not standing

    @invariant()
    def what_is_held_is_there_once_victims_are_gone(self):
        if not self.has_begun() or not self.has_places:
            return
        taken = Counter()
        for booking in self.snapshot.bookings.values():
            assignment = booking.assignment
            if not self.queues.admitted[assignment.group].evicted:
                taken[assignment.node] += dict(assignment.template.request.resources.amounts)[GPU]
        for one in self.queues.holds.values():
            for place in one.usage.places:
                for domain in place.domains:
                    taken[domain.values[-1]] += domain.count * dict(place.per_pod.amounts)[GPU]
        assert max(taken.values(), default=0) <= 4

    @invariant()
    def nobody_is_lost_and_nobody_twice(self):
        if not self.has_begun():
            return
        waiting = Counter(
            each.key for pending in self.waiting.pending.values() for each in pending.in_order()
        )
        assert set(waiting.values()) <= {1}
        assert not waiting.keys() & self.queues.admitted.keys()

    @invariant()
    def evictions_run_in_no_circle(self):
        if not self.has_begun():
            return
        made_way = {}
        for each in self.ledger.of(Eviction).values():
            made_way.setdefault(each.workload, set()).add(each.made_way_for)
        TopologicalSorter(made_way).prepare()  # raises where there is a circle

    @invariant()
    def the_ledger_knows_every_hold(self):
        if not self.has_begun():
            return
        self.ledger.validate()
        assert self.queues.holds.keys() == self.ledger.of(Hold).keys()


Passes.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestPasses = Passes.TestCase
