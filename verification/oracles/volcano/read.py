"""Read Volcano's published cases: one JSON array of Go literals, as ``go/ast`` sees them.

An entry is a `TestCommonStruct` literal of pkg/scheduler (Volcano v1.16.0-alpha.1, commit
ed72c7c8), or a whole table of them: each element is a row of its own, named by the literal's file
and line below pkg/scheduler and its index. Names of constants are put in (`CONSTANTS`), conversions
and empty maps are resolved, the builders of test objects stay (`objects` knows them).

Which actions a test runs, with which plugins, stands around its literal and therefore in
``setups.json``, by file and line. A row without a set-up, or whose set-up is a function of the
test, is compared by code that is not in the row. One that still names a variable of the source is
out of scope for that reason: its objects are nowhere in the extract.

A field that the source's comparison passes over is left out, and its zero values are put in where
it compares them (`_as_compared`).
"""

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from verification.oracles.rows import Json

SETUPS: Mapping[str, Json] = json.loads(
    Path(__file__).with_name("setups.json").read_text(encoding="utf-8")
)


def _priority_class(name: str, value: int) -> Json:
    return {"$call": "util.BuildPriorityClass", "args": [name, value]}


CONSTANTS: Mapping[str, Json] = {
    "highPrio": _priority_class("high-priority", 100_000),
    "highPrio.Name": "high-priority",
    "highPrio.Value": 100_000,
    "lowPrio": _priority_class("low-priority", 10),
    "lowPrio.Name": "low-priority",
    "priority": 1000,
    "commonutil.HardShardingMode": "hard",
    "commonutil.SoftShardingMode": "soft",
    "schedulingv1beta1.PodPreemptable": "volcano.sh/preemptable",
    "vcapisv1.PodPreemptable": "volcano.sh/preemptable",
    '""': "",  # the extract quotes an empty key
}
PACKAGES = frozenset(
    {
        "corev1",
        "scheduling",
        "schedulingv1",
        "schedulingv1beta1",
        "topologyv1alpha1",
        "v1",
        "vcapisv1",
    }
)
PREFIXES = (  # these names end in their own values
    "MemberType",
    "NodeSelectorOp",
    "PodGroup",
    "Pod",
    "Preempt",
    "QueueState",
    "TaintEffect",
)
BUILDERS = ("util.Build", "api.Build", "api.NewHyperNodeInfo", "buildPodWithPodAntiAffinity")
DRA_FIELDS = frozenset({"ResourceClaims", "ResourceSlices", "DeviceClasses"})
UNREAD = ("Name", "Plugins", "HyperNodesMap")  # said again in set-ups, and in HyperNodes
NOTHING_EXPECTED: Mapping[str, Json] = {
    "ExpectBindMap": {},
    "ExpectBindsNum": 0,
    "ExpectEvicted": [],
    "ExpectEvictNum": 0,
}


def read(path: Path) -> Iterator[Json]:
    """Yield the rows, in the form that the runner knows."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    for raw in json.loads(content):
        place = f"{raw['file'].removeprefix('pkg/scheduler/')}:{raw['line']}"
        cases = raw["case"] if isinstance(raw["case"], list) else [raw["case"]]
        for index, case in enumerate(cases):
            yield _row(case, place, f"{place}#{index}")


def _row(raw: Json, place: str, name: str) -> Json:
    setup = SETUPS.get(place)
    title = raw.get("Name", "")
    case = {key: resolve(value) for key, value in raw.items() if key not in UNREAD}
    test = harness(case, setup)
    if setup is not None:
        case = _as_compared({**case, **setup})
    return {"test": test, "name": f"{name} {title if isinstance(title, str) else ''}", "case": case}


def harness(case: Mapping[str, Json], setup: Json) -> str:
    """Return the actions that a row's test runs, or what keeps the row out."""
    if case.keys() & DRA_FIELDS:
        return "dra"
    if setup is None and not any(name.startswith("Expect") for name in case):
        return "compared by code"
    if is_unresolved(list(case.values())):
        return "unresolved"
    return " and ".join(setup["Actions"]) if setup else "compared by code"


def _as_compared(case: Mapping[str, Json]) -> Json:
    """Return a row with what its test compares, no more and no less."""
    expected = dict(NOTHING_EXPECTED)
    if case.get("MinimalBindCheck") or "ExpectBindNumsInHyperNode" in case:
        del expected["ExpectBindMap"]
        case = {name: value for name, value in case.items() if name != "ExpectBindMap"}
    if "ExpectBindNumsInHyperNode" in case:
        del expected["ExpectEvicted"], expected["ExpectEvictNum"]
    return {**expected, **case}


def resolve(value: Json) -> Json:
    """Put values in the place of the names and conversions that are known."""
    if isinstance(value, list):
        return [resolve(each) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _constant(value)
    if value.get("$call") == "make":
        return {}
    if value.get("$call") == "sets.New":
        return [resolve(each) for each in value["args"]]
    return {str(CONSTANTS.get(name, name)): resolve(each) for name, each in value.items()}


def _constant(value: dict[str, Any]) -> Json:
    name = value["$ref"]
    if name in CONSTANTS:
        return CONSTANTS[name]
    package, _, word = name.partition(".")
    if package not in PACKAGES:
        return value
    for prefix in PREFIXES:
        if word.startswith(prefix):
            return word.removeprefix(prefix)
    return word


def is_unresolved(value: Json) -> bool:
    """Tell whether something in `value` is known only to the source's code."""
    if isinstance(value, list):
        return any(is_unresolved(each) for each in value)
    if not isinstance(value, dict):
        return False
    if "$ref" in value or not value.get("$call", BUILDERS[0]).startswith(BUILDERS):
        return True
    return any(is_unresolved(each) for each in value.values())
