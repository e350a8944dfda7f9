"""How fast decisions become facts: tokens, latency, and who waits."""

import pytest
from hypothesis import given, strategies as st

from gpuyard.twin.writes import SECOND_NS, WriteLimit, Writer


def asked(limit, *at_ns):
    writer = Writer(limit)
    return [writer.write(one) for one in at_ns]


@pytest.mark.parametrize(
    ("limit", "at_ns", "expected"),
    [
        pytest.param(WriteLimit(), (0, 0, 5), [0, 0, 5], id="no limit and no latency: at once"),
        pytest.param(WriteLimit(latency_ns=7), (0, 3), [7, 10], id="latency comes on top"),
        pytest.param(
            WriteLimit(per_second=10, burst=2),
            (0, 0, 0, 0),
            [0, 0, SECOND_NS // 10, SECOND_NS // 5],
            id="beyond the burst each waits for the next token",
        ),
        pytest.param(
            WriteLimit(per_second=10, burst=2, latency_ns=1),
            (0, 0, 0),
            [1, 1, SECOND_NS // 10 + 1],
            id="latency begins when the token came",
        ),
        pytest.param(
            WriteLimit(per_second=10, burst=2),
            (0, 0, 5 * SECOND_NS, 5 * SECOND_NS, 5 * SECOND_NS),
            [0, 0, 5 * SECOND_NS, 5 * SECOND_NS, 5 * SECOND_NS + SECOND_NS // 10],
            id="a rest fills the bucket, no further than to its brim",
        ),
        pytest.param(
            WriteLimit(per_second=3),
            (0, 0),
            [0, -(-SECOND_NS // 3)],
            id="a token that comes between two nanoseconds is there at the later",
        ),
        pytest.param(
            WriteLimit(per_second=10),
            (0, SECOND_NS // 20),
            [0, SECOND_NS // 10],
            id="half a token is kept",
        ),
    ],
)
def test_write(limit, at_ns, expected):
    assert asked(limit, *at_ns) == expected


@pytest.mark.parametrize(
    ("given_limit", "said"),
    [
        pytest.param({"per_second": 0}, "0 writes a second", id="no writes at all"),
        pytest.param({"per_second": -1}, "-1 writes a second", id="negative writes"),
        pytest.param({"burst": 0}, "burst", id="a bucket without room"),
        pytest.param({"latency_ns": -1}, "latency", id="a write before it was asked for"),
    ],
)
def test_limits_that_nobody_could_keep_are_refused(given_limit, said):
    with pytest.raises(ValueError, match=said):
        WriteLimit(**given_limit)


@given(
    st.integers(1, 1000),
    st.integers(1, 20),
    st.integers(0, 10**7),
    st.lists(st.integers(0, 10**8), max_size=60),
)
def test_in_no_span_are_there_more_writes_than_burst_and_rate_allow(
    per_second, burst, latency_ns, gaps_ns
):
    at_ns = [sum(gaps_ns[: index + 1]) for index in range(len(gaps_ns))]
    writer = Writer(WriteLimit(per_second=per_second, burst=burst, latency_ns=latency_ns))
    done_ns = [writer.write(one) for one in at_ns]
    assert writer.writes == len(at_ns)
    assert done_ns == sorted(done_ns)
    assert all(done - asked >= latency_ns for done, asked in zip(done_ns, at_ns, strict=True))
    for first, start_ns in enumerate(done_ns):
        for last in range(first, len(done_ns)):
            span_ns = done_ns[last] - start_ns
            allowed = burst + -(-span_ns * per_second // SECOND_NS)
            assert last - first + 1 <= allowed


@given(st.integers(1, 1000), st.integers(1, 50))
def test_a_client_that_always_has_something_to_write_gets_its_whole_rate(per_second, burst):
    writer = Writer(WriteLimit(per_second=per_second, burst=burst))
    done_ns = [writer.write(0) for _ in range(burst + per_second)]
    assert done_ns[burst - 1] == 0
    assert 0 <= done_ns[-1] - SECOND_NS <= 1
