"""Which rows of whole cycles are none of ours, told from their inputs."""

from collections.abc import Mapping

from gpuyard.model.quantity import parse_nano
from verification.oracles.kueue.cycles.objects import given
from verification.oracles.rows import Json, OutOfScopeError, Outside


def refuse_what_is_not_ours(case: Mapping[str, Json]) -> None:
    """Raise OutOfScopeError where something decides that is no scheduler of ours."""
    gates = case.get("featureGates") or {}
    if gates.get("MultiKueueOrchestratedPreemption"):
        raise OutOfScopeError(Outside.MULTI_KUEUE)
    if any(each.get("$type", "").endswith("LimitRange") for each in case.get("objects") or ()):
        raise OutOfScopeError(Outside.PLUMBING)
    if any(_exceeds_its_limits(each) for each in case["workloads"] or ()):
        raise OutOfScopeError(Outside.PLUMBING)  # the API server would not admit its pods
    if any(each["spec"].get("admissionChecksStrategy") for each in given("clusterQueues", case)):
        raise OutOfScopeError(Outside.ADMISSION_CHECK)


def refuse_delayed_places(case: Mapping[str, Json]) -> None:
    """Refuse rows in which places wait for nodes that a ProvisioningRequest brings."""
    checks = {
        each["metadata"]["name"]
        for each in case.get("admissionChecks") or ()
        if each["spec"]["controllerName"] == "kueue.x-k8s.io/provisioning-request"
    }
    is_checked = any(checks & _checks(queue) for queue in case["clusterQueues"])
    seeks_another = any(
        (each.get("status") or {}).get("unhealthyNodes") for each in case["workloads"]
    )
    if is_checked and not seeks_another:
        raise OutOfScopeError(Outside.ADMISSION_CHECK)


def _checks(queue: Json) -> set[str]:
    strategy = queue["spec"].get("admissionChecksStrategy") or {}
    return {each["name"] for each in strategy.get("admissionChecks") or ()}


def _exceeds_its_limits(workload: Json) -> bool:
    containers = (
        container["resources"]
        for pod_set in workload["spec"].get("podSets") or ()
        for container in pod_set["template"]["spec"]["containers"]
    )
    return any(
        name in (each.get("limits") or {}) and parse_nano(each["limits"][name]) < parse_nano(amount)
        for each in containers
        for name, amount in (each.get("requests") or {}).items()
    )
