"""How kube-scheduler's expectations are read: statuses, scores, counts per topology pair."""

import re
from collections.abc import Iterable

from gpuyard.model.reasons import Rejection
from verification.oracles.rows import Json, Kind

Status = tuple[str, tuple[str, ...]]  # code, reasons in sorted order
SUCCESS: Status = ("Success", ())
SKIP: Status = ("Skip", ())


def status_of(rejections: Iterable[Rejection]) -> Status:
    """Return the status that Kubernetes gives a node with these rejections."""
    said = tuple(rejections)
    if not said:
        return SUCCESS
    is_resolvable = all(rejection.resolvable for rejection in said)
    code = "Unschedulable" if is_resolvable else "UnschedulableAndUnresolvable"
    return code, tuple(sorted(rejection.text for rejection in said))


def _read_status(wanted: Json) -> Status:
    if wanted is None:
        return SUCCESS
    return wanted["code"], tuple(sorted(_known_part(text) for text in wanted["reasons"] or ()))


def _known_part(reason: str) -> str:
    """Return of an API error only field and value: how the rule is put is not compared."""
    return INVALID_VALUE.sub(r"\1", reason)


INVALID_VALUE = re.compile(
    r"^parsing pod: \w+: (values\[\d+\]\[.*\]: Invalid value: .*): a valid label must be .*\)$"
)


def _read_scores(wanted: Json) -> dict[str, int]:
    return {score["name"]: score["score"] for score in wanted or ()}


def _read_pairs(wanted: Json) -> dict[tuple[str, str], int]:
    return {(each["key"]["key"], each["key"]["value"]): each["value"] for each in wanted or ()}


REFUSED = {"code": "Unschedulable", "reasons": ["altered"]}
PLUGIN_NAME = frozenset({"plugin", "err"})  # each test asks one plugin only

STATUS = Kind(_read_status, REFUSED, PLUGIN_NAME)
STATUS_CODE = Kind(lambda wanted: _read_status(wanted)[0], REFUSED, PLUGIN_NAME | {"reasons"})
STATUSES = Kind(lambda wanted: [_read_status(each) for each in wanted], [REFUSED], PLUGIN_NAME)
CODE = Kind(lambda wanted: wanted, "Unschedulable")
CODES = Kind(lambda wanted: wanted or None, {"altered": "Success"})
SCORES = Kind(_read_scores, [{"name": "altered", "score": 1}])
NUMBER = Kind(lambda wanted: wanted, 1)
TRUTH = Kind(lambda wanted: wanted, instead_of_nothing=True)
AMOUNTS = Kind(lambda wanted: wanted or {}, {"altered": 1})
PAIRS = Kind(_read_pairs, [{"key": {"key": "altered", "value": ""}, "value": 1}])
HINT = Kind(lambda wanted: wanted, "Queue")
UNREAD = Kind(lambda wanted: wanted, 1)  # of rows that are out of scope


# -- states of topology spread

LOG_DIGITS = 12  # Go computes its own logarithm; its last digit differs from every C library's
CONSTRAINT = ("maxSkew", "topologyKey", "minDomains", "nodeAffinityPolicy", "nodeTaintsPolicy")
SELECTOR_ITEM = re.compile(r"(!?)([^ !=,]+)(?: (in|notin) \(([^)]*)\)|=([^,]*))?(?:,|$)")


def read_selector(text: str) -> frozenset[tuple[str, str, frozenset[str]]]:
    """Return a selector in Kubernetes' text form as a set of requirements."""
    found = set()
    for absent, key, operator, values, value in SELECTOR_ITEM.findall(text):
        if operator:
            name = "In" if operator == "in" else "NotIn"
            found.add((key, name, frozenset(values.split(","))))
        elif absent:
            found.add((key, "DoesNotExist", frozenset()))
        elif f"{key}=" in text:
            found.add((key, "In", frozenset({value})))
        else:
            found.add((key, "Exists", frozenset()))
    return frozenset(found)


def _read_constraint(wanted: Json) -> tuple[object, ...]:
    values = tuple(wanted[field] for field in CONSTRAINT)
    return (*values, read_selector(wanted["selector"]["$selector"]))


def _read_filter_state(wanted: Json) -> object:
    """Read constraints, pods per domain and the fewest of them; the second path is a cache."""
    if not wanted or not wanted["constraints"]:
        return None
    return (
        [_read_constraint(each) for each in wanted["constraints"]],
        [paths[0]["matchNum"] for paths in wanted["criticalPaths"]],
        wanted["tpValueToMatchNum"],
    )


def _read_score_state(wanted: Json) -> object:
    if not wanted or not wanted["constraints"]:
        return None
    return (
        [_read_constraint(each) for each in wanted["constraints"]],
        wanted["ignoredNodes"],
        wanted["topologyValueToPodCounts"],
        [round(weight, LOG_DIGITS) for weight in wanted["topologyNormalizingWeight"]],
    )


FILTER_STATE = Kind(_read_filter_state, {"altered": 1}, frozenset({"criticalPaths"}))
SCORE_STATE = Kind(_read_score_state, {"altered": 1})
