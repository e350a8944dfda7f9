"""How Kueue's expectations about flavors are read, and compared with our answers."""

from typing import NamedTuple

from gpuyard.dialects import kueue
from gpuyard.model.queues import FlavorResource
from gpuyard.model.topology import (
    DomainCount,
    TopologyUsage,
)
from gpuyard.scheduling.flavors.assignment import (
    FlavorAssignment,
    PodSetFlavors,
)
from gpuyard.scheduling.flavors.attempts import Attempt
from gpuyard.scheduling.flavors.question import Question
from gpuyard.scheduling.flavors.reasons import sentence
from verification.oracles.kueue.flavors.questions import resources_of
from verification.oracles.kueue.objects import amounts
from verification.oracles.rows import Json, Kind


class SomeOf(dict[str, str]):
    """Reasons by flavor; a table names some of them."""

    def __eq__(self, wanted: object) -> bool:
        return isinstance(wanted, dict) and wanted.items() <= self.items()

    __hash__ = None


class _Considered(NamedTuple):
    """An attempt, with its reasons as sentences."""

    flavor: str
    mode: str
    borrowing: int
    possibility: str | None
    reasons: tuple[str, ...]
    no_fit_reason: str

    @classmethod
    def of(cls, attempt: Attempt) -> "_Considered":
        return cls(
            attempt.flavor,
            attempt.mode.text,
            attempt.borrowing,
            None if attempt.prospect is None else attempt.prospect.text,
            tuple(sorted(map(sentence, attempt.reasons))),
            attempt.no_fit_reason,
        )


class _Attempts(NamedTuple):
    """What was tried, in a queue with these flavors and resources.

    Where a flavor fits the tables also tell of flavors that the search did not reach; they say that
    those do not match, or do not provide some resource. Where none fits they may leave some out.
    """

    tried: frozenset[_Considered]
    flavors: frozenset[str]
    resources: frozenset[str]

    def agree_with(self, wanted: frozenset[_Considered]) -> bool:
        """Tell whether `wanted` says the same of what was tried, and nothing wrong of the rest."""
        if not wanted:
            return True  # the table is silent
        if all(each.mode != "Fit" for each in self.tried):
            return wanted <= self.tried
        reached = {each.flavor for each in self.tried}
        beyond = {each for each in wanted if each.flavor not in reached}
        said = {each for each in wanted - beyond if not self._is_out_of_reach(each)}
        unsaid = {each for each in self.tried - said if each.mode == "Fit"}
        named = {each.flavor for each in wanted}
        return (
            said | unsaid == self.tried
            and {each.flavor for each in unsaid} <= named
            and all(map(self._is_out_of_reach, beyond))
        )

    def _is_out_of_reach(self, one: _Considered) -> bool:
        lacks = {
            f"flavor {one.flavor} does not provide resource {resource}"
            for resource in self.resources
        }
        return (
            one.flavor in self.flavors
            and (one.mode, one.borrowing, one.possibility) == ("NoFit", 0, None)
            and one.no_fit_reason in ("", "NoMatchingFlavor")
            and lacks.issuperset(one.reasons)
        )


class _PodSet(NamedTuple):
    """What a pod set got, without its attempts."""

    name: str
    number: int
    requests: frozenset[tuple[str, int]]
    flavors: frozenset[tuple[str, str, str, int]]
    said: tuple[str, ...]

    @classmethod
    def of(cls, given: PodSetFlavors) -> "_PodSet":
        """Return what we say."""
        said = [f"error: {sentence(given.error)}"] if given.error else []
        return cls(
            given.name,
            given.count,
            frozenset(given.requests.amounts),
            frozenset(
                (name, one.flavor, one.mode.text, one.tried_index) for name, one in given.choices
            ),
            tuple(said or sorted(map(sentence, given.reasons))),
        )

    @classmethod
    def read(cls, wanted: Json) -> "_PodSet":
        """Return what a table says."""
        status = wanted["status"]
        said = [f"error: {status['err']}"] if status.get("err") else []
        held = {"name": "main", "count": 1, "resourceUsage": wanted.get("requests") or {}}
        pod_sets = {"podSets": [{"count": 1}]}
        usage = kueue.admission(
            {
                "metadata": {"name": "wl"},
                "spec": pod_sets,
                "status": {"admission": {"podSetAssignments": [held]}},
            }
        )
        return cls(
            wanted["name"],
            wanted["count"],
            frozenset(usage.pod_sets[0].usage.amounts if usage else ()),
            frozenset(
                (name, one["name"], one["mode"], one["triedFlavorIdx"])
                for name, one in (wanted.get("flavors") or {}).items()
            ),
            tuple(said or sorted(status.get("reasons") or ())),
        )


def _read_attempt(wanted: Json) -> _Considered:
    return _Considered(
        wanted["flavor"],
        wanted["mode"],
        wanted["borrow"],
        wanted.get("preemptionPossibility"),
        tuple(sorted(wanted.get("reasons") or ())),
        wanted["noFitReason"],
    )


class _Whole(NamedTuple):
    """An assignment without its attempts."""

    pod_sets: tuple[_PodSet, ...]
    borrowing: int
    usage: frozenset[tuple[FlavorResource, int]]
    no_fit_reason: str


class _Wanted(NamedTuple):
    """What a table says of an assignment, with the attempts for each pod set."""

    whole: _Whole
    attempts: tuple[frozenset[_Considered], ...]


class Assigned:
    """Our assignment, to be compared with a table."""

    def __init__(self, given: FlavorAssignment, question: Question) -> None:
        groups = question.spec.resource_groups
        resources = frozenset(name for group in groups for name in group.covered_resources)
        flavors = frozenset(question.flavors)
        self.whole = _Whole(
            tuple(map(_PodSet.of, given.pod_sets)),
            given.borrowing,
            frozenset(given.usage.quota),
            given.no_fit_reason,
        )
        self.attempts = [
            _Attempts(frozenset(map(_Considered.of, each.attempts)), flavors, resources)
            for each in given.pod_sets
        ]

    def __repr__(self) -> str:
        return f"{self.whole}, {[tuple(each.tried) for each in self.attempts]}"

    def __eq__(self, wanted: object) -> bool:
        return (
            isinstance(wanted, _Wanted)
            and self.whole == wanted.whole
            and all(map(_Attempts.agree_with, self.attempts, wanted.attempts))
        )

    __hash__ = None  # type: ignore[assignment]


def _read_assigned(wanted: Json) -> _Wanted:
    pod_sets = wanted["podSets"]
    return _Wanted(
        _Whole(
            tuple(map(_PodSet.read, pod_sets)),
            wanted["borrowing"],
            frozenset(amounts(wanted["usage"]["quota"]).items()),
            wanted["noFitReason"],
        ),
        tuple(
            frozenset(map(_read_attempt, each.get("flavorAssignmentAttempts") or ()))
            for each in pod_sets
        ),
    )


def _read_group_flavors(wanted: Json) -> dict[str, dict[str, tuple[str, str, int]]]:
    return {
        pod_set: {
            resource: (one["name"], one["mode"], one["triedFlavorIdx"])
            for resource, one in flavors.items()
        }
        for pod_set, flavors in wanted.items()
    }


def read_places(wanted: Json) -> frozenset[TopologyUsage]:
    """Return the places in each flavor."""
    found = set()
    for flavor, places in wanted.items():
        for each in places:
            domain = DomainCount(tuple(each["values"]), each["count"])
            found.add(TopologyUsage(flavor, resources_of(each["singlePodRequests"]), (domain,)))
    return frozenset(found)


def _read_names(wanted: Json) -> set[str]:
    return set(wanted or ())


# Not compared by the source: where the search stands (it has tests of its own), and how far each
# choice borrows. `status` has a reason of its own kind that is never filled in.
_LEFT_OUT = frozenset({"lastState", "quotaCheckStrategy", "borrow", "noFitReason"})

ASSIGNED = Kind(_read_assigned, 1, _LEFT_OUT)
FLAVORS = Kind(lambda wanted: wanted or {}, {"altered": "altered"})
AMOUNTS = Kind(amounts, {"altered/cpu": 1})
PLACES = Kind(
    read_places, {"altered": [{"values": [], "count": 1, "singlePodRequests": {"cpu": 1}}]}
)
GROUP_FLAVORS = Kind(_read_group_flavors, 1, frozenset({"borrow"}))
NAMES = Kind(_read_names, ["altered"])
COUNT = Kind(lambda wanted: wanted, 1)
