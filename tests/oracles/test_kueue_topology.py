"""Kueue's own cases of topology-aware placement pass, but for two that lost an input."""

from verification.oracles import runner
from verification.oracles.kueue import KUEUE, topology

LOST_AN_INPUT = [
    (
        "non-hostname-leaf topology: prior c.usage must be applied even when "
        "aggregatedDomainUsages is non-nil empty"
    ),
    "sibling-flavor usage on the shared hostname reduces remaining capacity",
]


def test_only_cases_that_lost_an_input_fail(data_dir):
    path = data_dir / "oracles" / "kueue_cases.jsonl.gz"
    ours = KUEUE._replace(tests=topology.TESTS, outside={})
    found = runner.check_file(path, ours)
    failed = {line.split(": wantAssignments", 1)[0] for line in found.differences}
    assert failed == {f"TestFindTopologyAssignments/{name}" for name in LOST_AN_INPUT}
    assert found.passed == 117
    assert found.unnoticed == []


def test_all_cases_of_parts_pass(data_dir):
    for stem, count in (("kueue_tas_snapshot", 53), ("kueue_tas_balanced_placement", 15)):
        found = runner.check_file(data_dir / "oracles" / "kueue" / f"{stem}.jsonl.gz", KUEUE)
        assert (found.passed, found.differences, found.unnoticed) == (count, [], [])
        assert not found.outside
