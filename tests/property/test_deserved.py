"""What holds for every level and every tree of queues that deserve something."""

from fractions import Fraction

from hypothesis import given, strategies as st

from gpuyard.scheduling.deserved import limits, order
from gpuyard.scheduling.deserved.division import Claim, divide, divide_tree
from gpuyard.scheduling.deserved.shares import UNLIMITED, DeservedQueue, Quota, build

AMOUNTS = st.integers(0, 12)
BOUNDS = st.one_of(AMOUNTS, st.just(UNLIMITED))


@st.composite
def levels(draw):
    count = draw(st.integers(1, 5))
    return [
        Claim(
            name=f"q{index}",
            deserved=draw(BOUNDS) if draw(st.booleans()) else 0,
            limit=draw(BOUNDS),
            requested=draw(st.integers(0, 20)),
            weight=Fraction(draw(st.integers(0, 4))),
            usage=Fraction(draw(st.integers(0, 4)), 4),
            priority=draw(st.integers(0, 1)),
            created_ns=draw(st.integers(0, 2)),
        )
        for index in range(count)
    ]


def fresh(claims, *, reverse=False):
    again = [
        Claim(
            **{name: getattr(each, name) for name in Claim.__struct_fields__ if name != "granted"}
        )
        for each in claims
    ]
    return again[::-1] if reverse else again


@given(st.integers(0, 30), levels(), st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(2)]))
def test_a_level_is_divided_soundly(total, claims, k):
    left = divide(total, claims, k=k)
    first = {
        each.name: min(
            total if each.deserved == UNLIMITED else each.deserved, each.requested, each.limit
        )
        for each in claims
    }
    given_out = sum(each.granted for each in claims)
    assert left >= 0
    assert all(each.granted >= first[each.name] for each in claims)
    assert given_out + left == max(total, sum(first.values()))
    for each in claims:  # whole amounts: nobody gets more than could be used, not even as a crumb
        assert each.granted <= max(min(each.requested, each.limit), first[each.name])
        if each.granted > first[each.name]:
            assert each.weight > 0


@given(st.integers(0, 30), levels())
def test_nothing_is_left_while_somebody_with_weight_is_hungry(total, claims):
    left = divide(total, claims)
    assert not left or not any(each.missing and each.weight for each in claims)


@given(st.integers(0, 30), levels(), st.sampled_from([Fraction(0), Fraction(1)]))
def test_the_order_of_the_queues_does_not_matter(total, claims, k):
    backwards = fresh(claims, reverse=True)
    assert divide(total, claims, k=k) == divide(total, backwards, k=k)
    assert {each.name: each.granted for each in claims} == {
        each.name: each.granted for each in backwards
    }


@given(levels(), st.integers(0, 30))
def test_higher_priority_loses_at_most_crumbs_to_lower_ones(claims, total):
    alone = [each for each in fresh(claims) if each.priority == 1]
    rest = [each for each in fresh(claims) if each.priority == 0]
    for each in rest:
        each.deserved = 0  # what is deserved goes before any priority
    both = [*fresh(alone), *rest]
    divide(total, alone)
    divide(total, both)
    for each, with_others in zip(alone, both, strict=False):
        assert each.granted - 1 <= with_others.granted <= each.granted + 1


@st.composite
def trees(draw):
    queues = []
    for index in range(draw(st.integers(1, 7))):
        parent = draw(st.sampled_from(["", *(each.name for each in queues)]))
        quotas = tuple(
            (name, Quota(deserved=draw(BOUNDS), limit=draw(BOUNDS))) for name in ("cpu", "gpu")
        )
        queues.append(
            DeservedQueue(
                name=f"q{index}",
                parent=parent,
                priority=draw(st.integers(0, 1)),
                created_ns=draw(st.integers(0, 1)),
                quotas=quotas,
            )
        )
    tree = build(queues)
    for share in tree.shares.values():
        if not share.children:
            for _ in range(draw(st.integers(0, 2))):
                asked = {"cpu": draw(AMOUNTS), "gpu": draw(AMOUNTS)}
                tree.ask(share.name, asked)
                if draw(st.booleans()):
                    tree.hold(share.name, asked, preemptible=draw(st.booleans()))
    divide_tree(tree, {"cpu": draw(AMOUNTS), "gpu": draw(AMOUNTS)}, {}, 0)
    return tree


@given(trees())
def test_a_parent_is_the_sum_of_its_children(tree):
    for share in tree.shares.values():
        if share.children:
            for field in ("allocated", "fixed", "requested"):
                for name in tree.resources:
                    parts = sum(getattr(child, field)[name] for child in share.children)
                    assert getattr(share, field)[name] == parts


@given(trees(), st.lists(AMOUNTS, min_size=2, max_size=2))
def test_the_order_is_strict_and_total(tree, jobs):
    measure = order.Measure({"cpu": 8, "gpu": 8}, {})
    shares = list(tree.shares.values())
    for left in shares:
        for right in shares:
            mine = order.Contender(left, {"gpu": jobs[0]})
            other = order.Contender(right, {"gpu": jobs[1]})
            there, back = order.compare(mine, other, measure), order.compare(other, mine, measure)
            assert there == -back
            assert (there == 0) == (left is right and jobs[0] == jobs[1]) or left is right


@given(trees(), AMOUNTS, AMOUNTS, st.booleans())
def test_what_a_limit_leaves_fits_and_one_more_does_not(tree, cpu, gpu, preemptible):
    for share in tree.shares.values():
        asked = {"cpu": cpu, "gpu": gpu}
        found = limits.over(share, asked, preemptible=preemptible)
        if found is None:
            assert all(
                step.allocated[name] + amount <= step.quotas[name].limit
                for step in share.to_root()
                for name, amount in asked.items()
                if amount
            )
        else:
            assert found.have < found.needed


@given(trees(), AMOUNTS)
def test_holding_and_letting_go_restores_the_state(tree, amount):
    before = {name: (dict(s.allocated), dict(s.fixed)) for name, s in tree.shares.items()}
    leaf = next(share.name for share in tree.shares.values() if not share.children)
    for preemptible in (True, False):
        tree.hold(leaf, {"gpu": amount}, preemptible=preemptible)
    for preemptible in (False, True):
        tree.hold(leaf, {"gpu": amount}, preemptible=preemptible, times=-1)
    assert before == {name: (dict(s.allocated), dict(s.fixed)) for name, s in tree.shares.items()}
