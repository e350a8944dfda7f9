"""Quantities: what is written reads back, rounding is upwards and tight, no text breaks it."""

from fractions import Fraction

from hypothesis import given, strategies as st

from gpuyard.model.quantity import (
    AMOUNT_MAX,
    NANO_PER_MILLI,
    NANO_PER_UNIT,
    format_milli,
    format_quantity,
    parse_milli,
    parse_nano,
    parse_quantity,
    round_up,
)

AMOUNTS = st.integers(-AMOUNT_MAX, AMOUNT_MAX)
SUFFIX_WORTH = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "e3": Fraction(10**3),
    "E-4": Fraction(1, 10**4),
}


@given(AMOUNTS, st.booleans())
def test_what_is_written_reads_back(amount, binary):
    assert parse_quantity(format_quantity(amount, binary=binary)) == amount


@given(AMOUNTS)
def test_what_is_written_in_milli_reads_back(milli):
    assert parse_milli(format_milli(milli)) == milli


@given(
    st.integers(0, 10**9),
    st.text("0123456789", max_size=8),
    st.sampled_from(sorted(SUFFIX_WORTH)),
    st.sampled_from(["", "-"]),
)
def test_rounding_is_away_from_zero_and_by_less_than_one(whole, fraction, suffix, sign):
    exact = (whole + Fraction(int(fraction or 0), 10 ** len(fraction))) * SUFFIX_WORTH[suffix]
    rounded = parse_quantity(f"{sign}{whole}.{fraction}{suffix}") * (-1 if sign else 1)
    assert exact <= rounded < exact + 1


@given(st.integers(-(10**24), 10**24), st.sampled_from([NANO_PER_MILLI, NANO_PER_UNIT]))
def test_rounding_up_is_symmetric_and_never_loses_anything(nano, unit):
    assert round_up(nano, unit) == -round_up(-nano, unit)
    assert 0 <= abs(round_up(nano, unit)) * unit - abs(nano) < unit


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_sum_in_nano_never_exceeds_the_sum_of_rounded_parts(left, right):
    together = round_up(left + right, NANO_PER_MILLI)
    assert together <= round_up(left, NANO_PER_MILLI) + round_up(right, NANO_PER_MILLI)


@given(st.one_of(st.text(max_size=80), st.text("0123456789.+-eEinumkKMGTP", max_size=20)))
def test_any_text_is_a_bounded_amount_or_a_value_error(text):
    try:
        nano = parse_nano(text)
    except ValueError as error:
        assert "is not a quantity" in str(error)  # noqa: PT017  an amount is fine as well
    else:
        assert abs(nano) <= AMOUNT_MAX * NANO_PER_UNIT
        assert abs(parse_quantity(text)) <= AMOUNT_MAX


@given(st.floats())
def test_any_json_number_is_a_bounded_amount_or_a_value_error(number):
    try:
        amount = parse_milli(number)
    except ValueError as error:
        assert "is not a quantity" in str(error)  # noqa: PT017  an amount is fine as well
    else:
        assert amount == 0 or (amount > 0) == (number > 0)
