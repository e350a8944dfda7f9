"""Quota in any tree, after any history: sums hold, promises hold, and what was taken comes back."""

from fractions import Fraction

import hypothesis.strategies as st
from hypothesis import assume, given

from gpuyard.model.queues import (
    QUOTA_MAX,
    QUOTA_MIN,
    ClusterQueue,
    Cohort,
    FlavorQuotas,
    FlavorResource,
    ResourceGroup,
    ResourceQuota,
)
from gpuyard.scheduling.fair_share import Share, compare, dominant_share, order
from gpuyard.scheduling.quota import (
    available,
    borrowing_height,
    build,
    fits,
    potential_available,
    release,
    saturating_add,
    saturating_subtract,
    use,
)

FLAVORS = ("one", "two")
KEYS = tuple(FlavorResource(flavor, "gpu") for flavor in FLAVORS)
COHORTS_MAX = 5

# Small amounts meet each other's limits; the largest meet the end of the integers.
ordinary = st.integers(0, 12)
extreme = ordinary | st.sampled_from((QUOTA_MAX - 1, QUOTA_MAX, QUOTA_MAX // 2))


def groups(amounts):
    limits = st.none() | amounts
    quotas = st.builds(
        ResourceQuota,
        resource=st.just("gpu"),
        nominal=amounts,
        borrowing_limit=limits,
        lending_limit=limits,
    )
    chosen = st.lists(st.sampled_from(FLAVORS), unique=True, max_size=len(FLAVORS))

    def group(pair):
        names, owned = pair
        flavors = tuple(FlavorQuotas(name, (owned[name],)) for name in names)
        return (ResourceGroup(("gpu",), flavors),)

    return st.tuples(chosen, st.fixed_dictionaries(dict.fromkeys(FLAVORS, quotas))).map(group)


@st.composite
def members(draw, amounts=ordinary):
    """Return ClusterQueues and Cohorts; a cohort's parent is a later one, or one only named."""
    count = draw(st.integers(0, COHORTS_MAX))
    cohorts = [
        Cohort(
            name=f"c{index}",
            parent=draw(st.sampled_from(["", *(f"c{up}" for up in range(index + 1, count + 1))])),
            resource_groups=draw(groups(amounts)),
        )
        for index in range(count)
    ]
    queues = [
        ClusterQueue(
            name=f"q{index}",
            cohort=draw(st.sampled_from(["", *(f"c{up}" for up in range(count + 1))])),
            resource_groups=draw(groups(amounts)),
        )
        for index in range(draw(st.integers(1, 5)))
    ]
    return queues, cohorts


steps = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(KEYS), ordinary), max_size=12)
extreme_steps = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(KEYS), extreme), max_size=12)


def grow(drawn):
    queues, cohorts = drawn
    return build(queues, cohorts, flavors=FLAVORS)


def nodes(tree):
    return [*tree.cluster_queues.values(), *tree.cohorts.values()]


def usage(tree):
    return {repr(node): dict(node.usage) for node in nodes(tree)}


def pick(tree, index):
    return tree.cluster_queues[f"q{index % len(tree.cluster_queues)}"]


def validate(tree):
    """Check every sum by its definition; holds where nothing is without bound."""
    for node in nodes(tree):
        for key in KEYS:
            owned = node.quotas[key].nominal if key in node.quotas else 0
            lent = sum(c.subtree.get(key, 0) - c.local.get(key, 0) for c in node.children)
            assert node.subtree.get(key, 0) == owned + lent
            limit = node.quotas[key].lending_limit if key in node.quotas else None
            kept = 0 if limit is None else max(0, node.subtree[key] - limit)
            assert node.local.get(key, 0) == kept
            if node.children:
                stored = (c.usage.get(key, 0) - c.local.get(key, 0) for c in node.children)
                assert node.usage.get(key, 0) == sum(max(0, used) for used in stored)
        assert all(node.usage.values())


def recursive_available(node, key):
    """Kueue's definition, read from the leaf upwards."""
    local, used = node.local.get(key, 0), node.usage.get(key, 0)
    if node.parent is None:
        return saturating_subtract(node.subtree.get(key, 0), used)
    free = recursive_available(node.parent, key)
    limit = node.quotas[key].borrowing_limit if key in node.quotas else None
    if limit is not None:
        stored = saturating_subtract(node.subtree.get(key, 0), local)
        in_parent = max(0, saturating_subtract(used, local))
        free = min(saturating_add(saturating_subtract(stored, in_parent), limit), free)
    return saturating_add(max(0, saturating_subtract(local, used)), free)


@given(members(), steps)
def test_sums_hold_after_every_step(drawn, history):
    tree = grow(drawn)
    validate(tree)
    held = []
    for index, key, amount in history:
        if amount % 3 == 0 and held:
            release(*held.pop(index % len(held)))
        else:
            held.append((pick(tree, index), {key: amount}))
            use(*held[-1])
        validate(tree)


@given(members(extreme), extreme_steps, st.randoms(use_true_random=False))
def test_releasing_everything_in_any_order_restores_the_first_state(drawn, history, order_of):
    tree = grow(drawn)
    first = usage(tree)
    before = {repr(node): [available(node, key) for key in KEYS] for node in nodes(tree)}
    held = [(pick(tree, index), {key: amount}) for index, key, amount in history]
    for node, amounts in held:
        use(node, amounts)
    order_of.shuffle(held)
    for node, amounts in held:
        release(node, amounts)
    assert usage(tree) == first
    assert {repr(node): [available(node, key) for key in KEYS] for node in nodes(tree)} == before


@given(members(), steps)
def test_who_asks_first_never_exceeds_what_was_promised(drawn, history):
    tree = grow(drawn)
    for index, key, amount in history:
        node = pick(tree, index)
        if fits(node, {key: amount}):
            promised = available(node, key)
            use(node, {key: amount})
            assert available(node, key) == promised - amount
    for node in nodes(tree):
        for key in KEYS:
            assert available(node, key) >= 0
            assert node.usage.get(key, 0) <= potential_available(node, key)
            limit = node.quotas[key].borrowing_limit if key in node.quotas else None
            if limit is not None and node.parent is not None:
                assert node.usage.get(key, 0) <= node.subtree.get(key, 0) + limit
    for node in nodes(tree):
        if node.parent is None:
            assert all(node.usage.get(key, 0) <= node.subtree.get(key, 0) for key in KEYS)


@given(members(extreme))
def test_without_usage_everything_possible_is_available(drawn):
    tree = grow(drawn)
    for node in nodes(tree):
        for key in KEYS:
            assert potential_available(node, key) == available(node, key)


@given(members(), steps)
def test_usage_never_adds_to_what_is_available(drawn, history):
    tree = grow(drawn)
    for index, key, amount in history:
        use(pick(tree, index), {key: amount})
    for node in nodes(tree):
        for key in KEYS:
            assert available(node, key) <= potential_available(node, key)


@given(members(extreme), extreme_steps)
def test_available_is_as_kueue_defines_it_and_never_wraps(drawn, history):
    tree = grow(drawn)
    for index, key, amount in history:
        use(pick(tree, index), {key: amount})
    for node in nodes(tree):
        for key in KEYS:
            assert available(node, key) == recursive_available(node, key)
            for amount in (
                available(node, key),
                potential_available(node, key),
                node.subtree.get(key, 0),
                node.local.get(key, 0),
            ):
                assert QUOTA_MIN <= amount <= QUOTA_MAX
            assert node.subtree.get(key, 0) >= 0
            assert node.local.get(key, 0) >= 0
            assert potential_available(node, key) >= 0


@given(members(), steps, st.randoms(use_true_random=False))
def test_the_order_of_siblings_does_not_matter(drawn, history, order_of):
    queues, cohorts = list(drawn[0]), list(drawn[1])
    tree = grow(drawn)
    order_of.shuffle(queues)
    order_of.shuffle(cohorts)
    other = grow((queues, cohorts))
    for index, key, amount in history:
        use(pick(tree, index), {key: amount})
        use(pick(other, index), {key: amount})
    assert [list(map(repr, node.children)) for node in in_order(tree)] == [
        list(map(repr, node.children)) for node in in_order(other)
    ]
    for mine, its in zip(in_order(tree), in_order(other), strict=True):
        assert (mine.subtree, mine.local, mine.usage) == (its.subtree, its.local, its.usage)
        assert (mine.potential, mine.lendable) == (its.potential, its.lendable)
        assert dominant_share(mine) == dominant_share(its)


def in_order(tree):
    return sorted(nodes(tree), key=repr)


@given(members(), steps, st.sampled_from(KEYS), st.integers(1, 20))
def test_a_request_within_quota_borrows_at_no_height(drawn, history, key, amount):
    tree = grow(drawn)
    for index, used, taken in history:
        use(pick(tree, index), {used: taken})
    for node in tree.cluster_queues.values():
        height = borrowing_height(node, key, amount)
        within = node.usage.get(key, 0) + amount <= node.subtree.get(key, 0)
        assert (height.levels == 0) == (within or node.parent is None)
        assert height.levels <= max(up.height for up in node.to_root())


shares = st.builds(
    Share,
    ratio=st.fractions(0, 10, max_denominator=7),
    weight_nano=st.sampled_from((0, 2, 10**9, 3 * 10**9)),
)


@given(st.lists(shares, min_size=3, max_size=3))
def test_shares_are_totally_ordered(three):
    left, middle, right = sorted(three, key=order)
    assert compare(left, middle) <= 0
    assert compare(middle, right) <= 0
    assert compare(left, right) <= 0
    assert compare(left, right) == -compare(right, left)


@given(members(), steps, st.integers(0, 4), st.sampled_from(KEYS))
def test_a_larger_request_never_has_a_smaller_share(drawn, history, index, key):
    tree = grow(drawn)
    for other, used, taken in history:
        use(pick(tree, other), {used: taken})
    node = pick(tree, index)
    assume(node.parent is not None)
    ratios = [dominant_share(node, {key: amount}).ratio for amount in range(6)]
    assert ratios == sorted(ratios)
    assert dominant_share(node).is_borrowing == any(
        node.usage.get(each, 0) > owned for each, owned in node.subtree.items()
    )
    assert all(isinstance(ratio, Fraction) for ratio in ratios)
