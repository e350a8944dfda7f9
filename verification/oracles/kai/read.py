"""Read KAI's published cases: one JSON array of Go literals, as ``go/ast`` sees them.

A row is a ``TestTopologyBasic`` literal of pkg/scheduler/actions (KAI Scheduler v0.17). Names of
constants are put in (`CONSTANTS`), arithmetic is done, pointers are followed. Two things are not in
the literals and stand in ``left_out.json``, by file and line: the trees of sub-groups that the
source builds in closures, and how many rounds an integration test runs before and after it
compares. What then still names a variable or a function of the source makes the row one that only
the source's code can compute.

What a row asks of the mocked API (how many binds and evictions it may see) is set aside: it is an
upper bound, which a comparison could not fail by one.
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from verification.oracles.rows import Json

LEFT_OUT = Path(__file__).with_name("left_out.json")
ROUNDS = (2, 5)  # an integration test's, where it says nothing else
SECOND_NS = 10**9

CONSTANTS: Mapping[str, Json] = {
    "constants.PriorityTrainNumber": 50,
    "constants.PriorityInteractivePreemptibleNumber": 75,
    "constants.PriorityBuildNumber": 100,
    "constants.PriorityInferenceNumber": 125,
    "commonconstants.DefaultQueuePriority": 100,
    "time.Second": SECOND_NS,
    "time.Minute": 60 * SECOND_NS,
    "constants.SpreadStrategy": "spread",
    "constants.BinpackStrategy": "binpack",
    "subgroup_info.RootSubGroupSetName": "",
    "tasks_fake.NodeAffinityKey": "kai.scheduler/type",
    "v2alpha2.Preemptible": "Preemptible",
    "math.MaxInt64": 2**63 - 1,
}
PREFIXES = ("pod_status.", "node_info.MigStrategy")  # these names are their own values
CONVERSIONS = frozenset(
    {
        "ptr.To",
        "int32",
        "int64",
        "uint64",
        "float64",
        "pointer.Float64",
        "pointer.Int",
        "pointer.Duration",
        "test_utils.CreateFloat64Pointer",
    }
)
OPERATIONS = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
}
HARNESSES = ("allocate", "consolidation", "reclaim", "preempt", "stalegangeviction")
EXPECTATIONS = ("JobExpectedResults", "TaskExpectedResults", "ExpectedNodesResources")


def read(path: Path) -> Iterator[Json]:
    """Yield the rows, in the form that the runner knows."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    left_out = json.loads(LEFT_OUT.read_text(encoding="utf-8"))
    for raw in json.loads(content):
        place = f"{raw['file']}:{raw['line']}"
        yield _row(raw, place, left_out.get(place, {}))


def _row(raw: Json, place: str, left_out: Json) -> Json:
    known = raw["case"] if isinstance(raw["case"], dict) else {"Nodes": raw["case"]}
    case = {name: resolve(value) for name, value in known.items() if value is not None}
    title = str(case.pop("Name", ""))
    mocks = case.pop("Mocks", None) or {}
    if "SchedulerConf" in mocks:
        case["SchedulerConf"] = mocks["SchedulerConf"]
    if "groups" in left_out:
        case["Groups"] = left_out["groups"]
    case["Rounds"] = left_out.get("rounds", list(ROUNDS))
    if "TaskExpectedResults" in case:
        case["TaskExpectedResults"] = _of_pods_that_exist(case)
    short = place.removeprefix("pkg/scheduler/")
    return {"test": harness(raw["file"], case), "name": f"{short} {title}", "case": case}


def _of_pods_that_exist(case: Mapping[str, Json]) -> Json:
    """Return what is expected of pods, without names that no pod has: the source skips those."""
    jobs = [job for job in case.get("Jobs") or () if isinstance(job, dict) and "Tasks" in job]
    pods = {f"{job['Name']}-{index}" for job in jobs for index in range(len(job["Tasks"]))}
    expected = case["TaskExpectedResults"]
    return {key: wanted for key, wanted in expected.items() if key in pods or key[0] == "$"}


def harness(file: str, case: Mapping[str, Json]) -> str:
    """Return what the source does with a row: one action, all in rounds, or something of its own.

    A row without any expectation is compared by code that the row does not hold.
    """
    if "TestDRAObjects" in case:
        return "dra"
    if "/integration_tests/numa/" in file or file.endswith("_numa_test.go"):
        return "numa"
    if not any(case.get(name) for name in EXPECTATIONS):
        return "compared by code"
    folder = file.removeprefix("pkg/scheduler/actions/").split("/")[0]
    if folder == "integration_tests":
        return "rounds"
    return folder if folder in HARNESSES else "compared by code"


def resolve(value: Json) -> Json:
    """Put values in the place of the names and operations that are known."""
    if isinstance(value, list):
        return [resolve(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _constant(value)
    if "$bin" in value:
        x, y = resolve(value["x"]), resolve(value["y"])
        known = isinstance(x, int | float | str) and isinstance(y, int | float | str)
        return OPERATIONS[value["$bin"]](x, y) if known else value
    if value.get("$call") in CONVERSIONS:
        return resolve(value["args"][0])
    return {str(CONSTANTS.get(name, name)): resolve(each) for name, each in value.items()}


def _constant(value: dict[str, Any]) -> Json:
    name = value["$ref"]
    if name in CONSTANTS:
        return CONSTANTS[name]
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return value


def is_computed(value: Json) -> bool:
    """Tell whether something in `value` is known only to the source's code."""
    if isinstance(value, list):
        return any(is_computed(each) for each in value)
    if isinstance(value, dict):
        known = value.get("$call", "") in {
            "",
            "?",  # a closure: its result is in left_out.json
            "jobs_fake.DefaultSubGroup",
            "subgroup_info.NewSubGroupSet",
        }
        if "$ref" in value or "$bin" in value or not known:
            return True
        return any(is_computed(each) for each in value.values())
    return False
