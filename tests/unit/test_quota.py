"""The quota tree: what a queue may still use, how high it borrows, and what is refused."""

import pytest

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
from gpuyard.scheduling.quota import (
    QuotaError,
    available,
    borrowing_height,
    build,
    fits,
    is_borrowing,
    local_available,
    potential_available,
    release,
    saturating_add,
    saturating_subtract,
    use,
)

GPU = FlavorResource("h100", "nvidia.com/gpu")
CPU = FlavorResource("h100", "cpu")


def groups(nominal, borrow=None, lend=None, key=GPU):
    quota = ResourceQuota(
        resource=key.resource, nominal=nominal, borrowing_limit=borrow, lending_limit=lend
    )
    return (ResourceGroup((key.resource,), (FlavorQuotas(key.flavor, (quota,)),)),)


def queue(name, nominal=0, cohort="", borrow=None, lend=None, **more):
    return ClusterQueue(
        name=name, cohort=cohort, resource_groups=groups(nominal, borrow, lend), **more
    )


def cohort(name, nominal=None, parent="", borrow=None, lend=None, **more):
    owned = () if nominal is None else groups(nominal, borrow, lend)
    return Cohort(name=name, parent=parent, resource_groups=owned, **more)


def grow(*members):
    return build(
        [one for one in members if isinstance(one, ClusterQueue)],
        [one for one in members if isinstance(one, Cohort)],
        flavors=["h100"],
    )


# -- amounts


@pytest.mark.parametrize(
    ("left", "right", "added", "subtracted"),
    [
        pytest.param(5, 3, 8, 2, id="ordinary amounts"),
        pytest.param(QUOTA_MAX, 3, QUOTA_MAX, QUOTA_MAX, id="no bound stays no bound"),
        pytest.param(3, QUOTA_MAX, QUOTA_MAX, QUOTA_MIN, id="no bound takes all"),
        pytest.param(QUOTA_MAX, QUOTA_MAX, QUOTA_MAX, 0, id="of two without bound nothing is left"),
        pytest.param(QUOTA_MAX, QUOTA_MIN, QUOTA_MAX, QUOTA_MAX, id="nothing outweighs no bound"),
        pytest.param(QUOTA_MAX - 1, 1, QUOTA_MAX, QUOTA_MAX - 2, id="a sum at the bound has none"),
        pytest.param(QUOTA_MIN, -1, QUOTA_MIN, QUOTA_MIN + 1, id="below, it stops"),
    ],
)
def test_arithmetic_saturates(left, right, added, subtracted):
    assert saturating_add(left, right) == added
    assert saturating_subtract(left, right) == subtracted


# -- one queue and its sibling


@pytest.mark.parametrize(
    ("mine", "other", "used", "other_used", "expected"),
    [
        pytest.param(queue("a", 10), queue("b", 10), 4, 0, 6, id="no cohort: only its own"),
        pytest.param(
            queue("a", 10, "c"), queue("b", 10, "c"), 4, 3, 13, id="what siblings leave is added"
        ),
        pytest.param(
            queue("a", 10, "c", borrow=2), queue("b", 10, "c"), 4, 0, 8, id="borrowing limit"
        ),
        pytest.param(
            queue("a", 10, "c", borrow=2), queue("b", 10, "c"), 0, 15, 5, id="siblings took mine"
        ),
        pytest.param(
            queue("a", 10, "c"), queue("b", 10, "c", lend=3), 4, 0, 9, id="lending limit of another"
        ),
        pytest.param(
            queue("a", 10, "c", lend=3),
            queue("b", 10, "c"),
            4,
            13,
            3,
            id="what I keep back is mine",
        ),
        pytest.param(
            queue("a", 10, "c", lend=3), queue("b", 10, "c"), 8, 13, -1, id="the rest may be gone"
        ),
        pytest.param(
            queue("a", 10, "c", lend=0), queue("b", 10, "c"), 4, 0, 16, id="lends none, borrows all"
        ),
        pytest.param(
            queue("a", 10, "c", borrow=0), queue("b", 10, "c"), 12, 0, -2, id="over-admitted"
        ),
        pytest.param(
            queue("a", QUOTA_MAX, "c"), queue("b", 10, "c"), 4, 9, QUOTA_MAX, id="no bound"
        ),
        pytest.param(
            queue("a", 1, "c", borrow=QUOTA_MAX), queue("b", 10, "c"), 0, 0, 11, id="huge limit"
        ),
    ],
)
def test_available(mine, other, used, other_used, expected):
    tree = grow(mine, other)
    use(tree.cluster_queues["a"], {GPU: used})
    use(tree.cluster_queues["b"], {GPU: other_used})
    assert available(tree.cluster_queues["a"], GPU) == expected


@pytest.mark.parametrize(
    ("mine", "other", "expected"),
    [
        pytest.param(queue("a", 10), queue("b", 10), 10, id="no cohort"),
        pytest.param(queue("a", 10, "c"), queue("b", 10, "c"), 20, id="a cohort"),
        pytest.param(queue("a", 10, "c", borrow=2), queue("b", 10, "c"), 12, id="borrowing limit"),
        pytest.param(queue("a", 10, "c", lend=2), queue("b", 10, "c", lend=3), 13, id="lending"),
        pytest.param(
            queue("a", 10, "c", lend=20), queue("b", 10, "c"), 20, id="lends more than all"
        ),
        pytest.param(
            queue("a", QUOTA_MAX, "c"), queue("b", QUOTA_MAX, "c"), QUOTA_MAX, id="no bound twice"
        ),
    ],
)
def test_potential_ignores_usage(mine, other, expected):
    tree = grow(mine, other)
    node = tree.cluster_queues["a"]
    assert potential_available(node, GPU) == expected == available(node, GPU)
    use(node, {GPU: 5})
    assert potential_available(node, GPU) == expected
    assert potential_available(node, CPU) == 0


def test_a_request_fits_with_all_its_resources():
    tree = grow(queue("a", 4))
    node = tree.cluster_queues["a"]
    assert fits(node, {GPU: 4})
    assert not fits(node, {GPU: 5})
    assert not fits(node, {GPU: 4, CPU: 1})
    use(node, {GPU: 6})
    assert fits(node, {GPU: 0})
    assert not fits(node, {GPU: 1})


# -- deeper trees


@pytest.fixture
def tree():
    """A root with 10 of its own; left lends 6 of 20 and borrows at most 4; right has one queue.

    left: left-1 (8), left-2 (12, lends 5).
    """
    return grow(
        cohort("root", 10),
        cohort("left", 0, "root", borrow=4, lend=6),
        cohort("right", parent="root"),
        queue("left-1", 8, "left"),
        queue("left-2", 12, "left", lend=5),
        queue("right-1", 3, "right"),
    )


def test_quota_sums_up_the_tree(tree):
    left = tree.cohorts["left"]
    assert tree.cluster_queues["left-2"].local[GPU] == 7
    assert (left.subtree[GPU], left.local[GPU]) == (8 + 5, 13 - 6)
    assert tree.cohorts["right"].subtree[GPU] == 3
    assert tree.cohorts["root"].subtree[GPU] == 10 + 6 + 3
    assert tree.cohorts["root"].lendable == {"nvidia.com/gpu": 19}


def test_potential_follows_the_limits_upwards(tree):
    assert potential_available(tree.cohorts["left"], GPU) == 13 + 4
    assert potential_available(tree.cluster_queues["left-1"], GPU) == 17
    assert potential_available(tree.cluster_queues["left-2"], GPU) == 7 + 17
    assert potential_available(tree.cluster_queues["right-1"], GPU) == 19


def test_usage_bubbles_up_only_beyond_local_quota(tree):
    left, root = tree.cohorts["left"], tree.cohorts["root"]
    use(tree.cluster_queues["left-2"], {GPU: 7})
    assert (left.usage, root.usage) == ({}, {})
    use(tree.cluster_queues["left-2"], {GPU: 6})
    assert (left.usage, root.usage) == ({GPU: 6}, {})
    use(tree.cluster_queues["left-1"], {GPU: 4})
    assert (left.usage, root.usage) == ({GPU: 10}, {GPU: 3})
    assert available(tree.cluster_queues["left-1"], GPU) == 17 - 10
    assert available(tree.cluster_queues["right-1"], GPU) == 19 - 3
    release(tree.cluster_queues["left-2"], {GPU: 10})
    assert (left.usage, root.usage) == ({GPU: 4}, {})
    assert local_available(tree.cluster_queues["left-2"], GPU) == 4


@pytest.mark.parametrize(
    ("name", "amount", "expected"),
    [
        pytest.param("left-1", 8, (0, True), id="its own quota"),
        pytest.param("left-1", 9, (1, True), id="its cohort's"),
        pytest.param("left-1", 14, (2, False), id="the whole tree's"),
        pytest.param("left-1", 99, (2, False), id="nobody's: as high as there is"),
        pytest.param("left-2", 14, (1, True), id="what it keeps back is not asked of its cohort"),
        pytest.param("right-1", 4, (2, False), id="its cohort has no more than it"),
    ],
)
def test_borrowing_height(tree, name, amount, expected):
    assert borrowing_height(tree.cluster_queues[name], GPU, amount) == expected


def test_borrowing_height_counts_what_is_used(tree):
    use(tree.cluster_queues["left-2"], {GPU: 12})
    assert borrowing_height(tree.cluster_queues["left-1"], GPU, 8) == (0, True)
    assert borrowing_height(tree.cluster_queues["left-1"], GPU, 9) == (2, False)
    assert not is_borrowing(tree.cluster_queues["left-2"], GPU)
    assert is_borrowing(tree.cluster_queues["left-2"], GPU, 1)


def test_what_a_cohort_keeps_back_is_not_asked_of_its_parent():
    grown = grow(
        cohort("top", 100),
        cohort("middle", parent="top"),
        cohort("low", 0, "middle", lend=4),
        queue("a", 10, "low"),
        queue("b", 6, "middle"),
    )
    assert borrowing_height(grown.cluster_queues["a"], GPU, 16) == (2, True)
    assert borrowing_height(grown.cluster_queues["a"], GPU, 17) == (3, False)


def test_a_queue_without_cohort_borrows_from_nobody():
    assert borrowing_height(grow(queue("a", 1)).cluster_queues["a"], GPU, 9) == (0, False)


def test_a_tree_may_be_deeper_than_the_stack():
    depth = 5000
    chain = [cohort(f"c{level}", 1, f"c{level + 1}") for level in range(depth)]
    grown = grow(*chain, queue("a", 1, "c0"))
    node = grown.cluster_queues["a"]
    assert available(node, GPU) == potential_available(node, GPU) == depth + 1
    use(node, {GPU: 3})
    assert grown.cohorts[f"c{depth}"].usage == {GPU: 3}
    assert borrowing_height(node, GPU, depth - 2) == (depth, True)


def test_a_cohort_that_is_only_named_is_a_root_without_quota():
    grown = grow(queue("a", 2, "shared"), queue("b", 3, "shared"))
    assert grown.cohorts["shared"].parent is None
    assert grown.cohorts["shared"].subtree == {GPU: 5}


def test_children_stand_by_name_and_cohorts_first():
    grown = grow(queue("b", 2, "c"), queue("a", 3, "c"), cohort("z", parent="c"))
    assert [repr(node) for node in grown.cohorts["c"].children] == [
        "Cohort z",
        "ClusterQueue a",
        "ClusterQueue b",
    ]


def test_what_is_lent_adds_up_to_no_bound():
    grown = grow(queue("a", QUOTA_MAX - 1, "c"), queue("b", 2, "c"))
    assert grown.cohorts["c"].subtree == {GPU: QUOTA_MAX}


# -- the door


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        pytest.param(
            [queue("a"), queue("a")],
            "ClusterQueue a exists twice; give each a name of its own",
            id="two queues of one name",
        ),
        pytest.param(
            [cohort("c"), cohort("c")],
            "Cohort c exists twice; give each a name of its own",
            id="two cohorts of one name",
        ),
        pytest.param(
            [cohort("c", parent="c")],
            "these Cohorts are their own ancestors: c → c; take the parent from one of them",
            id="its own parent",
        ),
        pytest.param(
            [cohort("b", parent="x"), cohort("x", parent="y"), cohort("y", parent="x")],
            "these Cohorts are their own ancestors: x → y → x; take the parent from one of them",
            id="a cycle, and a cohort below it",
        ),
        pytest.param(
            [queue("a", cohort="b"), cohort("b", parent="b"), queue("z", 1)],
            "these Cohorts are their own ancestors: b → b; take the parent from one of them",
            id="a cycle beside a sound tree",
        ),
        pytest.param(
            [queue("a", -1)],
            "ClusterQueue a: nvidia.com/gpu in flavor h100: the nominal quota is -1; "
            "it cannot be negative",
            id="negative quota",
        ),
        pytest.param(
            [cohort("c", 1, borrow=-2)],
            "Cohort c: nvidia.com/gpu in flavor h100: the borrowing limit is -2; "
            "it cannot be negative",
            id="negative borrowing limit",
        ),
        pytest.param(
            [queue("a", 1, lend=-2)],
            "ClusterQueue a: nvidia.com/gpu in flavor h100: the lending limit is -2; "
            "it cannot be negative",
            id="negative lending limit",
        ),
        pytest.param(
            [ClusterQueue(name="a", resource_groups=groups(1, key=FlavorResource("h200", "cpu")))],
            "ClusterQueue a: there is no ResourceFlavor h200",
            id="unknown flavor",
        ),
        pytest.param(
            [ClusterQueue(name="a", resource_groups=groups(1) + groups(1))],
            "ClusterQueue a: nvidia.com/gpu in flavor h100 has two quotas; give one",
            id="two quotas for one thing",
        ),
        pytest.param(
            [
                ClusterQueue(
                    name="a", resource_groups=(ResourceGroup(("cpu",), groups(1)[0].flavors),)
                )
            ],
            "ClusterQueue a: nvidia.com/gpu in flavor h100 is not among the resources that its "
            "group covers",
            id="a quota that its group does not cover",
        ),
        pytest.param(
            [queue("a", fair_weight_nano=-5)],
            "ClusterQueue a: its fair weight is negative; give 0 or more than 1n",
            id="negative weight",
        ),
        pytest.param(
            [cohort("c", fair_weight_nano=1)],
            "Cohort c: its fair weight is too small; give 0 or more than 1n",
            id="a weight that would collapse",
        ),
    ],
)
def test_contradictions_are_refused_at_the_door(members, sentence):
    with pytest.raises(QuotaError) as refused:
        grow(*members)
    assert str(refused.value) == sentence


def test_a_long_cycle_is_told_in_part():
    ring = [cohort(f"c{index}", parent=f"c{(index + 1) % 50}") for index in range(50)]
    with pytest.raises(QuotaError, match="c0 → c1 → c2 → c3 → c4 → c5 → c6 → c7 → …; "):
        grow(*ring)


def test_a_queue_and_a_cohort_may_share_a_name():
    grown = grow(queue("a", 1, "a"), cohort("a"))
    assert grown.cluster_queues["a"].parent is grown.cohorts["a"]


@pytest.mark.parametrize(
    ("change", "usage", "sentence"),
    [
        pytest.param(use, {GPU: -1}, "-1 of nvidia.com/gpu in flavor h100 is no usage", id="use"),
        pytest.param(release, {GPU: -1}, "is no usage; it cannot be negative", id="release"),
        pytest.param(release, {GPU: 1, CPU: 1}, "only 0 are used", id="more than is used"),
    ],
)
def test_usage_that_contradicts_itself_changes_nothing(change, usage, sentence):
    grown = grow(queue("a", 4, "c"))
    node = grown.cluster_queues["a"]
    use(node, {GPU: 2})
    with pytest.raises(QuotaError, match=sentence):
        change(node, usage)
    assert (node.usage, grown.cohorts["c"].usage) == ({GPU: 2}, {GPU: 2})
