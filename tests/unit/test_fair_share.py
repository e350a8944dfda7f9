"""Dominant resource shares: who is served first, and who gives back first."""

from fractions import Fraction

import pytest

from gpuyard.model.queues import (
    QUOTA_MAX,
    WEIGHT_ONE_NANO,
    ClusterQueue,
    Cohort,
    FlavorQuotas,
    FlavorResource,
    ResourceGroup,
    ResourceQuota,
)
from gpuyard.scheduling.fair_share import (
    SHARE_INFINITE,
    Share,
    compare,
    dominant_share,
    order,
    rounded,
)
from gpuyard.scheduling.quota import build, use

GPU = FlavorResource("h100", "gpu")
CPU = FlavorResource("h100", "cpu")
SPOT = FlavorResource("spot", "gpu")


def groups(quotas):
    """Return one group per resource; `quotas` are nominal amounts by flavor and resource."""
    by_resource = {}
    for key, nominal in quotas.items():
        quota = ResourceQuota(resource=key.resource, nominal=nominal)
        by_resource.setdefault(key.resource, []).append(FlavorQuotas(key.flavor, (quota,)))
    return tuple(ResourceGroup((name,), tuple(owned)) for name, owned in by_resource.items())


def queue(name, quotas, weight=1, cohort="all"):
    return ClusterQueue(
        name=name,
        cohort=cohort,
        resource_groups=groups(quotas),
        fair_weight_nano=int(weight * WEIGHT_ONE_NANO),
    )


def grow(*queues, cohorts=()):
    return build(queues, cohorts, flavors=["h100", "spot"])


def share(quotas, lent, usage, weight=1, extra=None):
    """Return the share of a queue beside one that lends `lent`."""
    tree = grow(queue("a", quotas, weight), queue("lender", lent))
    use(tree.cluster_queues["a"], usage)
    return dominant_share(tree.cluster_queues["a"], extra)


@pytest.mark.parametrize(
    ("usage", "extra", "ratio", "resource"),
    [
        pytest.param({GPU: 2}, None, 0, "", id="within its quota"),
        pytest.param({GPU: 3}, None, 100, "gpu", id="one of ten borrowed"),
        pytest.param({GPU: 2}, {GPU: 3}, 300, "gpu", id="what is asked for counts"),
        pytest.param({GPU: 4, CPU: 14}, None, 400, "cpu", id="the larger share dominates"),
        pytest.param({GPU: 4, CPU: 12}, None, 200, "cpu", id="of equal shares the first by name"),
    ],
)
def test_dominant_share(usage, extra, ratio, resource):
    found = share({GPU: 2, CPU: 10}, {GPU: 8, CPU: 0}, usage, extra=extra)
    assert (found.ratio, found.resource) == (ratio, resource)
    assert found.is_borrowing is bool(ratio)


def test_what_is_borrowed_is_added_over_flavors():
    found = share({GPU: 2, SPOT: 2}, {GPU: 6, SPOT: 10}, {GPU: 3, SPOT: 4})
    assert found.ratio == Fraction(3 * 1000, 20)
    assert found.borrowed == (GPU, SPOT)


def test_quota_of_one_flavor_does_not_pay_for_another():
    found = share({GPU: 2, SPOT: 8}, {GPU: 10}, {GPU: 4})
    assert (found.ratio, found.borrowed) == (100, (GPU,))


def test_a_queue_without_cohort_has_no_share():
    tree = grow(queue("a", {GPU: 1}, cohort=""))
    use(tree.cluster_queues["a"], {GPU: 5})
    assert dominant_share(tree.cluster_queues["a"]) == Share()


def test_borrowing_what_nobody_can_lend_counts_as_borrowing_with_no_share():
    found = share({GPU: 0}, {GPU: 0}, {GPU: 2}, weight=0)
    assert (found.ratio, found.resource, found.is_borrowing) == (0, "", True)
    assert not found.is_infinite
    assert rounded(found) == 0


def test_borrowing_on():
    found = share({GPU: 2, CPU: 2}, {GPU: 8, CPU: 8}, {GPU: 3, CPU: 1})
    assert found.is_borrowing_on({GPU: 1})
    assert not found.is_borrowing_on({CPU: 1})
    assert not found.is_borrowing_on({GPU: 0})
    assert not found.is_borrowing_on({})


def test_cohorts_have_shares_too():
    tree = grow(
        queue("a", {GPU: 4}, cohort="team"),
        queue("b", {GPU: 16}, cohort="root"),
        cohorts=[
            Cohort(name="team", parent="root", fair_weight_nano=2 * WEIGHT_ONE_NANO),
            Cohort(name="root"),
        ],
    )
    use(tree.cluster_queues["a"], {GPU: 6})
    team = dominant_share(tree.cohorts["team"])
    assert (team.ratio, order(team)) == (100, (False, 50))
    assert dominant_share(tree.cohorts["root"]).ratio == 0
    assert dominant_share(tree.cluster_queues["b"]).ratio == 0


def test_a_cohort_without_bound_lends_next_to_nothing_of_itself():
    found = share({GPU: 0}, {GPU: QUOTA_MAX}, {GPU: 1000})
    assert found.ratio == Fraction(10**6, QUOTA_MAX)
    assert rounded(found) == 1


@pytest.mark.parametrize(
    ("ratio", "weight_nano", "expected"),
    [
        pytest.param(0, WEIGHT_ONE_NANO, 0, id="nothing"),
        pytest.param(100, WEIGHT_ONE_NANO, 100, id="weight one"),
        pytest.param(100, 2 * WEIGHT_ONE_NANO, 50, id="twice the weight, half the share"),
        pytest.param(100, 3 * WEIGHT_ONE_NANO, 34, id="rounded up"),
        pytest.param(100, WEIGHT_ONE_NANO // 2, 200, id="weight below one"),
        pytest.param(Fraction(1, 10**9), WEIGHT_ONE_NANO, 1, id="hardly anything is not nothing"),
        pytest.param(1, 0, SHARE_INFINITE, id="weight zero"),
        pytest.param(0, 0, 0, id="weight zero without borrowing"),
    ],
)
def test_rounded(ratio, weight_nano, expected):
    assert rounded(Share(ratio=Fraction(ratio), weight_nano=weight_nano)) == expected


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        pytest.param((100, 1), (200, 1), -1, id="smaller share first"),
        pytest.param((100, 1), (200, 2), 0, id="weights count"),
        pytest.param((100, 1), (200, 3), 1, id="weights turn it around"),
        pytest.param((1, 0), (999, 1), 1, id="weight zero comes last"),
        pytest.param((999, 1), (1, 0), -1, id="whichever side"),
        pytest.param((1, 0), (2, 0), -1, id="both weight zero: without weights"),
        pytest.param((0, 0), (0, 1), 0, id="weight zero that does not borrow is like others"),
        pytest.param((0, 0), (1, 1), -1, id="and comes before who borrows"),
    ],
)
def test_compare(left, right, expected):
    mine, other = (
        Share(ratio=Fraction(ratio), weight_nano=weight * WEIGHT_ONE_NANO)
        for ratio, weight in (left, right)
    )
    assert compare(mine, other) == expected
    assert compare(other, mine) == -expected


def test_equal_shares_are_equal_where_floats_differ():
    third, also_third = Fraction(1000, 3 * 10**17), Fraction(7000, 21 * 10**17)
    shares = [
        Share(ratio=ratio, weight_nano=weight)
        for ratio, weight in ((third * 7, 700_000_000), (also_third, 100_000_000))
    ]
    assert compare(*shares) == 0
    assert compare(Share(ratio=Fraction(10**18, 3)), Share(ratio=Fraction(10**18 + 1, 3))) == -1
    assert float(Fraction(10**18, 3)) == float(Fraction(10**18 + 1, 3))
