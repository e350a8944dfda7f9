"""Quantity strings: what they are worth, how they are rounded, how they are written."""

import pytest

from gpuyard.model.quantity import (
    AMOUNT_MAX,
    NANO_PER_UNIT,
    TEXT_MAX,
    format_milli,
    format_quantity,
    parse_milli,
    parse_nano,
    parse_quantity,
    round_up,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0", 0, id="zero"),
        pytest.param("12", 12, id="no suffix"),
        pytest.param("+12", 12, id="plus sign"),
        pytest.param("007", 7, id="leading zeros"),
        pytest.param("1n", 1, id="one nano rounds up to one"),
        pytest.param("0n", 0, id="no nano stays nothing"),
        pytest.param("1000000u", 1, id="micro"),
        pytest.param("1500m", 2, id="milli round up"),
        pytest.param("2000m", 2, id="milli exactly"),
        pytest.param("3k", 3_000, id="kilo"),
        pytest.param("3M", 3_000_000, id="mega"),
        pytest.param("3G", 3 * 10**9, id="giga"),
        pytest.param("3T", 3 * 10**12, id="tera"),
        pytest.param("3P", 3 * 10**15, id="peta"),
        pytest.param("3E", 3 * 10**18, id="exa, not an exponent"),
        pytest.param("3Ki", 3 * 2**10, id="kibi"),
        pytest.param("3Mi", 3 * 2**20, id="mebi"),
        pytest.param("3Gi", 3 * 2**30, id="gibi"),
        pytest.param("3Ti", 3 * 2**40, id="tebi"),
        pytest.param("3Pi", 3 * 2**50, id="pebi"),
        pytest.param("3Ei", 3 * 2**60, id="exbi"),
        pytest.param("1.5Gi", 3 * 2**29, id="fraction of a binary unit"),
        pytest.param("0.1Ki", 103, id="102.4 bytes round up"),
        pytest.param("1.", 1, id="digits before the point only"),
        pytest.param(".5k", 500, id="digits behind the point only"),
        pytest.param("3e3", 3_000, id="small exponent"),
        pytest.param("3E3", 3_000, id="capital exponent"),
        pytest.param("1.25e+2", 125, id="signed exponent"),
        pytest.param("1500e-3", 2, id="negative exponent rounds up"),
        pytest.param("-1.5", -2, id="negative amounts round away from zero"),
        pytest.param("-1500m", -2, id="negative milli likewise"),
        pytest.param("-0", 0, id="negative zero is zero"),
        pytest.param(7, 7, id="JSON integer"),
        pytest.param(0.5, 1, id="JSON fraction"),
        pytest.param(1e16, 10**16, id="JSON number that Python writes with an exponent"),
    ],
)
def test_value_in_base_units(text, expected):
    assert parse_quantity(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("100m", 100, id="as written"),
        pytest.param("2", 2_000, id="whole cores"),
        pytest.param("0.25", 250, id="fraction of a core"),
        pytest.param("0.0001", 1, id="a tenth of a milli rounds up"),
        pytest.param("1500u", 2, id="micro round up"),
        pytest.param("1k", 1_000_000, id="kilo cores"),
        pytest.param("1Ki", 1_024_000, id="binary suffix"),
        pytest.param("-1500u", -2, id="negative away from zero"),
        pytest.param(0.1, 100, id="JSON fraction is read as text, not as binary"),
    ],
)
def test_value_in_milli(text, expected):
    assert parse_milli(text) == expected


@pytest.mark.parametrize(
    ("parse", "text", "expected"),
    [
        pytest.param(parse_quantity, str(AMOUNT_MAX), AMOUNT_MAX, id="largest int64"),
        pytest.param(parse_quantity, str(AMOUNT_MAX - 1), AMOUNT_MAX - 1, id="one below"),
        pytest.param(parse_quantity, str(AMOUNT_MAX + 1), AMOUNT_MAX, id="one above is capped"),
        pytest.param(parse_quantity, "8Ei", AMOUNT_MAX, id="2^63 is capped"),
        pytest.param(parse_quantity, "-9Ei", -AMOUNT_MAX, id="capped below as well"),
        pytest.param(parse_quantity, "1e999999", AMOUNT_MAX, id="absurd exponent is capped"),
        pytest.param(parse_quantity, "1e-999999", 1, id="absurdly small rounds up to one"),
        pytest.param(parse_quantity, "0e999999", 0, id="zero times anything is zero"),
        pytest.param(parse_milli, "9E", AMOUNT_MAX, id="milli are capped instead of wrapping"),
        pytest.param(parse_nano, "1e-10", 1, id="nothing is finer than a nano"),
        pytest.param(parse_nano, "1E", 10**18 * NANO_PER_UNIT, id="nano may exceed int64"),
    ],
)
def test_limits(parse, text, expected):
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1 ",
        " 1",
        "k",
        "-",
        ".",
        "1i",
        "1mi",
        "1ki",
        "1K",
        "1Kib",
        "1.2.3",
        "1e",
        "1e1.5",
        "1e3k",
        "0x10",
        "1_000",
        "٣",  # ARABIC-INDIC DIGIT THREE: a digit to Python, not to Kubernetes
        "1\n",
        "five",
        "--1",
        "inf",
        "9" * (TEXT_MAX + 1),
        float("nan"),
        float("inf"),
        True,
        None,
    ],
)
def test_nonsense_is_one_clear_sentence(text):
    with pytest.raises(ValueError, match=r"^.{1,80} is not a quantity: write a number .* 3e6$"):
        parse_quantity(text)


def test_longest_text_is_still_read():
    assert parse_quantity("0" * (TEXT_MAX - 1) + "1") == 1


def test_sums_are_exact_before_they_are_rounded():
    assert round_up(parse_nano("500u") + parse_nano("500u"), 10**6) == 1
    assert parse_milli("500u") + parse_milli("500u") == 2


@pytest.mark.parametrize(
    ("amount", "binary", "expected"),
    [
        pytest.param(0, True, "0", id="zero has no suffix"),
        pytest.param(512, True, "512", id="small"),
        pytest.param(1000, True, "1k", id="below 1024 bytes are written decimally, as Kubernetes"),
        pytest.param(1024, True, "1Ki", id="first binary suffix"),
        pytest.param(1025, True, "1025", id="no fraction is ever written"),
        pytest.param(1536 * 2**20, True, "1536Mi", id="one and a half gibi"),
        pytest.param(2**60, True, "1Ei", id="largest binary suffix"),
        pytest.param(-2048, True, "-2Ki", id="negative binary"),
        pytest.param(4000, False, "4k", id="decimal"),
        pytest.param(4096, False, "4096", id="decimal never uses Ki"),
        pytest.param(9 * 10**18, False, "9E", id="largest decimal suffix"),
        pytest.param(AMOUNT_MAX, False, str(AMOUNT_MAX), id="largest amount"),
        pytest.param(-5000, False, "-5k", id="negative decimal"),
    ],
)
def test_canonical_form(amount, binary, expected):
    assert format_quantity(amount, binary=binary) == expected


@pytest.mark.parametrize(
    ("milli", "expected"),
    [
        pytest.param(0, "0", id="zero"),
        pytest.param(100, "100m", id="part of a core"),
        pytest.param(1500, "1500m", id="one and a half cores"),
        pytest.param(2000, "2", id="whole cores lose the suffix"),
        pytest.param(4_000_000, "4k", id="thousands of cores gain another"),
        pytest.param(-250, "-250m", id="negative part"),
        pytest.param(-1000, "-1", id="negative core"),
    ],
)
def test_canonical_form_of_milli(milli, expected):
    assert format_milli(milli) == expected
