"""How a test of the source is listed: its fields by name, and who answers."""

from collections.abc import Callable

from verification.oracles.rows import Answers, Kind, OutOfScopeError, Outside, Row, Test


def outside(reason: Outside) -> Callable[[Row], Answers]:
    """Return the answer to tests of which every row is out of scope."""

    def answer(_: Row) -> Answers:
        raise OutOfScopeError(reason)

    return answer


def names(*lines: str) -> frozenset[str]:
    """Return the names in `lines`, which have spaces between them."""
    return frozenset(name for line in lines for name in line.split())


def listed(answer: Callable[[Row], Answers], inputs: str, late: str = "", **outputs: Kind) -> Test:
    """Return a test with fields by name; expectations are `outputs`, `late` some of them."""
    return Test(answer, names(inputs), outputs, names(late))
