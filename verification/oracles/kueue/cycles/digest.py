"""Rows of whole cycles, brought into the form in which they are compared.

Of a Workload only decisions count: the quota it holds and where it stands, why it waits, whether it
was told to go and for what. `digest` brings the expected objects into that form before anybody sees
them, and gives resources that no API server admits in a pod a domain.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gpuyard.dialects import kueue
from gpuyard.model.queues import Admission
from verification.oracles.rows import Json, Kind

QUALIFIED = frozenset({"cpu", "memory", "pods", "ephemeral-storage"})


class Decided(NamedTuple):
    """What is known of a workload after a cycle.

    `waits` is the reason and the sentence of who has no quota, `evicted` of who has to go.
    """

    admission: Admission | None
    waits: tuple[str, str] | None = None
    evicted: tuple[str, ...] = ()


def digest(row: Json) -> Json:
    """Return `row` with the expected Workloads reduced to decisions, and full resource names."""
    row = _qualified(row, _bare_names(row))
    case = row["case"]
    digested: Json = {}
    if isinstance(case.get("wantWorkloads"), list):
        digested["wantWorkloads"] = {_key(each): decision(each) for each in case["wantWorkloads"]}
    if isinstance(case.get("wantStatus"), dict):
        digested["wantStatus"] = decision({"status": case["wantStatus"]})
    return {**row, "case": {**case, **digested}}


def _bare_names(row: Json) -> frozenset[str]:
    """Return the resource names of a row's queues that no API server admits in a pod."""
    queues = [
        queue
        for source in (row["case"], row["around"])
        for field in ("clusterQueues", "additionalClusterQueues")
        for queue in source.get(field) or ()
    ]
    names = {
        name
        for queue in queues
        for group in queue["spec"].get("resourceGroups") or ()
        for name in group["coveredResources"]
    }
    return frozenset(name for name in names - QUALIFIED if "/" not in name)


def _qualified(given: Json, bare: frozenset[str]) -> Json:
    """Return `given` with a domain before these resource names, also in sentences."""
    if isinstance(given, dict):
        return {_qualified(name, bare): _qualified(value, bare) for name, value in given.items()}
    if isinstance(given, list):
        return [_qualified(each, bare) for each in given]
    if not (bare and isinstance(given, str)):
        return given
    if given in bare:
        return f"{given}.example.com/{given}"  # sorts as the bare name does
    names = "|".join(sorted(bare))
    return re.sub(
        rf"(?:(?<= for )|(?<= resource ))({names})(?= in flavor | unavail)",
        r"\1.example.com/\1",
        given,
    )


def _key(workload: Json) -> str:
    metadata = workload["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def decision(workload: Json) -> Json:
    """Return what a Workload tells of a cycle."""
    status = workload.get("status") or {}
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    decision: Json = {}
    if status.get("admission"):
        counts = [
            {"name": each["name"], "count": each["count"]} for each in workload["spec"]["podSets"]
        ]
        decision["held"] = {
            "podSets": counts,
            "admission": status["admission"],
            "reclaimablePods": status.get("reclaimablePods"),
        }
    reserved = conditions.get("QuotaReserved")
    if reserved and reserved["status"] == "False":
        decision["waits"] = [reserved["reason"], reserved["message"]]
    gone = [
        conditions[kind]["reason"]
        for kind in ("Evicted", "Preempted")
        if kind in conditions and conditions[kind]["status"] == "True"
    ]
    return {**decision, "evicted": gone} if gone else decision


def read_decision(wanted: Json) -> Decided:
    """Return a `decision` as it is compared."""
    held = wanted.get("held")
    return Decided(
        None if held is None else _admission(held),
        tuple(wanted["waits"]) if "waits" in wanted else None,
        tuple(wanted.get("evicted", ())),
    )


def _admission(held: Json) -> Admission:
    read = kueue.admission(
        {
            "metadata": {"name": "any"},
            "spec": {"podSets": held["podSets"]},
            "status": {key: held.get(key) for key in ("admission", "reclaimablePods")},
        }
    )
    if read is None:
        raise ValueError("no admission")
    return read


# -- how expectations are read


def _read_keys(wanted: Json) -> dict[str, frozenset[str]]:
    return by_queue(wanted or {})


def _read_assignments(wanted: Json) -> dict[str, Admission]:
    return {key: _admission(_whole(admission)) for key, admission in (wanted or {}).items()}


def _whole(admission: Json) -> Json:
    counts = [
        {"name": each["name"], "count": each["count"]}
        for each in admission["podSetAssignments"] or ()
    ]
    return {"podSets": counts, "admission": admission}


def _read_wait(wanted: Json) -> tuple[str, str] | None:
    return None if wanted is None else read_decision(wanted).waits


def _read_decisions(wanted: Json) -> dict[str, Decided]:
    return {key: read_decision(each) for key, each in (wanted or {}).items()}


KEYS = Kind(_read_keys, {"altered": ["altered"]})
ASSIGNMENTS = Kind(_read_assignments, {"altered": {"podSetAssignments": []}})
WAIT = Kind(_read_wait, {"waits": ["altered", ""]})
DECISIONS = Kind(_read_decisions, {"altered/altered": {}}, frozenset({"podSets"}))


def by_queue(given: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """Return keys by queue, without empty queues."""
    return {name: frozenset(keys) for name, keys in given.items() if keys}
