"""What a row expects, compared as the source's MatchExpectedAndRealTasks does.

Of a job all pods must have the status, and the node where one is named; of a pod likewise. Requests
are compared as sums; a number that is left out is zero in Go, so zero is expected of GPUs, and of
CPU, memory and accepted GPUs nothing is.

Groups of shared GPUs are no part of it: the source looks at them only where they are what it
expects already.
"""

from collections.abc import Iterable, Mapping

from verification.oracles.kai.answers import History, PodFacts, State
from verification.oracles.rows import Json, Kind

TOLERANCE = 1e-9
FREED = frozenset({"DontValidateGPUGroup", "GPUGroups", "ExpectedErrorMessage"})


class Wanted:
    """An expectation that equals a `History` whose every state is as expected."""

    def __init__(self, given: Mapping[str, Json]) -> None:
        """Keep what was read."""
        self.given = given

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and all(self.holds(state) for state in other)

    __hash__ = None  # type: ignore[assignment]  # an expectation is compared, not kept

    def __repr__(self) -> str:
        shown = [
            f"{key}: {wanted.get('Status', '')}"
            f"{'@' + wanted['NodeName'] if wanted.get('NodeName') else ''}"
            for key, wanted in sorted(self.given.items())
        ]
        return ", ".join(shown)

    def holds(self, state: State) -> bool:
        """Tell whether one state is as expected."""
        raise NotImplementedError


class WantedJobs(Wanted):
    """Expectations by job."""

    def holds(self, state: State) -> bool:
        """Tell whether all pods of the jobs are as expected."""
        return all(
            key in state.jobs and _are(list(state.jobs[key].values()), wanted)
            for key, wanted in self.given.items()
        )


class WantedPods(Wanted):
    """Expectations by pod; the source passes over those that do not exist."""

    def holds(self, state: State) -> bool:
        """Tell whether the pods are as expected."""
        pods = state.pods()
        return all(_are([pods[key]], wanted) for key, wanted in self.given.items() if key in pods)


class WantedNodes(Wanted):
    """Expectations by node."""

    def holds(self, state: State) -> bool:
        """Tell whether the nodes have so many whole GPUs idle and releasing."""
        return all(
            state.nodes[key] == (wanted.get("IdleGPUs", 0), wanted.get("ReleasingGPUs", 0))
            for key, wanted in self.given.items()
        )


def _are(pods: list[PodFacts], wanted: Mapping[str, Json]) -> bool:
    node = wanted.get("NodeName", "")
    if not isinstance(node, str) or not isinstance(wanted.get("Status"), str):
        return False
    return (
        all(pod.status == wanted["Status"] for pod in pods)
        and all(not node or pod.node == node for pod in pods)
        and _is_sum((pod.gpus for pod in pods), wanted.get("GPUsRequired", 0), always=True)
        and _is_sum((pod.gpus_accepted for pod in pods), wanted.get("GPUsAccepted", 0))
        and _is_sum((pod.cpu_milli for pod in pods), wanted.get("MilliCpuRequired", 0))
        and _is_sum((pod.memory for pod in pods), wanted.get("MemoryRequired", 0))
    )


def _is_sum(values: Iterable[float], wanted: float, *, always: bool = False) -> bool:
    return (not always and wanted == 0) or abs(sum(values) - wanted) < TOLERANCE


JOBS = Kind(WantedJobs, {"none": {"Status": "none"}}, FREED)
PODS = Kind(WantedPods, {"none": {"Status": "none"}}, FREED)
NODES = Kind(WantedNodes, {"none": {"IdleGPUs": 1}}, FREED)
