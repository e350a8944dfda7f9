"""Small workloads move, so that one starts that needs what they stand on."""

import msgspec
import numpy as np
import pytest

from gpuyard.model.deltas import NodeObserved, PodGone
from gpuyard.model.ledger import EvictionRules, Hold
from gpuyard.model.nodes import Device, Node
from gpuyard.model.plan import Evict
from gpuyard.model.queues import LocalQueue, ResourceFlavor
from gpuyard.model.resources import Resources
from gpuyard.model.topology import HOSTNAME, Topology
from gpuyard.model.workloads import DeviceRequest, PodSet, PodTemplate, Request
from gpuyard.scheduling import presets, queue_cycle
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.ledger import Ledger
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.preemption.cheapest.consolidate import ConsolidationRules
from gpuyard.scheduling.queue_policy import QueuePolicy, ripe_after_ns
from gpuyard.scheduling.queues import Loss, Queues
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import survey
from tests.small_queues import GPU, group, queue, workload

HOUR_NS = 3600 * 10**9
SOON = ConsolidationRules(after_ns=10)
MOVING = QueuePolicy(rounds_per_cycle=20, keeps_domains=False, hold_ns=1000, moves=SOON)


class Yard:
    """One ClusterQueue over nodes of 8 devices in flavor large, of 2 in flavor small."""

    def __init__(self, *, large=1, small=1, policy=MOVING):
        snapshot = Snapshot()
        sizes = {
            **{f"large-{n}": 8 for n in range(large)},
            **{f"small-{n}": 2 for n in range(small)},
        }
        for rank, (name, devices) in enumerate(sizes.items()):
            labels = (("pool", name.split("-")[0]), (HOSTNAME, name))
            snapshot.apply(
                NodeObserved(
                    Node(
                        name=name,
                        rank=rank,
                        allocatable=Resources.of({GPU: devices}),
                        devices=(Device(model="A100"),) * devices,
                        labels=tuple(sorted(labels)),
                    )
                )
            )
        hosts = Topology(name="hosts", levels=(HOSTNAME,))
        flavors = [
            ResourceFlavor(name=pool, node_labels=(("pool", pool),), topology="hosts")
            for pool in ("large", "small")
        ]
        self.placer = Placer(snapshot, presets.placement("best-fit"), np.random.default_rng(0))
        self.queues = Queues(
            [queue(group(large=8 * large, small=2 * small))],
            flavors=flavors,
            local_queues=[LocalQueue(namespace="t", name="main", cluster_queue="main")],
            places={flavor.name: survey(snapshot, flavor, hosts) for flavor in flavors},
        )
        self.policy = policy
        self.waiting = Waiting(self.queues, policy.rules)
        self.ledger = Ledger()

    def submit(self, key, gpus, *, count=1, at=0, **more):
        request = Request(resources=Resources.of({GPU: gpus}), devices=DeviceRequest(count=gpus))
        pod_set = PodSet(name="m", count=count, template=PodTemplate(request=request))
        asked = workload(pod_set, key=f"t/{key}")
        self.waiting.add(msgspec.structs.replace(asked, queue="t/main", created_ns=at, **more))

    def run(self, now_ns):
        nominator = Nominator(
            self.queues,
            self.policy.rules,
            now=lambda head: self.waiting.stamp(head.queue, head.workload),
            now_ns=now_ns,
        )
        plan = queue_cycle.run(
            self.waiting, nominator, self.policy, now_ns, ledger=self.ledger, placer=self.placer
        )
        self.ledger = self.ledger.after(plan.changes)
        return plan

    def leave(self, key):
        bookings = self.placer.snapshot.bookings
        for pod in [pod for pod, each in bookings.items() if each.assignment.group == key]:
            self.placer.snapshot.apply(PodGone(pod))
        return self.queues.remove(key).workload

    def nodes(self):
        found = {}
        for booking in self.placer.snapshot.bookings.values():
            found.setdefault(booking.assignment.group, []).append(booking.assignment.node)
        return found


def in_the_way(mover=None, **settings):
    """Return a yard where one GPU is taken of the only node that a large workload fits on."""
    yard = Yard(**settings)
    yard.submit("first", 2)
    yard.submit("mover", 1, **(mover or {}))
    yard.run(0)
    assert yard.nodes() == {"t/first": ["large-0"], "t/mover": ["large-0"]}
    yard.leave("t/first")
    yard.submit("gang", 8, at=1)
    return yard


def test_who_is_in_the_way_is_told_to_go_and_both_places_are_kept():
    yard = in_the_way()
    plan = yard.run(11)
    assert plan.evicts == (Evict(victim="t/mover", workload="t/gang", reason="Consolidation"),)
    said = plan.waits["t/gang"]
    assert said.code == "WaitingForPreemptedWorkloads"
    assert said.message.endswith("1 workload(s) move to make room")
    rooms = {
        key: [room.domain for room in hold.rooms] for key, hold in yard.ledger.of(Hold).items()
    }
    assert rooms == {"t/gang": [("large-0",)], "t/mover": [("small-0",)]}


def test_both_start_where_their_places_are_kept():
    yard = in_the_way()
    yard.run(11)
    yard.waiting.add(yard.leave("t/mover"))
    yard.submit("thief", 1, at=0)
    yard.submit("other thief", 2, at=0)
    yard.waiting.wake("main")
    plan = yard.run(12)
    assert sorted(start.workload for start in plan.starts) == ["t/gang", "t/mover", "t/thief"]
    assert yard.nodes() == {
        "t/gang": ["large-0"],
        "t/mover": ["small-0"],
        "t/thief": ["small-0"],
    }
    assert (yard.queues.holds, yard.ledger.of(Hold)) == ({}, {})


def test_nobody_moves_twice_for_the_same():
    yard = in_the_way()
    yard.run(11)
    yard.waiting.wake("main")
    again = yard.run(500)
    assert (again.evicts, list(again.waits)) == ((), ["t/gang"])


def test_who_waits_a_short_while_moves_nobody():
    yard = in_the_way()
    assert yard.run(10).evicts == ()
    yard.waiting.wake_one("t/gang")
    assert len(yard.run(11).evicts) == 1


def test_it_is_looked_for_again_when_it_has_waited_twice_as_long():
    yard = in_the_way(small=0)  # nowhere to go
    ages = (9, 10, 19, 20, 39, 40)
    looks = [yard.waiting.seeks_moves("t/gang", age, after_ns=10) for age in ages]
    assert looks == [False, True, False, True, False, True]


@pytest.mark.parametrize(
    ("small", "lost_hours", "moves"),
    [
        pytest.param(0, 0, 0, id="no place for the mover"),
        pytest.param(1, 3, 1, id="worth it: 8 GPU-hours for 3"),
        pytest.param(1, 5, 0, id="not worth it: less than twice the cost"),
    ],
)
def test_moves_have_to_land_and_to_be_worth_it(small, lost_hours, moves):
    yard = in_the_way(small=small)
    yard.queues.losses = {"t/mover": Loss(lost_hours * HOUR_NS, lost_hours * HOUR_NS)}
    before = yard.nodes()
    plan = yard.run(11)
    assert len(plan.evicts) == moves
    assert yard.nodes() == before  # nothing is left of what was tried
    assert len(yard.queues.admitted) == 1
    assert len(yard.queues.holds) == 2 * moves


@pytest.mark.parametrize("forbidden", ["movable", "preemptible"])
def test_the_owner_has_a_word(forbidden):
    yard = in_the_way(mover={forbidden: False})
    assert yard.run(11).evicts == ()


def test_nobody_moves_for_who_has_another_flavor_to_try():
    """Two devices are free on the large nodes, on two of them; the small node has two as well."""
    yard = Yard(large=2)
    for key, gpus in (("six", 6), ("mover", 1), ("seven", 7)):
        yard.submit(key, gpus)
        yard.run(0)
    assert yard.nodes()["t/mover"] == ["large-0"]
    yard.submit("pair", 2, at=1)
    plan = yard.run(11)
    assert (plan.evicts, yard.nodes()["t/pair"]) == ((), ["small-0"])


def test_nobody_moves_who_started_in_the_same_pass():
    yard = Yard()
    yard.submit("mover", 1)
    yard.submit("gang", 8, at=1)
    plan = yard.run(11)
    assert ([each.workload for each in plan.starts], plan.evicts) == (["t/mover"], ())


def test_who_asks_for_no_devices_moves_nobody():
    yard = in_the_way()
    yard.submit("cpu", 0, count=99, at=1)
    assert {evict.workload for evict in yard.run(11).evicts} == {"t/gang"}


def test_an_eviction_limit_binds_moves_too():
    rules = EvictionRules(brake_device_milli_max=500)
    yard = in_the_way(policy=msgspec.structs.replace(MOVING, evictions=rules))
    plan = yard.run(11)
    assert (plan.evicts, yard.queues.holds) == ((), {})


def test_only_so_many_look_for_movers_in_one_cycle():
    once = msgspec.structs.replace(SOON, looks_per_cycle_max=1)
    yard = in_the_way(policy=msgspec.structs.replace(MOVING, moves=once))
    yard.submit("nine", 9, at=0)  # nobody can move for it, and it is asked first
    assert yard.run(11).evicts == ()
    yard.waiting.wake("main")
    assert {evict.workload for evict in yard.run(12).evicts} == {"t/gang"}


def test_moves_need_holds():
    with pytest.raises(ValueError, match="hold_ns"):
        QueuePolicy(moves=SOON)


def test_when_somebody_may_do_what_he_might_not_before():
    assert ripe_after_ns(QueuePolicy()) == ()
    minutes = [age / (60 * 10**9) for age in ripe_after_ns(presets.PRESETS["gpuyard"].queueing)]
    assert minutes == [0.5, 1, 2, 4, 5, 8, 16, 32, 60]
