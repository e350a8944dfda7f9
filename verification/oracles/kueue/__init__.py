"""Kueue's own table tests (kubernetes-sigs/kueue v0.19.2), asked of our core.

The rows were dumped from the running tests; what each field means is in the README beside them.
Each module answers the tests of one subject and lists them; `objects` turns the objects of a row
into what the core knows, through the dialect as in a live cluster.

What a test shares among its rows lies in a file of fixtures, what it builds for one row in the
row's `setup`: `read` puts both around the row, and a test names what it takes from there.
"""

from collections.abc import Iterator
from pathlib import Path

from verification.oracles import rows
from verification.oracles.kueue import (
    admission_fair_sharing,
    flavors,
    ordering,
    preemption,
    quota,
    topology,
)
from verification.oracles.rows import Adapter, Json, Outside, Test

FIXTURES = "kueue_fixtures.jsonl.gz"

TESTS: dict[tuple[str, str], Test] = {
    **quota.TESTS,
    **ordering.TESTS,
    **admission_fair_sharing.TESTS,
    **preemption.TESTS,
    **flavors.TESTS,
    **topology.TESTS,
}

OUTSIDE: dict[tuple[str, str], Outside] = {**preemption.OUTSIDE, **flavors.OUTSIDE, **topology.OUTSIDE}


def read(path: Path) -> Iterator[Json]:
    """Yield the rows of `path` with what lies around them: fixtures, set-up, and ``now``."""
    beside = path.with_name(FIXTURES)
    shared = rows.read(beside) if beside.exists() else ()
    fixtures = {each["test"]: each["fixtures"] for each in shared}
    for row in rows.read(path):
        setup = row.get("setup") or {}
        around = {"now": row.get("now"), **fixtures.get(row["test"], {}), **setup}
        yield topology.lifted({**row, "around": around})


KUEUE = Adapter(
    tests=TESTS, outside=OUTSIDE, shared=frozenset({rows.stem(Path(FIXTURES))}), read=read
)
