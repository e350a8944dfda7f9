"""Whoever is preempted had to go, had the lower priority, and nothing of the search stays behind.

For any cluster: victims have a lower priority than the pod or group for which they leave; none of
them could have stayed; a group that goes as one goes whole; and the snapshot is as it was. The
shortcuts (arrays that rule nodes out, batches, places that are remembered) change no answer.
"""

from collections import Counter

import numpy as np
from hypothesis import given, settings, strategies as st

from gpuyard.model.constraints import (
    UNCONSTRAINED,
    Constraints,
    HostPort,
    LabelSelector,
    PodTerm,
    Requirement,
)
from gpuyard.model.deltas import PodBound, PodGone
from gpuyard.model.disruption import DisruptionBudget, PreemptionRules
from gpuyard.model.pod_groups import PodGroup, PodGroupRules
from gpuyard.scheduling.gang import domains, start
from gpuyard.scheduling.preemption.nodes import disruption, in_flight, per_node, pick, pod_groups
from gpuyard.scheduling.preemption.nodes.pod_groups import Eviction
from tests.small_fleet import node, placer_of, template
from tests.small_pods import cluster, running, state, waiting

FEW = settings(max_examples=max(20, settings.default.max_examples // 2))
APP = LabelSelector((Requirement("app", "In", ("x",)),))
CONSTRAINTS = [
    UNCONSTRAINED,
    UNCONSTRAINED,
    Constraints(host_ports=(HostPort(80),)),
    Constraints(forbidden_pods=(PodTerm("rack", APP, ("default",)),)),
]
GROUPS = {
    key: PodGroup(key=key, priority=priority, disruption=mode)
    for key, priority, mode in [("g", 3, "group"), ("h", 12, "group"), ("l", 0, "pod")]
}

plain_templates = st.builds(
    template,
    st.sampled_from([0, 500, 1000, 3000]),
    st.sampled_from([0, 0, 1, 2]),
    milli=st.sampled_from([300, 500, 1000]),
    labels=st.sampled_from([(), (("app", "x"),), (("app", "y"),)]),
)
templates = st.builds(
    template,
    st.sampled_from([0, 500, 1000, 3000]),
    st.sampled_from([0, 0, 1, 2]),
    milli=st.sampled_from([300, 500, 1000]),
    labels=st.sampled_from([(), (("app", "x"),), (("app", "y"),)]),
    constraints=st.sampled_from(CONSTRAINTS),
)
fleets = st.lists(
    st.tuples(
        st.sampled_from([2000, 4000]),
        st.sampled_from(["", "A", "AA", "Aa"]),
        st.sampled_from("rs"),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
).map(
    lambda drawn: [
        node(
            f"n{index}",
            cpu,
            gpus,
            amounts={"pods": 6},
            rank=3 * index % 5,
            labels=(("rack", rack),),
            unschedulable=cordoned and index > 0,
        )
        for index, (cpu, gpus, rack, cordoned) in enumerate(drawn)
    ]
)


def pods_on(fleet, of=templates):
    """Return a strategy of running pods; several may ask for more than there is."""
    return st.lists(
        st.builds(
            lambda where, asked, priority, start_ns, group: (
                where,
                asked,
                priority,
                start_ns,
                group,
            ),
            st.integers(0, len(fleet) - 1),
            of,
            st.sampled_from([-5, 0, 3, 3, 10, 12]),
            st.sampled_from([None, 1, 2]),
            st.sampled_from(["", "", "g", "h", "l"]),
        ),
        max_size=12,
    ).map(
        lambda drawn: [
            running(
                f"p{index}",
                f"n{where}",
                of=asked,
                priority=priority,
                start_ns=start_ns,
                group=group,
            )
            for index, (where, asked, priority, start_ns, group) in enumerate(drawn)
        ]
    )


clusters = fleets.flatmap(lambda fleet: st.tuples(st.just(fleet), pods_on(fleet)))
plain_clusters = fleets.flatmap(
    lambda fleet: st.tuples(st.just(fleet), pods_on(fleet, plain_templates))
)
budgets = st.lists(
    st.builds(
        lambda value, allowed: DisruptionBudget(
            namespace="default",
            name=value,
            selector=LabelSelector((Requirement("app", "In", (value,)),)),
            allowed=allowed,
        ),
        st.sampled_from("xy"),
        st.integers(-1, 2),
    ),
    max_size=2,
)
ALL_NODES = PreemptionRules(candidates_min=1000)


# -- one pod


@given(clusters, templates, budgets, st.sampled_from([0, 4, 11]))
def test_victims_are_lower_and_none_could_stay(drawn, asked, protecting, priority):
    fleet, pods = drawn
    snapshot = cluster(fleet, pods)
    placer = placer_of(snapshot, "kube")
    before = state(snapshot)
    pod = waiting(of=asked, priority=priority)
    for candidate in per_node.candidates(placer, pod, protecting, ALL_NODES):
        assert candidate.victims
        assert all(victim.priority < priority for victim in candidate.victims)
        assert {victim.node for victim in candidate.victims} == {candidate.node}
        here = np.array([snapshot.slot_of[candidate.node]])
        devices = {key: each.devices for key, each in snapshot.bookings.items()}
        with snapshot.trial():
            for victim in candidate.victims:
                snapshot.apply(PodGone(victim.pod))
            assert per_node.fits(snapshot, asked, here).all()
            for victim in candidate.victims:
                with snapshot.trial():
                    snapshot._bind(victim, devices[victim.pod])
                    assert not per_node.fits(snapshot, asked, here).any()
    assert state(snapshot) == before


@given(clusters, templates, budgets, st.sampled_from([0, 4, 11]))
def test_arrays_rule_out_no_node_that_would_do(drawn, asked, protecting, priority):
    fleet, pods = drawn
    snapshot = cluster(fleet, pods)
    pod = waiting(of=asked, priority=priority)
    one_by_one = {
        found
        for slot in snapshot.nodes
        if (found := per_node.dry_run(snapshot, pod, slot, protecting)) is not None
    }
    assert set(per_node.candidates(placer_of(snapshot, "kube"), pod, protecting, ALL_NODES)) == (
        one_by_one
    )


@given(clusters, templates, budgets)
def test_a_node_is_a_candidate_or_says_why_not(drawn, asked, protecting):
    fleet, pods = drawn
    snapshot = cluster(fleet, pods)
    placer, pod = placer_of(snapshot, "kube"), waiting(of=asked)
    slots = per_node.mendable(placer, asked)
    found = per_node.candidates(placer, pod, protecting, ALL_NODES)
    said = per_node.explain(placer, pod)
    helpless = len(fleet) - len(slots)
    silent = len(fleet) - len(found)
    assert dict(said).get(per_node.NOT_HELPFUL, 0) == helpless
    assert sum(count for _, count in said) >= silent
    if not found and len(slots):
        assert any(reason != per_node.NOT_HELPFUL for reason, _ in said)


@given(clusters, templates, st.integers(0, 4), st.integers(1, 3))
def test_the_search_keeps_its_limit(drawn, asked, offset, limit):
    fleet, pods = drawn
    placer, pod = placer_of(cluster(fleet, pods), "kube"), waiting(of=asked)
    everything = per_node.candidates(placer, pod, (), ALL_NODES)
    rules = PreemptionRules(candidates_min=limit, candidates_min_pct=0)
    found = per_node.candidates(placer, pod, (), rules, offset=offset)
    assert set(found) <= set(everything)
    assert len(found) == min(limit, len(everything))


@given(clusters, templates, budgets)
def test_the_choice_hurts_least_whatever_the_order(drawn, asked, protecting):
    placer = placer_of(cluster(*drawn), "kube")
    found = per_node.candidates(placer, waiting(of=asked), protecting, ALL_NODES)
    best = pick.best(found)
    if best is None:
        assert not found
        return
    assert all(pick.harm(best) <= pick.harm(each) for each in found)
    assert pick.harm(pick.best(found[::-1])) == pick.harm(best)


@given(clusters, budgets)
def test_budgets_allow_as_many_as_they_say(drawn, protecting):
    pods = drawn[1]
    breaking = disruption.breaking_pods(pods, protecting)
    for budget in protecting:
        kept = [
            pod
            for pod, breaks in zip(pods, breaking, strict=True)
            if not breaks and disruption.protects(budget, pod)
        ]
        assert len(kept) <= max(0, budget.allowed)
    for pod, breaks in zip(pods, breaking, strict=True):
        assert not breaks or any(disruption.protects(budget, pod) for budget in protecting)


# -- a pod group


def members(asked, count, priority=10):
    return [
        waiting(f"m{index}", of=asked, priority=priority, group="new") for index in range(count)
    ]


@FEW
@given(clusters, templates, st.integers(1, 4), st.integers(0, 3), budgets)
def test_units_go_whole_and_only_lower_ones(drawn, asked, count, min_count, protecting):
    fleet, pods = drawn
    snapshot = cluster(fleet, pods)
    before = state(snapshot)
    group = PodGroup(key="new", min_count=min_count, priority=10)
    placer = placer_of(snapshot, "best-fit")
    found = pod_groups.victims(placer, group, members(asked, count), GROUPS, protecting)
    assert state(snapshot) == before
    if not isinstance(found, Eviction):
        return
    gone = Counter(victim.pod for victim in found.victims)
    assert set(gone.values()) <= {1}
    for pod in pods:
        whole = GROUPS.get(pod.group)
        if whole is not None and whole.disruption == "group":
            kin = {each.pod for each in pods if each.group == pod.group}
            assert kin <= set(gone) or not kin & set(gone)
            assert whole.priority < group.priority or pod.pod not in gone
        else:
            assert pod.priority < group.priority or pod.pod not in gone
    with snapshot.trial():
        for pod in gone:
            snapshot.apply(PodGone(pod))
        for place in found.places:
            here = np.array([snapshot.slot_of[place.node]])
            assert per_node.fits(snapshot, place.template, here).all()
            snapshot.apply(PodBound(place))
    assert len(found.places) >= max(1, min_count)


@FEW
@given(plain_clusters, plain_templates, st.integers(1, 4), st.integers(0, 3), budgets)
def test_shortcuts_change_no_answer(drawn, asked, count, min_count, protecting):
    fleet, pods = drawn
    snapshot = cluster(fleet, pods)
    group = PodGroup(key="new", min_count=min_count, priority=10)
    placer = placer_of(snapshot, "best-fit")
    pending = members(asked, count)
    found = pod_groups.victims(placer, group, pending, GROUPS, protecting)
    expected = naive(placer, group, pending, protecting)
    if expected is None:
        assert isinstance(found, str)
    else:
        assert {victim.pod for victim in found.victims} == expected


def naive(placer, group, pending, protecting):
    """Return the victims as Kubernetes finds them: all leave, then each unit is asked about."""
    snapshot = placer.snapshot
    leaving = [
        unit for unit in pod_groups.units(snapshot, GROUPS) if unit.priority < group.priority
    ]
    breaking = disruption.breaking_units([unit.pods for unit in leaving], protecting)
    turns = [unit for unit, breaks in zip(leaving, breaking, strict=True) if breaks]
    turns += [unit for unit, breaks in zip(leaving, breaking, strict=True) if not breaks]

    def can_start():
        with snapshot.trial():
            return start.start(placer, group, pending).starts

    with snapshot.trial():
        for unit in leaving:
            for pod in unit.pods:
                snapshot.apply(PodGone(pod.pod))
        if not leaving or not can_start():
            return None
        lost = set()
        for unit in turns:
            for pod in unit.pods:
                snapshot.apply(PodBound(pod))
            if not can_start():
                for pod in unit.pods:
                    snapshot.apply(PodGone(pod.pod))
                    lost.add(pod.pod)
    return lost


# -- a gang


@FEW
@given(
    clusters,
    st.lists(templates, min_size=1, max_size=4),
    st.integers(0, 4),
    st.sampled_from([None, "rack", "row"]),
)
def test_a_gang_starts_with_enough_in_one_domain_or_not_at_all(drawn, asked, min_count, key):
    snapshot = cluster(*drawn)
    placer = placer_of(snapshot, "kube")
    before = state(snapshot)
    group = PodGroup(key="new", min_count=min_count, topology_key=key)
    pending = [waiting(f"m{index}", of=of, group="new") for index, of in enumerate(asked)]
    outcome = domains.start_in_one(placer, group, pending, PodGroupRules(honors_topology=True))
    bound = {name: snapshot.bookings[name] for name in snapshot.bookings if name.startswith("m")}
    assert set(bound) == set(outcome.bound)
    assert outcome.starts == bool(bound)
    assert not bound or len(bound) >= min_count
    if not bound:
        assert state(snapshot) == before
    if key is not None:
        values = {
            dict(snapshot.nodes[each.slot].labels).get(key, each.slot) for each in bound.values()
        }
        assert len(values) <= 1
    if key == "row":  # no node has it
        assert not bound


# -- evictions on their way


@given(st.lists(st.booleans(), max_size=6), st.data())
def test_evictions_end_and_the_last_one_is_last(terminating, data):
    victims = [
        running(f"v{index}", "n", terminating=leaves) for index, leaves in enumerate(terminating)
    ]
    staying = [victim.pod for victim in victims if not victim.terminating]
    step, asked, failed = in_flight.begin(victims), [], False
    while step.in_flight is not None:
        memory = step.in_flight
        assert in_flight.holds_still(memory, last_is_leaving=memory.asked_last) is not (
            memory.asked_last
        )
        asked += step.evict
        for victim in data.draw(st.permutations(step.evict)):
            answer = data.draw(st.sampled_from(["accepted", "accepted", "gone", "failed"]))
            failed |= answer == "failed"
            step = in_flight.answered(memory, victim, answer)
            memory = step.in_flight or memory
    assert step.retry == failed
    assert len(set(asked)) == len(asked)
    assert set(asked) <= set(staying)
    if not failed:
        assert asked == staying
    if asked and asked[-1] == staying[-1]:
        assert len(asked) == len(staying)
