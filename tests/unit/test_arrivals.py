"""openb's pods in the order of one experiment: each arrival is a workload with its own key."""

import pytest

from gpuyard.traces.arrivals import in_sequence
from gpuyard.traces.openb import OpenbPod, Sequence
from tests.small_fleet import request

PODS = [
    OpenbPod(name="a", request=request(1000, 1)),
    OpenbPod(name="b", request=request(2000)),
    OpenbPod(name="c", request=request(1000, 1)),
]


@pytest.mark.parametrize(
    ("positions", "keys"),
    [
        pytest.param((), [], id="nobody"),
        pytest.param((2, 0, 1), ["c", "a", "b"], id="in the order of the sequence"),
        pytest.param((0, 0, 1, 0), ["a", "a+1", "b", "a+2"], id="clones are pods of their own"),
    ],
)
def test_keys(positions, keys):
    arrivals = in_sequence(PODS, Sequence(pods=positions, node_rank=()))
    assert [arrival.key for arrival in arrivals] == keys
    assert [arrival.created_ns for arrival in arrivals] == list(range(len(keys)))


def test_each_arrival_is_one_pod_and_like_requests_share_an_object():
    a, b, c = in_sequence(PODS, Sequence(pods=(0, 1, 2), node_rank=()))
    assert [one.pod_count for one in (a, b, c)] == [1, 1, 1]
    asked = [one.pod_sets[0].template.request for one in (a, b, c)]
    assert asked == [pod.request for pod in PODS]
    assert a.pod_sets is c.pod_sets
    assert a.device_milli == 1000
