"""Whole cycles: what rounds make of the workloads of a row.

A row's objects go through the dialect into queues, holders and waiting workloads (`situation`);
rounds run; what they decided is compared with the objects that Kueue left behind (`digest`).
"""

from verification.oracles.kueue.cycles import outcomes, several, single
from verification.oracles.kueue.cycles.digest import digest
from verification.oracles.rows import Outside, Test

TESTS: dict[tuple[str, str], Test] = {**single.TESTS, **several.TESTS, **outcomes.TESTS}

WHOLE = frozenset(test for _, test in TESTS)  # whose rows are digested

OUTSIDE: dict[tuple[str, str], Outside] = {
    ("kueue_schedule_other", "TestScheduleConcurrentAdmission"): Outside.CONCURRENT_ADMISSION,
}

__all__ = ["OUTSIDE", "TESTS", "WHOLE", "digest"]
