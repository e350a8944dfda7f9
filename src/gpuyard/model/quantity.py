"""Kubernetes quantity strings as exact integers, and back.

A quantity is a decimal number with a suffix: ``100m``, ``1.5Gi``, ``2e3``. Floating point never
touches it: a text becomes a whole number of *nano* units (the finest step that the API keeps), sums
are made there, and only at the end is it rounded to the unit that placement counts in. Two
containers that ask for ``500u`` of a core each therefore ask for ``1m`` together, not for ``2m``.

Semantics: k8s.io/apimachinery v0.36, pkg/api/resource/quantity.go. Rounding is always away from
zero, as Value() and MilliValue() document: who asks for a little gets at least that. Where we
differ, on purpose:

- Amounts beyond int64 are capped at ``AMOUNT_MAX`` (and its negative) in whichever unit they are
  asked for. The documentation of Quantity promises the cap; its code keeps larger decimals and
  wraps around when they are read.
- A number has at least one digit. The scanner in Go reads ``k``, ``-`` and ``.`` as zero.
- A text longer than ``TEXT_MAX`` characters is refused; no amount that fits in int64 needs as many.
"""

import re

AMOUNT_MAX = 2**63 - 1
TEXT_MAX = 64
NANO_PER_UNIT = 10**9
NANO_PER_MILLI = 10**6

_KILO = 10**3
_KIBI = 2**10
_EXPONENT_MAX = 100  # beyond it every number but zero is capped, or is a crumb of one nano
_QUANTITY = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?"
    r"(?:[eE](?P<exponent>[+-]?[0-9]+)|(?P<suffix>[A-Za-z]*))"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


def parse_quantity(text: str | float) -> int:
    """Return the amount in its base unit (bytes, cores, pieces), rounded away from zero.

    Raises ValueError with one sentence when `text` is not a quantity.
    """
    return round_up(parse_nano(text), NANO_PER_UNIT)


def parse_milli(text: str | float) -> int:
    """Return the amount in thousandths of its base unit, rounded away from zero.

    Raises ValueError with one sentence when `text` is not a quantity.
    """
    return round_up(parse_nano(text), NANO_PER_MILLI)


def parse_nano(text: str | float) -> int:
    """Return the amount in billionths of its base unit: exact, for sums.

    JSON numbers are read as the text they are written as. Finer amounts are rounded away from zero
    to one nano; larger ones are capped at ``AMOUNT_MAX`` base units.
    Raises ValueError with one sentence when `text` is not a quantity.
    """
    written = str(text)
    match = _QUANTITY.fullmatch(written) if len(written) <= TEXT_MAX else None
    if match is None or not (match["whole"] or match["fraction"]):
        raise _not_a_quantity(written)
    fraction = match["fraction"] or ""
    power_of_ten, power_of_two = _factor(written, match)
    numerator = int(match["whole"] + fraction) * 2**power_of_two * NANO_PER_UNIT
    shift = power_of_ten - len(fraction)
    nano: int = numerator * 10**shift if shift >= 0 else -(-numerator // 10**-shift)
    capped = min(nano, AMOUNT_MAX * NANO_PER_UNIT)
    return -capped if match["sign"] == "-" else capped


def round_up(nano: int, nano_per_unit: int) -> int:
    """Return `nano` in a coarser unit, rounded away from zero and capped at ``AMOUNT_MAX``."""
    amount = min(-(-abs(nano) // nano_per_unit), AMOUNT_MAX)
    return -amount if nano < 0 else amount


def format_quantity(amount: int, *, binary: bool) -> str:
    """Return `amount` base units in canonical form: the largest suffix without a fraction.

    `binary` chooses Ki, Mi, … from 1024 upwards and is for bytes; below, and without it, k, M, ….
    The result parses back to `amount`.
    """
    if binary and abs(amount) >= _KIBI:
        return _with_suffix(amount, _KIBI, ("", *_BINARY))
    return _with_suffix(amount, _KILO, ("", "k", "M", "G", "T", "P", "E"))


def format_milli(milli: int) -> str:
    """Return thousandths of a base unit in canonical form: ``1500m``, ``2``, ``4k``."""
    if milli % 1000:
        return f"{milli}m"
    return format_quantity(milli // 1000, binary=False)


def _factor(written: str, match: re.Match[str]) -> tuple[int, int]:
    """Return the powers of ten and of two that the end of the text multiplies with."""
    exponent, suffix = match["exponent"], match["suffix"]
    if exponent is not None:
        return max(-_EXPONENT_MAX, min(int(exponent), _EXPONENT_MAX)), 0
    if suffix in _DECIMAL:
        return _DECIMAL[suffix], 0
    if suffix in _BINARY:
        return 0, _BINARY[suffix]
    raise _not_a_quantity(written)


def _with_suffix(amount: int, base: int, suffixes: tuple[str, ...]) -> str:
    steps = 0
    while amount and steps + 1 < len(suffixes) and amount % base == 0:
        amount //= base
        steps += 1
    return f"{amount}{suffixes[steps]}"


def _not_a_quantity(written: str) -> ValueError:
    shown = repr(written) if len(written) <= TEXT_MAX else f"{written[:TEXT_MAX]!r}…"
    return ValueError(
        f"{shown} is not a quantity: write a number with an optional suffix, "
        "such as 500m, 2, 1.5Gi, 20G or 3e6"
    )
