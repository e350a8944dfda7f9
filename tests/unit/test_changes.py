"""The log of changed slots: exact where it reaches back, everything where it does not."""

from unittest.mock import patch

import pytest
from hypothesis import given, strategies as st

from gpuyard.scheduling import changes
from gpuyard.scheduling.changes import ChangeLog

SIZE = 100


def log_of(*slots):
    log = ChangeLog()
    for slot in slots:
        log.append(slot)
    return log


@pytest.mark.parametrize(
    ("slots", "position", "expected"),
    [
        pytest.param([], 0, [], id="nothing ever changed"),
        pytest.param([5, 2, 9], 0, [2, 5, 9], id="ascending, whatever came first"),
        pytest.param([5, 2, 5, 2], 0, [2, 5], id="each slot once"),
        pytest.param([5, 2, 9], 1, [2, 9], id="only what came after the position"),
        pytest.param([5, 2, 9], 2, [9], id="the newest alone"),
        pytest.param([5, 2, 9], 3, [], id="up to date"),
        pytest.param([5], -1, list(range(SIZE)), id="whoever never looked gets every slot"),
    ],
)
def test_since(slots, position, expected):
    assert log_of(*slots).since(position, SIZE).tolist() == expected


def test_more_changes_than_twice_the_slots_are_answered_with_every_slot():
    log = log_of(*[1] * 6)
    assert log.since(1, 3).tolist() == [1]
    assert log.since(0, 3).tolist() == [0, 1, 2]


def test_the_older_half_is_forgotten_and_positions_go_on():
    with patch.object(changes, "LOG_SLOTS_MAX", 4):
        log = log_of(10, 11, 12, 13)
        assert log.since(0, SIZE).tolist() == [10, 11, 12, 13]
        log.append(14)
        assert log.position == 5
        assert len(log._slots) == 3
        assert log.since(2, SIZE).tolist() == [12, 13, 14]
        assert log.since(1, SIZE).tolist() == list(range(SIZE))


@given(
    slots=st.lists(st.integers(0, SIZE - 1), max_size=40),
    looks=st.lists(st.integers(0, 40), max_size=3),
    longest=st.integers(2, 10),
)
def test_an_answer_never_misses_a_change(slots, looks, longest):
    with patch.object(changes, "LOG_SLOTS_MAX", longest):
        log = log_of(*slots)
        assert len(log._slots) <= longest
    assert log.position == len(slots)
    for position in looks:
        told = log.since(position, SIZE).tolist()
        assert set(slots[position:]) <= set(told)
        assert told in (sorted(set(slots[position:])), list(range(SIZE)))
