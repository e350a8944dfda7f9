"""When a search may go on, and how many pods to admit where not all fit."""

import pytest

from gpuyard.scheduling.flavors import partial_admission
from gpuyard.scheduling.flavors.assignment import START_OVER
from gpuyard.scheduling.flavors.rules import FlavorRules
from gpuyard.scheduling.flavors.scan import ScanStamp, has_more, is_outdated
from tests.small_queues import GPU, pods


@pytest.mark.parametrize(
    ("then", "now", "preserve", "expected"),
    [
        pytest.param((1, 0), (5, 0), False, False, id="nothing was freed"),
        pytest.param((4, 0), (5, 1), False, True, id="something was freed"),
        pytest.param((4, 0), (5, 1), True, False, id="freed, but it was the cycle before"),
        pytest.param((5, 0), (5, 1), True, False, id="freed, but it is the same cycle"),
        pytest.param((3, 0), (5, 1), True, True, id="freed, two cycles ago"),
        pytest.param((3, 0), (5, 0), True, False, id="old, but nothing was freed"),
        pytest.param((4, 0, "a"), (5, 0, "b"), True, True, id="it asks for something else"),
        pytest.param((4, 0, "a"), (5, 0, "b"), False, False, id="nobody looks what it asks for"),
        pytest.param((4, 0, None), (5, 0, "b"), True, False, id="nobody knew what it asked for"),
        pytest.param((4, 0, "a"), (5, 0, None), True, False, id="nobody knows what it asks for"),
    ],
)
def test_outdated(then, now, preserve, expected):
    stamps = [
        ScanStamp(cycle=cycle, generation=generation, shape=shape[0] if shape else None)
        for cycle, generation, *shape in (then, now)
    ]
    rules = FlavorRules(preserve_scan_progress=preserve)
    assert is_outdated(*stamps, rules) is expected


@pytest.mark.parametrize(
    ("tried", "expected"),
    [
        pytest.param({}, False, id="nothing was tried"),
        pytest.param({"a": {GPU: START_OVER}}, False, id="all flavors were"),
        pytest.param({"a": {GPU: START_OVER}, "b": {GPU: 0}}, True, id="one pod set has more"),
    ],
)
def test_flavors_left(tried, expected):
    assert has_more(tried) is expected


@pytest.mark.parametrize(
    ("pod_sets", "limit", "expected"),
    [
        pytest.param([(10, 2)], 10, (10,), id="all of them"),
        pytest.param([(10, 2)], 7, (7,), id="as many as fit"),
        pytest.param([(10, 2)], 1, None, id="not even the least"),
        pytest.param([(10, None)], 7, None, id="all or none"),
        pytest.param([(10, 10)], 7, None, id="all are needed"),
        pytest.param([(10, 2), (5, None)], 10, (5, 5), id="only one can do with fewer"),
        pytest.param([(10, 2), (6, 2)], 10, (6, 4), id="in proportion to what they can spare"),
        pytest.param([(3, 1), (30, 10)], 22, (2, 20), id="small parts are rounded down"),
        pytest.param([], 7, None, id="no pod sets"),
    ],
)
def test_fewer_pods(pod_sets, limit, expected):
    asked = [
        pods(count, name=str(index), min_count=least)
        for index, (count, least) in enumerate(pod_sets)
    ]
    answer = partial_admission.search(
        asked, lambda counts: counts if sum(counts) <= limit else None
    )
    assert answer == expected


def test_few_questions_are_asked():
    asked = []

    def fits(counts):
        asked.append(counts)
        return counts if counts[0] <= 300 else None

    assert partial_admission.search([pods(1000, min_count=1)], fits) == (300,)
    assert len(asked) <= 11


@pytest.mark.parametrize(
    ("least", "expected"),
    [
        pytest.param(None, False, id="all or none"),
        pytest.param(4, False, id="all are needed"),
        pytest.param(1, True, id="fewer will do"),
    ],
)
def test_who_can_shrink(least, expected):
    assert partial_admission.can_shrink([pods(2), pods(4, min_count=least)]) is expected
