"""Quantities as rules read them: exact, and `None` where there is nothing to read.

A manifest may hold anything where a quantity belongs; that it is wrong there is the API server's to
say. A rule that compares two amounts is silent where either of them cannot be read.
"""

from gpuyard.model.quantity import format_quantity, parse_milli, parse_quantity


def amount(written: object) -> int | None:
    """Return a quantity in its base unit (bytes, cores, pieces), rounded up."""
    if isinstance(written, bool) or not isinstance(written, str | int | float):
        return None
    try:
        return parse_quantity(written)
    except ValueError:
        return None


def milli(written: object) -> int | None:
    """Return a quantity in thousandths of its base unit, rounded up."""
    if isinstance(written, bool) or not isinstance(written, str | int | float):
        return None
    try:
        return parse_milli(written)
    except ValueError:
        return None


def size(amount_bytes: int) -> str:
    """Return bytes as they are written, in whole mebibytes where there is more than one."""
    mebi = amount_bytes // 2**20
    return format_quantity(mebi * 2**20 if mebi else amount_bytes, binary=True)
