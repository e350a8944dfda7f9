"""Flavor assignment in any queue: it promises only what is there, and changes nothing."""

import hypothesis.strategies as st
from hypothesis import given

from gpuyard.model.queues import (
    BorrowWithinCohort,
    ClusterQueue,
    FlavorFungibility,
    FlavorQuotas,
    FlavorResource,
    QueuePreemption,
    ResourceFlavor,
    ResourceGroup,
    ResourceQuota,
    Usage,
)
from gpuyard.model.resources import Resources
from gpuyard.model.topology import TopologyRequest
from gpuyard.scheduling import quota
from gpuyard.scheduling.flavors import partial_admission
from gpuyard.scheduling.flavors.assignment import START_OVER
from gpuyard.scheduling.flavors.modes import Mode
from gpuyard.scheduling.flavors.reasons import sentence
from gpuyard.scheduling.flavors.requests import of_pending
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.queues import Queues
from tests.small_queues import HOST, Hosts, Oracle, assigned, pods, workload

FLAVORS = ("a", "b", "c")
RESOURCES = ("cpu", "gpu", "memory")
MANY = 12

amounts = st.integers(0, MANY)
policies = st.sampled_from(("MayStopSearch", "TryNextFlavor"))
fungibilities = st.builds(
    FlavorFungibility,
    when_can_borrow=policies,
    when_can_preempt=policies,
    preference=st.sampled_from(("BorrowingOverPreemption", "PreemptionOverBorrowing")),
)
preemptions = st.builds(
    QueuePreemption,
    reclaim_within_cohort=st.sampled_from(("Never", "Any")),
    borrow_within_cohort=st.builds(
        BorrowWithinCohort, policy=st.sampled_from(("Never", "LowerPriority"))
    ),
)
answers = st.tuples(st.sampled_from(("NoCandidates", "Preempt", "Reclaim")), st.integers(0, 2))
oracles = st.fixed_dictionaries(dict.fromkeys(FLAVORS, answers))
rules = st.builds(FlavorRules, fungibility=st.booleans(), fair_sharing=st.booleans())


def quotas(draw, resources):
    flavors = draw(st.lists(st.sampled_from(FLAVORS), unique=True, min_size=1))
    limits = st.none() | amounts
    return ResourceGroup(
        tuple(resources),
        tuple(
            FlavorQuotas(
                flavor,
                tuple(
                    ResourceQuota(
                        resource=name,
                        nominal=draw(amounts),
                        borrowing_limit=draw(limits),
                        lending_limit=draw(limits),
                    )
                    for name in resources
                ),
            )
            for flavor in flavors
        ),
    )


@st.composite
def states(draw):
    """Return two queues of a cohort with something used in each."""
    specs = []
    for name in ("main", "other"):
        cut = draw(st.integers(1, len(RESOURCES)))
        parts = [RESOURCES[:cut], RESOURCES[cut:]]
        groups = tuple(quotas(draw, part) for part in parts if part)
        specs.append(
            ClusterQueue(
                name=name,
                cohort="team",
                resource_groups=groups,
                fungibility=draw(fungibilities),
                preemption=draw(preemptions),
            )
        )
    queues = Queues(specs, flavors=[ResourceFlavor(name=flavor) for flavor in FLAVORS])
    for spec in specs:
        keys = sorted(queues.node(spec.name).quotas)
        used = draw(st.lists(amounts, min_size=len(keys), max_size=len(keys)))
        queues.use(spec.name, Usage(tuple(zip(keys, used, strict=True))))
    return queues


group_of = st.sampled_from(("", "", "g"))


@st.composite
def pod_sets(draw):
    asked = []
    for index in range(draw(st.integers(1, 3))):
        group = draw(group_of)
        topology = TopologyRequest(mode="unconstrained", group=group, only_groups=True)
        asks = draw(st.dictionaries(st.sampled_from(RESOURCES), st.integers(0, 3)))
        count = draw(st.integers(1, 4))
        asked.append(
            pods(
                count,
                name=str(index),
                asks=asks,
                topology=topology if group else None,
                min_count=draw(st.none() | st.integers(1, count)),
            )
        )
    return asked


def usage_of(queues):
    nodes = [*queues.tree.cluster_queues.values(), *queues.tree.cohorts.values()]
    return {repr(node): dict(node.usage) for node in nodes}


@given(states(), pod_sets(), oracles, rules)
def test_what_fits_is_there_and_what_is_promised_is_counted_once(queues, asked, oracle, chosen):
    before = usage_of(queues)
    assignment = assigned(queues, *asked, rules=chosen, simulate=Oracle(**oracle))
    assert usage_of(queues) == before
    total = {}
    for each in assignment.pod_sets:
        for resource, choice in each.choices:
            key = FlavorResource(choice.flavor, resource)
            total[key] = total.get(key, 0) + each.requests.get(resource)
    assert dict(assignment.usage.quota) == total
    node = queues.node("main")
    if assignment.mode is Mode.FIT:
        assert quota.fits(node, total)
        assert assignment.no_fit_reason == ""
        with queues.using("main", assignment.usage):
            pass
        assert usage_of(queues) == before
    if assignment.mode is not Mode.NO_FIT:
        assert all(amount <= quota.potential_available(node, key) for key, amount in total.items())
        assert len(assignment.pod_sets) == len(asked)
    else:
        assert assignment.no_fit_reason != ""
        assert assignment.message() != ""


@given(states(), pod_sets(), oracles, rules)
def test_every_resource_of_a_resource_group_gets_the_same_flavor(queues, asked, oracle, chosen):
    assignment = assigned(queues, *asked, rules=chosen, simulate=Oracle(**oracle))
    by_group = {}
    groups = queues.specs["main"].resource_groups
    for each, pod_set in zip(assignment.pod_sets, asked, strict=False):
        together = pod_set.topology.group if pod_set.topology else each.name
        for resource, choice in each.choices:
            index = next(
                index for index, one in enumerate(groups) if resource in one.covered_resources
            )
            by_group.setdefault((together, index), set()).add(choice.flavor)
    assert all(len(flavors) == 1 for flavors in by_group.values())


@given(states(), pod_sets(), oracles, rules)
def test_whoever_is_not_admitted_is_told_why(queues, asked, oracle, chosen):
    assignment = assigned(queues, *asked, rules=chosen, simulate=Oracle(**oracle))
    for each in assignment.pod_sets:
        if each.mode is not Mode.FIT:
            assert each.reasons
            assert all(map(sentence, each.reasons))
        assert all((attempt.mode is Mode.FIT) == (not attempt.reasons) for attempt in each.attempts)


@given(states(), pod_sets(), oracles)
def test_positions_lead_through_all_flavors_and_begin_anew(queues, asked, oracle):
    first = asked[:1]
    tried = None
    seen = []
    flavors = queues.specs["main"].resource_groups[0].flavors
    for _ in range(2 * len(flavors)):
        assignment = assigned(queues, *first, simulate=Oracle(**oracle), tried=tried)
        tried = assignment.tried
        positions = dict(tried["0"])
        if "cpu" not in positions:
            return
        seen.append(positions["cpu"])
        if positions["cpu"] == START_OVER:
            break
    assert seen[-1] == START_OVER
    assert seen[:-1] == sorted(set(seen[:-1]))


@given(states(), pod_sets(), oracles)
def test_a_second_look_with_its_own_nomination_is_the_same_or_worse(queues, asked, oracle):
    first = assigned(queues, *asked, simulate=Oracle(**oracle))
    second = assigned(queues, *asked, simulate=Oracle(**oracle), nominated=first.nominated)
    if first.mode is not Mode.NO_FIT:
        assert second.nominated == first.nominated
        assert second.mode is first.mode


@given(states(), pod_sets(), oracles, rules)
def test_fewer_pods_that_fit_are_the_most_that_fit(queues, asked, oracle, chosen):
    """Where preemption plays no part, fewer pods fit wherever more do."""

    def fits(counts):
        found = assigned(queues, *asked, rules=chosen, simulate=Oracle(**oracle), counts=counts)
        return counts if found.mode is Mode.FIT else None

    spare = sum(each.count - (each.min_count or each.count) for each in asked)
    every = [
        tuple(
            each.count - (each.count - (each.min_count or each.count)) * step // spare
            for each in asked
        )
        for step in range(spare + 1)
        if spare
    ]
    found = partial_admission.search(asked, fits)
    assert found is None or found in every
    if found is not None:
        assert fits(found) == found
    if every and fits(every[-1]) is None:
        assert found is None or fits(found)
    if every and all(map(fits, every)):
        assert found == every[0]


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), min_size=1, max_size=4),
    st.integers(0, 160),
)
def test_the_largest_counts_under_a_limit_are_found(counts, limit):
    asked = [
        pods(count, name=str(index), min_count=max(0, count - spare))
        for index, (count, spare) in enumerate(counts)
    ]
    spares = [each.count - each.min_count for each in asked]
    steps = sum(spares)
    every = [
        tuple(each.count - spare * step // steps for each, spare in zip(asked, spares, strict=True))
        for step in range(steps + 1)
        if steps
    ]
    expected = next((each for each in every if sum(each) <= limit), None)
    found = partial_admission.search(asked, lambda given: given if sum(given) <= limit else None)
    assert (found is None) == (expected is None)
    assert found is None or expected is None or sum(found) == sum(expected)


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=3),
    st.integers(0, 9),
    st.integers(0, 9),
    amounts,
)
def test_places_never_make_an_assignment_better(counts, free, all_of_them, used):
    group = ResourceGroup(
        ("gpu",), (FlavorQuotas("a", (ResourceQuota(resource="gpu", nominal=MANY),)),)
    )
    spec = ClusterQueue(name="main", resource_groups=(group,))
    queues = Queues([spec], flavors=[ResourceFlavor(name="a", topology="hosts")])
    queues.use("main", Usage(((FlavorResource("a", "gpu"), used),)))
    required = TopologyRequest(mode="required", level=HOST[0])
    asked = [
        pods(count, name=str(index), asks={"gpu": 1}, topology=required)
        for index, count in enumerate(counts)
    ]
    topologies = Hosts(a=(free, max(free, all_of_them)))
    without = assigned(queues, *asked, rules=FlavorRules(topology_aware=False))
    found = assigned(queues, *asked, topologies=topologies)
    assert found.mode <= without.mode
    if without.mode is Mode.FIT:
        expected = Mode.FIT if sum(counts) <= free else Mode.PREEMPT
        if sum(counts) > max(free, all_of_them):
            expected = Mode.NO_FIT
        assert found.mode is expected
    placed = sum(domain.count for each in found.usage.places for domain in each.domains)
    assert placed == (sum(counts) if found.mode is Mode.FIT else 0)


@given(pod_sets(), st.integers(1, 6))
def test_scaling_to_the_same_count_changes_nothing(asked, count):
    for each in of_pending(workload(*asked), FlavorRules()):
        assert each.scaled_to(each.count) == each
        fewer = each.scaled_to(count)
        assert fewer.total == Resources.of(
            {
                name: amount * count
                for name, amount in each.pod_set.template.request.resources.amounts
            }
        )
