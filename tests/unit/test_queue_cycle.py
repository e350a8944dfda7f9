"""A pass over the queues: rounds, nodes for those who start, marks on those who have to go."""

from itertools import zip_longest

import msgspec
import numpy as np
import pytest

from gpuyard.model.caps import EACH, DailyWindow, UsageCap
from gpuyard.model.deltas import NodeObserved
from gpuyard.model.ledger import Eviction, EvictionRules, Hold
from gpuyard.model.nodes import Device, Node
from gpuyard.model.plan import Evict
from gpuyard.model.queues import (
    Admission,
    Admitted,
    FlavorFungibility,
    FlavorResource,
    LocalQueue,
    PodSetAssignment,
    QueuePreemption,
    ResourceFlavor,
)
from gpuyard.model.resources import Resources
from gpuyard.model.topology import HOSTNAME, Topology
from gpuyard.model.workloads import DeviceRequest, PodSet, PodTemplate, Request
from gpuyard.scheduling import landing, presets, queue_cycle
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.admission.rules import AdmissionRules
from gpuyard.scheduling.admission.waiting import Waiting
from gpuyard.scheduling.ledger import Ledger
from gpuyard.scheduling.ledger.evictions import eviction
from gpuyard.scheduling.placement import Placer
from gpuyard.scheduling.queue_policy import QueuePolicy
from gpuyard.scheduling.queues import Held, Loss, Queues
from gpuyard.scheduling.snapshot import Snapshot
from gpuyard.scheduling.topology import survey
from tests.small_queues import GPU, group, pods, queue, queues_of, usage, workload

NOW = 7


class Yard:
    """Queues, who waits in them, and passes."""

    def __init__(self, *specs, policy=None, placer=None, flavors=(), places=None):
        self.policy = policy or QueuePolicy()
        self.placer = placer
        self.ledger = Ledger()
        names = [spec.name for spec in specs]
        local = [LocalQueue(namespace="t", name=name, cluster_queue=name) for name in names]
        named = queues_of(*specs, flavors=flavors).flavors.values()
        self.queues = Queues(specs, flavors=named, local_queues=local, places=places)
        self.waiting = Waiting(self.queues, self.policy.rules)
        self.nominator = Nominator(
            self.queues,
            self.policy.rules,
            now=lambda head: self.waiting.stamp(head.queue, head.workload),
        )

    def submit(self, key, *pod_sets, to="main", priority=0, at=0, user=""):
        asked = msgspec.structs.replace(
            workload(*pod_sets, key=f"t/{key}"),
            queue=f"t/{to}",
            priority=priority,
            created_ns=at,
            user=user,
        )
        self.waiting.add(asked)

    def run(self, now_ns=NOW):
        plan = queue_cycle.run(
            self.waiting,
            self.nominator,
            self.policy,
            now_ns,
            ledger=self.ledger,
            placer=self.placer,
        )
        self.ledger = self.ledger.after(plan.changes)
        self.ledger.validate()
        return plan


def started(plan):
    return [each.workload for each in plan.starts]


def test_one_round_starts_one_of_each_queue():
    yard = Yard(queue(group(h100=8)), queue(group(h100=8), name="other"))
    for key, to in (("a", "main"), ("b", "main"), ("c", "other")):
        yard.submit(key, pods(1), to=to)
    plan = yard.run()
    assert (sorted(started(plan)), plan.rounds) == (["t/a", "t/c"], 1)
    assert yard.queues.admitted["t/a"].reserved_ns == NOW
    assert started(yard.run()) == ["t/b"]


def test_rounds_follow_each_other_until_nothing_moves():
    yard = Yard(queue(group(h100=2)), policy=QueuePolicy(rounds_per_cycle=100))
    for index in range(4):
        yard.submit(f"w{index}", pods(1), at=index)
    plan = yard.run()
    assert started(plan) == ["t/w0", "t/w1"]
    assert plan.waits["t/w2"].code == "WaitingForQuota"
    assert plan.rounds == 3


def test_nobody_waits_is_no_round():
    assert Yard(queue(group(h100=2))).run().rounds == 0


def preempting(**settings):
    rules = QueuePreemption(within_cluster_queue="LowerPriority")
    yard = Yard(queue(group(h100=4), preemption=rules), **settings)
    yard.submit("low", pods(4))
    yard.run()
    yard.submit("high", pods(2), priority=5)
    return yard


def test_a_victim_is_marked_and_told_once():
    yard = preempting()
    plan = yard.run()
    assert plan.evicts == (Evict(victim="t/low", workload="t/high", reason="InClusterQueue"),)
    assert yard.queues.admitted["t/low"].evicted
    assert plan.waits["t/high"].code == "WaitingForPreemptedWorkloads"
    again = yard.run()
    assert again.evicts == ()
    assert again.waits["t/high"].outcome == "preempting"


def test_who_must_not_be_preempted_stays():
    rules = QueuePreemption(within_cluster_queue="LowerPriority")
    yard = Yard(queue(group(h100=4), preemption=rules))
    kept = msgspec.structs.replace(
        workload(pods(4), key="t/low"), queue="t/main", preemptible=False
    )
    yard.waiting.add(kept)
    yard.run()
    yard.submit("high", pods(2), priority=5)
    plan = yard.run()
    assert (plan.evicts, plan.waits["t/high"].code) == ((), "WaitingForQuota")


def test_when_the_victim_is_gone_its_place_is_taken():
    yard = preempting()
    yard.run()
    yard.queues.remove("t/low")
    assert started(yard.run()) == ["t/high"]


def a_placer(*gpus, pools=()):
    """Return a placer over nodes of so many GPUs, each in its pool where there are any."""
    snapshot = Snapshot()
    for rank, (count, pool) in enumerate(zip_longest(gpus, pools, fillvalue="")):
        snapshot.apply(
            NodeObserved(
                Node(
                    name=f"n{rank}",
                    rank=rank,
                    allocatable=Resources.of({GPU: count}),
                    labels=((HOSTNAME, f"n{rank}"), ("pool", pool)),
                )
            )
        )
    return Placer(snapshot, presets.placement("best-fit"), np.random.default_rng(0))


def test_who_starts_has_nodes():
    yard = Yard(queue(group(h100=8)), placer=a_placer(4, 4))
    yard.submit("a", pods(6))
    (start,) = yard.run().starts
    assert len(start.assignments) == len(yard.placer.snapshot.bookings) == 6
    assert start.admission == yard.queues.admitted["t/a"].admission


def test_quota_without_nodes_is_no_start():
    yard = Yard(queue(group(h100=64)), placer=a_placer(4, 4))
    yard.submit("a", pods(9))
    plan = yard.run()
    assert (plan.starts, plan.waits["t/a"].code) == ((), "GangIncomplete")
    assert yard.queues.admitted == {}
    assert yard.placer.snapshot.bookings == {}
    assert list(yard.waiting.pending["main"].parked) == ["t/a"]


@pytest.mark.parametrize(("count", "code"), [(1, "Unschedulable"), (2, "GangIncomplete")])
def test_devices_in_pieces(count, code):
    """Quota counts GPUs, and the node has them only in pieces."""
    snapshot = Snapshot()
    snapshot.apply(NodeObserved(Node(name="a", devices=(Device(model="h100"),))))
    placer = Placer(snapshot, presets.placement("best-fit"), np.random.default_rng(0))
    yard = Yard(queue(group(h100=64)), placer=placer)
    request = Request(resources=Resources.of({}), devices=DeviceRequest(count=1, milli=600))
    yard.submit("first", PodSet(name="m", count=1, template=PodTemplate(request=request)))
    assert started(yard.run()) == ["t/first"]
    yard.submit("second", PodSet(name="m", count=count, template=PodTemplate(request=request)))
    assert yard.run().waits["t/second"].code == code


def test_without_nodes_the_next_of_the_queue_may_start():
    yard = Yard(queue(group(h100=64)), placer=a_placer(4), policy=QueuePolicy(rounds_per_cycle=9))
    yard.submit("large", pods(5), at=0)
    yard.submit("small", pods(2), at=1)
    plan = yard.run()
    assert (started(plan), list(plan.waits)) == (["t/small"], ["t/large"])


def test_in_strict_order_the_head_blocks():
    strict = queue(group(h100=4), queueing_strategy="StrictFIFO")
    yard = Yard(strict, policy=QueuePolicy(rounds_per_cycle=9))
    yard.submit("large", pods(5), at=0)
    yard.submit("small", pods(2), at=1)
    assert (started(yard.run()), yard.run().rounds) == ([], 1)


# -- what victims free is kept


def two_queues(**settings):
    """Return queues a and b of one cohort; a's preemptor waits for b's borrower to leave."""
    reclaim = QueuePreemption(reclaim_within_cohort="Any")
    yard = Yard(
        queue(group(h100=4), name="a", cohort="all", preemption=reclaim),
        queue(group(h100=0), name="b", cohort="all"),
        queue(group(h100=0), name="c", cohort="all"),
        policy=QueuePolicy(rounds_per_cycle=9, **settings),
    )
    yard.submit("borrower", pods(4), to="b")
    yard.run()
    yard.submit("owner", pods(4), to="a", at=5)
    assert [each.victim for each in yard.run().evicts] == ["t/borrower"]
    yard.queues.remove("t/borrower")
    return yard


def test_nobody_takes_what_is_held():
    yard = two_queues(hold_ns=100)
    yard.submit("thief", pods(1), to="c", priority=9)
    yard.waiting.pending["a"].delete("t/owner")  # not tried in this pass
    plan = yard.run()
    assert (plan.starts, plan.waits["t/thief"].code) == ((), "WaitingForQuota")


def test_the_owner_of_a_hold_starts_and_the_hold_is_gone():
    yard = two_queues(hold_ns=100)
    yard.submit("thief", pods(1), to="c", priority=9)
    assert started(yard.run()) == ["t/owner"]
    assert (yard.queues.holds, yard.ledger.of(Hold)) == ({}, {})
    assert yard.queues.node("a").usage == {FlavorResource("h100", GPU): 4}


def test_a_hold_expires():
    yard = two_queues(hold_ns=100)
    yard.waiting.pending["a"].delete("t/owner")
    yard.submit("other", pods(1), to="c")
    assert started(yard.run(now_ns=NOW + 99)) == []
    assert started(yard.run(now_ns=NOW + 100)) == ["t/other"]
    assert yard.queues.holds == {}


def test_without_holds_the_order_of_the_queues_decides():
    yard = two_queues()
    assert yard.queues.holds == {}
    yard.submit("thief", pods(1), to="c", priority=9)
    assert started(yard.run()) == ["t/owner"]  # it does not borrow


def test_a_hold_is_told_by_the_ledger():
    yard = two_queues(hold_ns=100)
    (hold,) = yard.ledger.of(Hold).values()
    assert (hold.workload, hold.since_ns, hold.until_ns) == ("t/owner", NOW, NOW + 100)
    assert [(room.count, room.domain) for room in hold.rooms] == [(4, ())]


# -- evictions are bounded

LIMITED = EvictionRules(per_workload_window_ns=1000, brake_window_ns=1000)


def evicting(**limits):
    rules = msgspec.structs.replace(LIMITED, **limits)
    return preempting(policy=QueuePolicy(evictions=rules))


def test_an_eviction_is_counted():
    yard = evicting()
    yard.run()
    (eviction,) = yard.ledger.of(Eviction).values()
    assert (eviction.workload, eviction.device_milli, eviction.at_ns) == ("t/low", 4000, NOW)


def test_who_was_evicted_a_moment_ago_is_spared():
    yard = evicting()
    yard.run()
    yard.queues.remove("t/low")
    yard.waiting.delete("t/high")
    yard.submit("low", pods(4), at=0)
    assert started(yard.run(now_ns=NOW + 1)) == ["t/low"]
    yard.submit("high", pods(2), priority=5)
    plan = yard.run(now_ns=NOW + 999)
    assert (plan.evicts, plan.waits["t/high"].requeue) == ((), "PreemptionNoCandidates")
    yard.waiting.wake("main")
    assert len(yard.run(now_ns=NOW + 1000).evicts) == 1


def test_another_leaves_in_the_place_of_who_was_evicted_a_moment_ago():
    rules = QueuePreemption(within_cluster_queue="LowerPriority")
    yard = Yard(
        queue(group(h100=4), preemption=rules),
        policy=QueuePolicy(rounds_per_cycle=9, evictions=LIMITED),
    )
    yard.submit("older", pods(2), at=0)
    yard.run(now_ns=0)
    yard.submit("newer", pods(2), at=1)
    yard.run(now_ns=1)
    yard.submit("high", pods(2), priority=5)
    assert [each.victim for each in yard.run(now_ns=2).evicts] == ["t/newer"]
    yard.queues.remove("t/newer")
    yard.waiting.delete("t/high")
    yard.submit("newer", pods(2), at=1)
    assert started(yard.run(now_ns=3)) == ["t/newer"]
    yard.submit("higher", pods(2), priority=9)
    assert [each.victim for each in yard.run(now_ns=4).evicts] == ["t/older"]


def test_nobody_evicts_for_whom_it_was_evicted():
    """Priorities change in the meantime; without the memory the two would take turns."""
    rules = QueuePreemption(within_cluster_queue="LowerPriority")
    limits = msgspec.structs.replace(LIMITED, order_window_ns=5000)
    yard = Yard(queue(group(h100=4), preemption=rules), policy=QueuePolicy(evictions=limits))
    yard.submit("first", pods(4))
    yard.run()
    yard.submit("second", pods(4), priority=5)
    yard.run()
    yard.queues.remove("t/first")
    assert started(yard.run()) == ["t/second"]
    yard.submit("first", pods(4), priority=9)
    plan = yard.run(now_ns=NOW + 4999)
    assert (plan.evicts, plan.waits["t/first"].outcome) == ((), "waiting")
    yard.waiting.wake("main")
    assert [each.victim for each in yard.run(now_ns=NOW + 5000).evicts] == ["t/second"]


def test_a_circle_that_closes_within_one_round_stays_open():
    """P made way for r and q for v; now q would take r's place and p that of v."""
    limits = msgspec.structs.replace(LIMITED, order_window_ns=5000)
    rules = QueuePreemption(within_cluster_queue="LowerPriority")
    yard = Yard(
        queue(group(h100=4), name="a", preemption=rules),
        queue(group(h100=4), name="b", preemption=rules),
        policy=QueuePolicy(evictions=limits),
    )
    yard.submit("r", pods(4), to="a")
    yard.submit("v", pods(4), to="b")
    yard.run(now_ns=0)
    made_way = (("t/p", "t/r"), ("t/q", "t/v"))
    yard.ledger = Ledger(
        eviction(victim, made_way_for=by, device_milli=0, lost_ns=0, now_ns=0, rules=limits)
        for victim, by in made_way
    )
    yard.submit("q", pods(4), to="a", priority=5)
    yard.submit("p", pods(4), to="b", priority=5)
    plan = yard.run(now_ns=1)
    assert len(plan.evicts) == 1
    told = {each.workload for each in plan.evicts}
    (other,) = {"t/p", "t/q"} - told
    assert "evictions of whom it made way for: 1 more, 0 left" in plan.waits[other].message


@pytest.mark.parametrize(("limit", "evicted"), [(3999, 0), (4000, 1)])
def test_the_brake(limit, evicted):
    yard = evicting(brake_device_milli_max=limit)
    plan = yard.run()
    assert len(plan.evicts) == evicted
    if not evicted:
        said = plan.waits["t/high"]
        assert said.message.endswith(
            "devices evicted in the window (thousandths): 4000 more, 3999 left"
        )
        assert not yard.queues.admitted["t/low"].evicted


# -- caps beside quota


def capped(**cap):
    given = UsageCap(name="fair", resource=GPU, **{"amount": 4, **cap})
    return Yard(queue(group(h100=64)), policy=QueuePolicy(rounds_per_cycle=9, caps=(given,)))


def test_a_user_has_so_much_and_others_of_the_same_shape_still_start():
    yard = capped(user=EACH)
    yard.submit("a1", pods(3), user="ann", at=0)
    yard.submit("a2", pods(3), user="ann", at=1)
    yard.submit("b1", pods(3), user="bob", at=2)
    plan = yard.run()
    assert started(plan) == ["t/a1", "t/b1"]
    assert plan.waits["t/a2"].code == "UsageCapReached"
    assert plan.waits["t/a2"].message == "cap fair for user ann: 3 asked for, 1 left"
    assert "t/a2" not in yard.queues.admitted


def test_a_device_model_has_so_much():
    yard = capped(model="h100")
    yard.submit("large", pods(5))
    yard.submit("small", pods(4), at=1)
    assert started(yard.run()) == ["t/small"]


def test_a_cap_by_the_time_of_day():
    noon = DailyWindow(from_ns=NOW, until_ns=NOW + 10)
    yard = capped(windows=(noon,))
    yard.submit("large", pods(5))
    assert started(yard.run()) == []
    yard.waiting.wake("main")
    assert started(yard.run(now_ns=NOW + 10)) == ["t/large"]


def test_pod_sets_count_together():
    yard = capped()
    yard.submit("two", pods(3, name="head"), pods(2, name="workers"))
    assert yard.run().waits["t/two"].code == "UsageCapReached"


def test_nobody_starts_on_what_victims_still_hold():
    """A round counts its victims as gone; two start then on the one GPU that is free now."""
    reclaim = QueuePreemption(within_cluster_queue="LowerPriority")
    yard = Yard(
        queue(group(h100=5), name="a", cohort="all", preemption=reclaim),
        queue(group(h100=0), name="b", cohort="all"),
        queue(group(h100=0), name="c", cohort="all"),
    )
    yard.submit("victim", pods(4), to="a")
    assert started(yard.run()) == ["t/victim"]
    yard.submit("owner", pods(2), to="a", priority=5)
    yard.submit("b", pods(1), to="b")
    yard.submit("c", pods(1), to="c")
    plan = yard.run()
    assert ([each.victim for each in plan.evicts], len(plan.starts)) == (["t/victim"], 1)
    assert yard.queues.tree.cohorts["all"].usage[FlavorResource("h100", GPU)] <= 5


# -- who was crowded out


def crowded(**settings):
    """Return a yard of two hosts: on one stands a borrower, and two owners want the other one.

    The first of them may not have it; all that the second needs for itself is that one host.
    """
    placer = a_placer(4, 4)
    topology = Topology(name="hosts", levels=(HOSTNAME,))
    flavor = ResourceFlavor(name="h100", topology="hosts")
    may_reclaim = QueuePreemption(reclaim_within_cohort="Any")
    cap = UsageCap(name="fair", resource=GPU, amount=3, user="ann")
    yard = Yard(
        *(queue(group(h100=8), name=name, cohort="all", preemption=may_reclaim) for name in "ab"),
        queue(group(h100=0), name="c", cohort="all"),
        policy=QueuePolicy(caps=(cap,), **settings),
        placer=placer,
        flavors=[flavor],
        places={"h100": survey(placer.snapshot, flavor, topology)},
    )
    yard.submit("borrower", pods(1, 4), to="c")
    yard.run()
    return yard


@pytest.mark.parametrize("hold_ns", [0, 100])
def test_nobody_evicts_because_of_somebody_who_does_not_start(hold_ns):
    yard = crowded(rounds_per_cycle=9, hold_ns=hold_ns)
    yard.submit("capped", pods(1, 4), to="a", user="ann", priority=1)
    yard.submit("owner", pods(1, 4), to="b")
    plan = yard.run()
    assert (started(plan), plan.evicts) == (["t/owner"], ())
    assert plan.waits.keys() == {"t/capped"}
    assert yard.queues.holds == {}


def test_who_was_crowded_out_evicts_where_the_other_did_start():
    yard = crowded(rounds_per_cycle=9, hold_ns=100)
    yard.submit("first", pods(1, 4), to="a", priority=1)
    yard.submit("owner", pods(1, 4), to="b")
    plan = yard.run()
    assert started(plan) == ["t/first"]
    assert [(each.victim, each.workload) for each in plan.evicts] == [("t/borrower", "t/owner")]
    assert yard.queues.holds.keys() == {"t/owner"}


def test_in_a_single_round_who_was_crowded_out_evicts_as_in_kueue():
    yard = crowded()
    yard.submit("capped", pods(1, 4), to="a", user="ann", priority=1)
    yard.submit("owner", pods(1, 4), to="b")
    plan = yard.run()
    assert (started(plan), [each.victim for each in plan.evicts]) == ([], ["t/borrower"])


# -- the other flavors


def flavored(fleet, *specs, rounds=20, **policy):
    """Return a yard over nodes of so many GPUs in each flavor."""
    return Yard(
        *specs,
        policy=QueuePolicy(rounds_per_cycle=rounds, **policy),
        placer=a_placer(*fleet.values(), pools=fleet.keys()),
        flavors=[ResourceFlavor(name=name, node_labels=(("pool", name),)) for name in fleet],
    )


def given(plan):
    """Return the flavors of who starts."""
    return {
        each.workload: {name for one in each.admission.pod_sets for _, name in one.flavors}
        for each in plan.starts
    }


@pytest.fixture
def landings(monkeypatch):
    """Return who tried to land where."""
    seen = []

    def land(placer, queues, workload, admission, **more):
        flavors = {name for each in admission.pod_sets for _, name in each.flavors}
        seen.append((workload.key, *sorted(flavors)))
        return landing.land(placer, queues, workload, admission, **more)

    monkeypatch.setattr(queue_cycle, "land", land)
    return seen


def test_where_nodes_refuse_the_next_flavor_has_its_turn():
    yard = flavored({"a": 4, "b": 8}, queue(group(a=64, b=64)))
    yard.submit("w", pods(1, 8))
    plan = yard.run()
    assert (given(plan), plan.waits) == ({"t/w": {"b"}}, {})


def test_with_one_round_a_cycle_it_has_it_in_the_next():
    yard = flavored({"a": 4, "b": 8}, queue(group(a=64, b=64)), rounds=1)
    yard.submit("w", pods(1, 8))
    first = yard.run()
    assert (first.waits["t/w"].outcome, first.goes_on) == ("skipped", True)
    assert given(yard.run()) == {"t/w": {"b"}}


def test_a_flavor_that_borrows_has_it_too():
    """The queue would rather not borrow, so the second flavor comes before the first."""
    wishes = FlavorFungibility(when_can_borrow="TryNextFlavor")
    yard = flavored(
        {"a": 8, "b": 4},
        queue(group(a=0, b=64), cohort="all", fungibility=wishes),
        queue(group(a=64, b=0), cohort="all", name="lender"),
    )
    yard.submit("w", pods(1, 8))
    assert given(yard.run()) == {"t/w": {"a"}}


@pytest.mark.parametrize("strategy", ["BestEffortFIFO", "StrictFIFO"])
@pytest.mark.parametrize("change", ["something left", "other nodes"])
def test_a_flavor_comes_back_when_something_changed(landings, strategy, change):
    yard = flavored(
        {"a": 4, "b": 8},
        queue(group(a=64, b=0), cohort="all", queueing_strategy=strategy),
        queue(group(a=0, b=8), cohort="all", name="lender"),
    )
    yard.submit("owner", pods(1, 8), to="lender")
    yard.run()
    yard.submit("w", pods(1, 8))
    said = yard.run().waits["t/w"].message
    assert "the nodes of flavor a do not take its pods" in said
    assert "insufficient unused quota for nvidia.com/gpu in flavor b, 8 more needed" in said
    yard.run()
    assert landings.count(("t/w", "a")) == 1
    if change == "something left":
        yard.waiting.wake("main")
    else:
        yard.waiting.follow(yard.queues)
    yard.run()
    assert landings.count(("t/w", "a")) == 2


def test_where_no_nodes_take_it_whatever_flavor_it_waits(landings):
    yard = flavored({"a": 4, "b": 4}, queue(group(a=64, b=64)))
    yard.submit("w", pods(1, 8))
    plan = yard.run()
    assert landings == [("t/w", "a"), ("t/w", "b")]
    assert (plan.waits["t/w"].code, plan.goes_on) == ("Unschedulable", False)
    assert list(yard.waiting.pending["main"].parked) == ["t/w"]


def test_two_heads_that_nothing_takes_keep_no_pass_busy(landings):
    """Their queues are strict, so both come in each round, and one began a round later."""
    strict = {"queueing_strategy": "StrictFIFO"}
    specs = [queue(group(a=64, b=64), name=name, **strict) for name in ("one", "two")]
    yard = flavored({"a": 4, "b": 4}, *specs)
    yard.submit("x", pods(1, 8), to="one", at=1)
    yard.submit("before", pods(1, 1), to="two", at=0)
    yard.submit("y", pods(1, 8), to="two", at=1)
    plan = yard.run()
    assert (started(plan), plan.rounds < 6) == (["t/before"], True)


@pytest.mark.parametrize("strategy", ["BestEffortFIFO", "StrictFIFO"])
def test_a_head_with_flavors_left_does_not_end_the_pass(strategy):
    """It rather evicts in the first flavor than look further, and may not yet."""
    yard = flavored(
        {"a": 8, "b": 8},
        queue(
            group(a=8, b=8),
            preemption=QueuePreemption(within_cluster_queue="LowerPriority"),
            fungibility=FlavorFungibility(when_can_preempt="Preempt"),
            queueing_strategy=strategy,
        ),
        rules=AdmissionRules(preempt_after_ns=10**9, preempt_when_waited_pct=100),
    )
    yard.nominator.now_ns = NOW
    yard.submit("low", pods(2, 4))
    yard.run()
    yard.queues.losses = {"t/low": Loss(10**6, 10**7)}
    yard.submit("w", pods(1, 8), priority=1)
    plan = yard.run()
    assert (given(plan), plan.evicts, plan.rounds) == ({"t/w": {"b"}}, (), 2)


@pytest.mark.parametrize("fail_fast", [False, True])
def test_who_seeks_another_place_in_vain_keeps_no_pass_busy(fail_fast):
    placer = a_placer(4)
    flavor = ResourceFlavor(name="h100", topology="hosts")
    hosts = Topology(name="hosts", levels=(HOSTNAME,))
    yard = Yard(
        queue(group(h100=8)),
        policy=QueuePolicy(rounds_per_cycle=20, rules=AdmissionRules(fail_fast=fail_fast)),
        placer=placer,
        flavors=[flavor],
        places={"h100": survey(placer.snapshot, flavor, hosts)},
    )
    yard.submit("w", pods(1, 4))
    yard.run()
    held = yard.queues.remove("t/w")
    yard.queues.admit(msgspec.structs.replace(held, unhealthy_nodes=("n0",)))
    plan = yard.run()
    assert (started(plan), plan.waits.keys(), plan.rounds) == ([], {"t/w"}, 1)


@pytest.mark.parametrize("borrower", [(), ("old",)])
def test_what_the_owner_of_a_hold_leaves_is_free_in_the_same_pass(borrower):
    """Nobody waits for it, and nobody is evicted in its stead."""
    reclaim = QueuePreemption(reclaim_within_cohort="Any")
    yard = Yard(
        queue(group(h100=4), name="a", cohort="all"),
        queue(group(h100=4), name="b", cohort="all", preemption=reclaim),
        queue(group(h100=0), name="c", cohort="all"),
        policy=QueuePolicy(rounds_per_cycle=20, hold_ns=100),
    )
    for key in borrower:
        yard.submit(key, pods(2), to="c")
        yard.run()
    room = 8 - yard.queues.tree.cohorts["all"].usage.get(FlavorResource("h100", GPU), 0)
    yard.queues.hold("t/owner", Held("a", usage({"h100": room})))
    yard.ledger = Ledger([Hold(workload="t/owner", rooms=(), since_ns=0, until_ns=NOW + 100)])
    yard.submit("owner", pods(2), to="a", priority=1)
    yard.submit("other", pods(2), to="b")
    plan = yard.run()
    assert (started(plan), plan.evicts) == (["t/owner", "t/other"], ())


def test_nobody_evicts_in_another_flavor_because_of_somebody_who_does_not_start():
    """Both borrow the same last GPU; a cap keeps the first out, and the other one has it."""
    low = {"within_cluster_queue": "LowerPriority"}
    yard = Yard(
        queue(group(a=0, b=0), name="one", cohort="all"),
        queue(group(a=0, b=1), name="two", cohort="all", preemption=QueuePreemption(**low)),
        queue(group(a=1, b=0), name="lender", cohort="all"),
        policy=QueuePolicy(
            rounds_per_cycle=20,
            caps=(UsageCap(name="fair", resource=GPU, amount=0, user="ann"),),
        ),
    )
    standing = PodSetAssignment(
        name="main", count=1, flavors=((GPU, "b"),), usage=Resources.of({GPU: 1})
    )
    old = Admitted(workload=workload(pods(1), key="t/old"), admission=Admission("two", (standing,)))
    yard.queues.admit(old)
    yard.submit("capped", pods(1), to="one", user="ann", priority=2)
    yard.submit("w", pods(1), to="two", priority=1)
    plan = yard.run()
    assert (given(plan), plan.evicts) == ({"t/w": {"a"}}, ())


def test_whose_flavor_gained_meanwhile_looks_at_it_again():
    """A position is kept for a cycle whatever was freed; behind it there is no quota at all."""
    yard = Yard(
        queue(group(a=0, b=0), name="one", cohort="all"),
        queue(group(a=0, b=0), name="two", cohort="all"),
        queue(group(a=1, b=0), name="lender", cohort="all"),
    )
    yard.submit("first", pods(1), to="one", priority=1)
    yard.submit("w", pods(1), to="two")
    plan = yard.run()
    assert (started(plan), plan.waits["t/w"].outcome) == (["t/first"], "skipped")
    yard.queues.remove("t/first")
    yard.waiting.wake("one")
    yard.policy = QueuePolicy(rounds_per_cycle=20)
    assert started(yard.run()) == ["t/w"]
