"""Places in any topology: never more than fit, never torn apart, and nothing is lost."""

from collections import Counter

import hypothesis.strategies as st
import numpy as np
from hypothesis import given
from msgspec.structs import replace

from gpuyard.model.topology import HOSTNAME, TopologyRules
from gpuyard.scheduling.topology import (
    Refusal,
    merged,
    place,
    place_again,
    pod_count,
    truncated,
    usage_of,
)
from gpuyard.scheduling.topology.assign import may_hold
from gpuyard.scheduling.topology.counts import how_many
from gpuyard.scheduling.topology.tree import grow
from tests.small_topology import LEVELS, ask, host, shown, yard

HOSTS_MAX = 9
ROOM_MAX = 6

rules = st.builds(
    TopologyRules,
    unconstrained_packing=st.sampled_from(("least-free-capacity", "best-fit")),
    balances_preferred=st.booleans(),
    keeps_running_pods=st.booleans(),
)
wishes = st.sampled_from(
    [
        "",
        "unconstrained",
        *(f"{mode} {level}" for mode in ("required", "preferred") for level in LEVELS),
    ]
)


@st.composite
def hosts(draw):
    """Return hosts with their room, in blocks and racks of any size."""
    count = draw(st.integers(1, HOSTS_MAX))
    paths = [
        f"b{draw(st.integers(0, 1))}/r{draw(st.integers(0, 2))}/n{index}" for index in range(count)
    ]
    return {path: draw(st.integers(0, ROOM_MAX)) for path in paths}


@st.composite
def sliced(draw):
    """Return a request in whole slices of one or two layers, or in none."""
    wish = draw(wishes)
    wanted = wish.partition(" ")[2]
    widest = LEVELS.index(wanted) if wanted else 0
    levels = draw(st.lists(st.sampled_from(LEVELS[widest:]), unique=True, max_size=2))
    sizes = {1: [(2,), (3,)], 2: [(4, 2), (2, 2), (3, 1)]}.get(len(levels), [()])
    chosen = draw(st.sampled_from(sizes))
    layers = tuple(zip(sorted(levels, key=LEVELS.index), chosen, strict=True))
    count = draw(st.integers(1, 8)) * (chosen[0] if chosen else 1)
    return ask(count, wish, slices=layers, cpus=draw(st.integers(1, 2)))


def used(capacity, request, found):
    """Return what the leaves have left after `found`, by resource."""
    capacity.use(usage_of("gpus", request.per_pod, found))
    left = capacity.left()
    capacity.release(usage_of("gpus", request.per_pod, found))
    return left


def around(capacity, found, level):
    """Return how many pods are in each domain of `level`."""
    ancestors = capacity.tree.ancestors(LEVELS.index(level))
    pods = Counter()
    for domain in found.domains:
        pods[int(ancestors[capacity.tree.leaf_of[domain.values]])] += domain.count
    return pods


@given(hosts(), sliced(), rules)
def test_all_pods_get_places_that_hold_them(cpus, request, rules):
    capacity = yard(cpus)
    found = place(capacity, [request], rules=rules)
    if isinstance(found, Refusal):
        return
    assert pod_count(found[0]) == request.count
    assert all(domain.count > 0 for domain in found[0].domains)
    assert (used(capacity, request, found[0]) >= 0).all()
    assert capacity.fits([usage_of("gpus", request.per_pod, found[0])])


@given(hosts(), sliced(), rules)
def test_required_pods_are_in_one_domain_and_slices_are_whole(cpus, request, rules):
    capacity = yard(cpus)
    found = place(capacity, [request], rules=rules)
    if isinstance(found, Refusal):
        return
    wish = request.topology
    if wish.mode == "required":
        assert len(around(capacity, found[0], wish.level)) == 1
    for layer in wish.slices:
        pods = around(capacity, found[0], layer.level)
        assert all(count % layer.size == 0 for count in pods.values())


@given(hosts(), wishes, st.integers(1, 12), rules)
def test_pods_without_slices_are_refused_only_where_they_do_not_fit(cpus, wish, count, rules):
    capacity = yard(cpus)
    room = Counter()
    mode, _, level = wish.partition(" ")
    width = LEVELS.index(level) + 1 if mode == "required" else 0
    for path, amount in cpus.items():
        room["/".join(path.split("/")[:width])] += amount
    found = place(capacity, [ask(count, wish)], rules=rules)
    assert isinstance(found, Refusal) == (max(room.values()) < count)


@given(hosts(), sliced(), rules, st.randoms(use_true_random=False))
def test_the_order_of_the_nodes_does_not_matter(cpus, request, rules, chance):
    nodes = [host(path, amount, rank=rank) for rank, (path, amount) in enumerate(cpus.items())]
    shuffled = list(nodes)
    chance.shuffle(shuffled)
    turned = [replace(node, rank=len(nodes) - node.rank) for node in shuffled]
    assert place(yard(nodes), [request], rules=rules) == place(yard(turned), [request], rules=rules)


@given(hosts(), st.lists(sliced(), min_size=1, max_size=3), rules)
def test_what_is_found_for_several_pod_sets_fits_together(cpus, requests, rules):
    capacity = yard(cpus)
    named = [
        replace(request, pod_set=replace(request.pod_set, name=f"set-{index}"))
        for index, request in enumerate(requests)
    ]
    before = capacity.left()
    found = place(capacity, named, rules=rules)
    assert np.array_equal(capacity.left(), before)
    if not isinstance(found, Refusal):
        usages = [
            usage_of("gpus", request.per_pod, places)
            for request, places in zip(named, found, strict=True)
        ]
        assert capacity.fits(usages)


changes = st.lists(
    st.tuples(st.booleans(), st.integers(0, HOSTS_MAX), st.integers(1, 4)), max_size=10
)


@given(hosts(), st.lists(sliced(), min_size=1, max_size=3), rules, changes)
def test_kept_answers_are_those_of_a_new_capacity(cpus, requests, rules, steps):
    """What is remembered of leaves and of an empty topology is what would be counted anew."""
    capacity, promised = yard(cpus), []
    for is_back, leaf, count in steps:
        if is_back and promised:
            capacity.release(promised.pop(leaf % len(promised)))
        else:
            places = truncated_to(capacity, leaf, count)
            promised.append(usage_of("gpus", ask(count, "unconstrained").per_pod, places))
            capacity.use(promised[-1])
        anew = yard(cpus)
        for usage in promised:
            anew.use(usage)
        for request in requests:
            for empty in (False, True):
                found = place(capacity, [request], rules=rules, empty=empty)
                assert found == place(anew, [request], rules=rules, empty=empty)
                assert isinstance(found, Refusal) or empty or may_hold(capacity, [request], rules)


@given(hosts(), st.lists(st.tuples(st.integers(0, HOSTS_MAX), st.integers(0, 4)), max_size=8))
def test_use_and_release_are_inverses_in_any_order(cpus, taken):
    capacity = yard(cpus)
    before = capacity.left()
    usages = [
        usage_of("gpus", ask(count, "unconstrained").per_pod, places)
        for leaf, count in taken
        for places in [truncated_to(capacity, leaf, count)]
    ]
    for usage in usages:
        capacity.use(usage)
    for usage in reversed(usages[::2]):
        capacity.release(usage)
    for usage in usages[1::2]:
        capacity.release(usage)
    assert np.array_equal(capacity.left(), before)
    assert not capacity.used.any()


def truncated_to(capacity, leaf, count):
    """Return `count` pods on a leaf, or on one that is gone."""
    places = place(yard({f"b/r/n{leaf}": count}), [ask(count, "unconstrained")])[0]
    return truncated(places, count)


# --- Groups and changes -------------------------------------------------------------------------

GROUP_WISHES = ["required rack", "preferred rack", f"preferred {HOSTNAME}", "required block"]


@given(hosts(), st.sampled_from(GROUP_WISHES), st.integers(1, 8), st.integers(1, 3), rules)
def test_a_leader_and_its_workers_fit_together(cpus, wish, workers, leader_cpus, rules):
    capacity = yard(cpus)
    requests = [
        ask(workers, wish, group="g", name="workers"),
        ask(1, wish, group="g", name="leader", cpus=leader_cpus),
    ]
    found = place(capacity, requests, rules=rules)
    if isinstance(found, Refusal):
        return
    assert [pod_count(places) for places in found] == [workers, 1]
    usages = [
        usage_of("gpus", request.per_pod, places)
        for request, places in zip(requests, found, strict=True)
    ]
    assert capacity.fits(usages)
    mode, _, level = wish.partition(" ")
    if mode == "required":
        domains = [around(capacity, places, level).keys() for places in found]
        assert domains[0] == domains[1]


@given(hosts(), wishes, st.integers(1, 8), st.integers(1, 10))
def test_pods_that_stay_keep_their_places(cpus, wish, before, after):
    elastic = TopologyRules(keeps_running_pods=True)
    capacity = yard(cpus)
    first = place(capacity, [ask(before, wish)])
    if isinstance(first, Refusal):
        return
    then = place(capacity, [ask(after, wish, previous=first[0])], rules=elastic)
    if isinstance(then, Refusal):
        assert after > before
        return
    old, new = Counter(shown(first[0])), Counter(shown(then[0]))
    assert pod_count(then[0]) == after
    assert old <= new or new <= old
    assert capacity.fits([usage_of("gpus", ask(1).per_pod, then[0])])


@given(hosts(), sliced())
def test_a_failed_host_is_replaced_without_moving_anyone_else(cpus, request):
    capacity = yard(cpus)
    first = place(capacity, [request])
    if isinstance(first, Refusal) or not first[0].domains:
        return
    failed = first[0].domains[0].values[-1]
    rest = {path: room for path, room in cpus.items() if not path.endswith(f"/{failed}")}
    smaller = yard(rest)
    smaller.use(usage_of("gpus", request.per_pod, first[0]))
    running = replace(request, previous=first[0])
    then = place_again(smaller, [running], failed_host=failed)
    if isinstance(then, Refusal):
        return
    old, new = Counter(shown(first[0])), Counter(shown(then[0]))
    del old[failed]
    assert old <= new
    assert pod_count(then[0]) == request.count
    smaller.release(usage_of("gpus", request.per_pod, first[0]))
    assert smaller.fits([usage_of("gpus", request.per_pod, then[0])])
    if request.topology.mode == "required" and old:
        assert len(around(smaller, then[0], request.topology.level)) == 1
    for layer in request.topology.slices:
        pods = around(smaller, then[0], layer.level)
        assert all(count % layer.size == 0 for count in pods.values())


# --- Parts --------------------------------------------------------------------------------------

amounts = st.integers(-5, 40)


@given(
    st.lists(st.lists(amounts, min_size=2, max_size=2), min_size=1),
    st.tuples(*[st.integers(0, 4)] * 2),
)
def test_how_many_is_the_largest_number_that_fits(free, request):
    if not any(request):
        return
    counts, limiting = how_many(np.array(free), np.array(request))
    for row, count, column in zip(free, counts.tolist(), limiting.tolist(), strict=True):
        assert all(
            count * one <= max(have, 0) for one, have in zip(request, row, strict=True) if one
        )
        assert (count + 1) * request[column] > row[column]


@given(st.lists(st.tuples(*[st.sampled_from("abc")] * 3), max_size=12))
def test_a_tree_knows_its_leaves_and_their_ancestors(paths):
    tree = grow(("l0", "l1", "l2"), paths)
    assert [tree.path(2, leaf) for leaf in range(tree.count(2))] == sorted(set(paths))
    for level in range(3):
        above = tree.ancestors(level)
        for leaf in range(tree.count(2)):
            assert tree.path(2, leaf)[: level + 1] == tree.path(level, int(above[leaf]))
    for level in range(2):
        domains = np.arange(tree.count(level))
        assert tree.children(level, domains).tolist() == list(range(tree.count(level + 1)))


@given(hosts(), st.integers(0, 8), st.integers(0, 8))
def test_merging_adds_up_and_truncating_takes_from_the_end(cpus, one, other):
    capacity = yard({path: room + ROOM_MAX for path, room in cpus.items()})
    found = place(capacity, [ask(one, name="a"), ask(other, name="b")])
    if isinstance(found, Refusal):
        return
    both = merged(capacity.tree, *found)
    assert Counter(shown(both)) == Counter(shown(found[0])) + Counter(shown(found[1]))
    assert merged(capacity.tree, found[1], found[0]) == both
    kept = truncated(both, one)
    assert pod_count(kept) == min(one, pod_count(both))
    assert kept.domains[:-1] == both.domains[: len(kept.domains)][:-1]
