"""Texts as documents: what each language says, what is wrong with it, and where."""

import doctest

from gpuyard.dialects import documents


def test_the_example_at_the_head_of_the_room_is_true():
    assert doctest.testmod(documents).failed == 0
    assert doctest.testmod(documents).attempted >= 4
