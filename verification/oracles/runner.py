"""Ask an adapter every row of a file, compare, and prove that the comparison can fail."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from verification.oracles import rows
from verification.oracles.rows import Adapter, Answers, Json, Kind, OutOfScopeError, Test


class Findings(msgspec.Struct):
    """What became of the rows of one file."""

    file: str
    passed: int = 0
    outside: Counter[str] = msgspec.field(default_factory=Counter)
    differences: list[str] = msgspec.field(default_factory=list)  # one line each
    failed: int = 0
    altered: int = 0  # expectations that were altered, one value at a time
    unnoticed: list[str] = msgspec.field(default_factory=list)  # alterations that still passed
    later: Counter[str] = msgspec.field(default_factory=Counter)  # rows not attempted, by test
    bar_pct: int = 100
    outside_max_pct: int = rows.OUTSIDE_MAX_PCT
    named_max: int = 0
    disagreements: Counter[str] = msgspec.field(default_factory=Counter)  # rows, by their reasons

    @property
    def outside_pct(self) -> float:
        """Return how much of the file is out of scope."""
        count = self.outside.total()
        return 100 * count / max(1, self.passed + self.failed + self.later.total() + count)

    @property
    def is_fine(self) -> bool:
        """Tell whether what is in scope passed, up to the adapter's bar, and enough of it is."""
        attempted = self.passed + self.failed
        named = self.disagreements.total()
        reaches_bar = 100 * self.passed >= self.bar_pct * attempted
        reaches_bar |= self.failed == named <= self.named_max
        return reaches_bar and not self.unnoticed and self.outside_pct <= self.outside_max_pct


class Judged(NamedTuple):
    """One row: how it differs from what is expected, and what was altered without notice."""

    differences: list[str]
    altered: int
    unnoticed: list[str]


def check_file(path: Path, adapter: Adapter) -> Findings:
    """Check every row of `path`."""
    found = Findings(
        path.name,
        bar_pct=adapter.bar_pct,
        outside_max_pct=adapter.outside_max_pct,
        named_max=adapter.named_max,
    )
    if rows.stem(path) in adapter.shared:
        return found
    for raw in adapter.read(path):
        key, title = (rows.stem(path), raw["test"]), f"{raw['test']}/{raw['name']}"
        if key in adapter.outside:
            found.outside[adapter.outside[key].value] += 1
            continue
        if key not in adapter.tests:
            found.later[raw["test"]] += 1
            continue
        try:
            judged = check_row(raw, adapter.tests[key], adapter.context_inputs)
        except OutOfScopeError as none_of_ours:
            found.outside[none_of_ours.reason.value] += 1
            continue
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            judged = Judged([f"no answer: {type(error).__name__}: {error}"], 0, [])
        found.altered += judged.altered
        found.passed += not judged.differences
        found.failed += bool(judged.differences)
        why = adapter.reasons.get(raw["name"].split(" ")[0], "")
        found.disagreements[why] += bool(judged.differences and why)
        found.differences += [
            f"{title}: {line}{f' — {why}' if why else ''}" for line in judged.differences
        ]
        found.unnoticed += [f"{title}: {line}" for line in judged.unnoticed]
    return found


def check_row(raw: Json, test: Test, context_inputs: frozenset[str]) -> Judged:
    """Compare the answers to one row with its expectations, as they are and altered."""
    row, expected = rows.strip(raw, test, context_inputs)
    answers = test.answer(row)
    kinds = {**test.outputs, **dict.fromkeys(test.both, VERBATIM)}
    differences = list(compare(answers, expected, kinds, test.late))
    altered, unnoticed = 0, []
    for field in expected.keys() & answers.keys():
        for wrong in rows.alterations(expected[field], kinds[field]):
            altered += 1
            if is_as_expected(answers[field], wrong, kinds[field]):
                unnoticed.append(f"{field} was altered to {wrong!r}, and it passed")
    if not altered:
        unnoticed.append("nothing was compared")
    return Judged(differences, altered, unnoticed)


def compare(
    answers: Answers, expected: dict[str, Json], kinds: dict[str, Kind], late: frozenset[str]
) -> Iterator[str]:
    """Yield a line for each expectation that is not met, or is not answered and not `late`."""
    for field, wanted in expected.items():
        if field not in answers:
            if field not in late:
                yield f"{field}: expected {wanted!r}, and no answer was given"
        elif not is_as_expected(answers[field], wanted, kinds[field]):
            got = answers[field]
            yield f"{field}: expected {kinds[field].read(wanted)!r}, got {got!r}"


def is_as_expected(answer: object, wanted: Json, kind: Kind) -> bool:
    """Tell whether `answer` is what `wanted` says; what cannot even be read is not."""
    try:
        return bool(answer == kind.read(wanted))
    except (AttributeError, KeyError, TypeError, ValueError):
        return False


VERBATIM = Kind(read=lambda wanted: wanted, instead_of_nothing=1)
