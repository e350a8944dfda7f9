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
    cache,
    cycles,
    flavors,
    ordering,
    preemption,
    queueing,
    quota,
    snapshots,
    topology,
    waiting,
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
    **cycles.TESTS,
    **queueing.TESTS,
    **waiting.TESTS,
    **cache.TESTS,
    **snapshots.TESTS,
}

OUTSIDE: dict[tuple[str, str], Outside] = {
    **preemption.OUTSIDE,
    **flavors.OUTSIDE,
    **topology.OUTSIDE,
    **cycles.OUTSIDE,
    **waiting.OUTSIDE,
    **cache.OUTSIDE,
}

FAULTS_MAX = 5
LOST = "the extract lost what one pod takes: its SinglePodRequests are empty"
FAULTS = {"sibling-flavor": LOST, "non-hostname-leaf": LOST}


def read(path: Path) -> Iterator[Json]:
    """Yield the rows of `path` with what lies around them: fixtures, set-up, and ``now``."""
    beside = path.with_name(FIXTURES)
    shared = rows.read(beside) if beside.exists() else ()
    fixtures = {each["test"]: each["fixtures"] for each in shared}
    for plain in rows.read(path):
        own = {"now": plain.get("now"), "gates": _gates(plain)}
        setup = plain.get("setup") or {}
        row = {**plain, "around": {**own, **fixtures.get(plain["test"], {}), **setup}}
        yield cycles.digest(row) if row["test"] in cycles.WHOLE else topology.lifted(row)


def _gates(row: Json) -> dict[str, bool]:
    """Return the feature gates that differ from their default in all variants of a row."""
    changed = [each.get("gates") or {} for each in row.get("variants") or ()]
    if not changed:
        return {}
    return {
        name: is_on
        for name, is_on in changed[0].items()
        if all(each.get(name) == is_on for each in changed)
    }


KUEUE = Adapter(
    tests=TESTS,
    outside=OUTSIDE,
    shared=frozenset({rows.stem(Path(FIXTURES))}),
    read=read,
    named_max=FAULTS_MAX,
    reasons=FAULTS,
)
