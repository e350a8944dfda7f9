"""Generated weeks: for any fleet the load is met and every gang fits the empty fleet."""

from collections import Counter

import pytest
from hypothesis import given, settings, strategies as st

from gpuyard.traces.fits import fits_empty, offers
from gpuyard.traces.fleet import parse_fleet
from gpuyard.traces.generate import generate, requested_load

groups = st.builds(
    "{}x{}x{}".format,
    st.integers(1, 12),
    st.sampled_from([1, 2, 4, 8, 16]),
    st.sampled_from(["H100", "A100", "L4", "T4", "G2", "MI300X", "GB200"]),
)
fleets = st.lists(groups, min_size=1, max_size=3).map("+".join)


@settings(max_examples=40)
@given(
    fleet=fleets,
    seed=st.integers(0, 2**70),
    load=st.floats(0.2, 1.5),
    days=st.floats(0.5, 8),
)
def test_any_fleet(fleet, seed, load, days):
    nodes = parse_fleet(fleet)
    trace = generate(nodes, seed, days=days, load=load)
    assert requested_load(trace, days) == pytest.approx(load, rel=0.02)
    nodes_of_offer = Counter(next(iter(offers([node]))) for node in nodes)
    verdicts = {}
    for timed in trace.workloads:
        assert timed.runtime_ns is None or timed.runtime_ns > 0
        for pod_set in timed.workload.pod_sets:
            request = pod_set.template.request
            if request not in verdicts:
                verdicts[request] = sum(
                    count for offer, count in nodes_of_offer.items() if fits_empty(offer, request)
                )
            assert verdicts[request] >= pod_set.count
