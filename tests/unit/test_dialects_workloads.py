"""The table of workload kinds: where each keeps its pods, how many, and what rules see of them."""

import doctest

from gpuyard.dialects import workloads


def test_the_example_at_the_head_of_the_room_is_true():
    assert doctest.testmod(workloads).failed == 0
    assert doctest.testmod(workloads).attempted >= 8
