"""Rows of published test tables: what is asked, what is expected, and how an answer is compared."""

import enum
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

OUTSIDE_MAX_PCT = 35
Json = Any  # decoded JSON
Answers = dict[str, object]


class Outside(enum.Enum):
    """Why a row is none of ours. Nothing else is a reason."""

    QUEUEING_HINT = "queueing hint"
    EVENT = "event registration"
    SIGNATURE = "pod signature"
    INTERNAL_CACHE = "internal cache"
    DRA = "DRA-backed"
    INVALID_ARGUMENTS = "invalid plugin arguments"
    MULTI_KUEUE = "MultiKueue"
    ADMISSION_CHECK = "ProvisioningRequest or external admission check"
    PLUMBING = "controller plumbing or an event's wording"
    METRIC = "metric"
    CONCURRENT_ADMISSION = "concurrent admission"
    INTERNAL_NAME = "name of an internal structure"
    CALL_COUNT = "call count"
    NUMA = "NUMA zones"
    COMPUTED = "computed or compared by code that is not in the row"
    UNRESOLVED = "inputs that the extract left as Go expressions"
    UNLIKE_GPUS = "GPU memory on GPUs of several sizes"


class OutOfScopeError(Exception):
    """Raised by an adapter that finds, from the inputs alone, that a row is none of ours."""

    def __init__(self, reason: Outside) -> None:
        """Name the reason."""
        super().__init__(reason.value)
        self.reason = reason


class Row(NamedTuple):
    """What an adapter gets to see: a row without its expectations."""

    test: str
    name: str
    case: Mapping[str, Json]
    context: Mapping[str, Json]


class Kind(NamedTuple):
    """How a kind of expectation is read, and what to put in the place of a null to alter it.

    `skips` names the members of an expectation that say nothing about a decision.
    """

    read: Callable[[Json], object]
    instead_of_nothing: Json
    skips: frozenset[str] = frozenset()


class Test(NamedTuple):
    """One test function of the source: its fields, and the adapter's answer to its rows.

    `answer` returns, for each output that the source's test gets to compare, what `Kind.read` makes
    of the right expectation. `late` are outputs that the source compares only where an earlier one
    lets it go on. `both` are input fields whose items carry an expectation each, under the name
    given. `implied` are expectations that the source's code has and its rows do not. `around` are
    the names of what lies around the row and is needed (fixtures, set-up): it joins the context.
    """

    answer: Callable[[Row], Answers]
    inputs: frozenset[str]
    outputs: Mapping[str, Kind]
    late: frozenset[str] = frozenset()
    unused: frozenset[str] = frozenset()  # outputs that nobody reads, or only say it in words
    both: Mapping[str, str] = {}
    implied: Mapping[str, Json] = {}
    around: frozenset[str] = frozenset()


def read(path: Path) -> Iterator[Json]:
    """Yield the rows of a file of JSON lines, gzip or plain."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    for line in content.splitlines():
        yield json.loads(line)


class Adapter(NamedTuple):
    """A project whose rows gpuyard answers.

    Rows of a test that is named nowhere are not attempted yet; `shared` are files whose rows are
    no cases.
    """

    tests: Mapping[tuple[str, str], Test]  # by file stem and test function
    context_inputs: frozenset[str] = frozenset()
    outside: Mapping[tuple[str, str], Outside] = {}
    shared: frozenset[str] = frozenset()  # stems
    read: Callable[[Path], Iterator[Json]] = read
    place: str = ""  # the folder or file in $GPUYARD_DATA/oracles, where it is not the name
    bar_pct: int = 100  # so much of what is attempted must agree; the rest is counted and shown
    outside_max_pct: int = OUTSIDE_MAX_PCT  # so much of a file may be none of ours
    named_max: int = 0  # so many rows of a file may disagree, if each has its reason below
    reasons: Mapping[str, str] = {}  # why rows disagree, by their names up to the first blank


def stem(path: Path) -> str:
    """Return the name of a file without its endings."""
    return path.name.split(".", 1)[0]


def strip(raw: Json, test: Test, context_inputs: frozenset[str]) -> tuple[Row, dict[str, Json]]:
    """Return a row without its expectations, and the expectations.

    Raises ValueError where a field is neither known input nor known expectation.
    """
    case, context = raw["case"], raw.get("context", {})
    unknown = case.keys() - test.inputs - test.outputs.keys() - test.unused - {"name", "desc"}
    unknown |= {name.split(":")[0] for name in context} - context_inputs  # featureGate:NAME
    if unknown:
        fields = ", ".join(sorted(unknown))
        raise ValueError(f"neither known input nor known expectation: {fields}")
    context = {**context, **{name: raw["around"][name] for name in sorted(test.around)}}
    inputs = {field: case[field] for field in test.inputs if field in case}
    expected = {field: case[field] for field in test.outputs if field in case}
    for field, inner in test.both.items():
        expected[field] = [item[inner] for item in inputs[field]]
        inputs[field] = [
            {key: value for key, value in item.items() if key != inner} for item in inputs[field]
        ]
    return Row(raw["test"], raw["name"], inputs, context), {**test.implied, **expected}


def alterations(expected: Json, kind: Kind) -> Iterator[Json]:
    """Yield `expected` with one value in it altered, once for each value that it holds."""
    inner = kind._replace(instead_of_nothing=1)
    if expected is None or expected in ([], {}):
        yield kind.instead_of_nothing
    elif isinstance(expected, dict):
        for key in sorted(expected.keys() - kind.skips):
            yield from ({**expected, key: wrong} for wrong in alterations(expected[key], inner))
    elif isinstance(expected, list):
        for index, item in enumerate(expected):
            before, after = expected[:index], expected[index + 1 :]
            yield from ([*before, wrong, *after] for wrong in alterations(item, inner))
    elif isinstance(expected, bool):
        yield not expected
    elif isinstance(expected, int | float):
        yield expected + 1
    else:
        yield LIKELY_MISTAKES.get(expected, f"{expected} altered")


LIKELY_MISTAKES = {
    "Queue": "QueueSkip",
    "QueueSkip": "Queue",
    "Skip": "Success",
    "Success": "Unschedulable",
    "Unschedulable": "UnschedulableAndUnresolvable",
    "UnschedulableAndUnresolvable": "Unschedulable",
}
