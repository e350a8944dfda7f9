"""Rules as ValidatingAdmissionPolicies: the API server itself says what is wrong.

A rule that CEL can express (`Rule.cel`) becomes one policy and one binding. Nothing has to run in
the cluster for it; what a policy cannot do is look past the object in front of it, count, or name
numbers in its message. By default it warns and writes to the audit log; who wants it to refuse
changes ``validationActions`` of its binding.

A policy asks what the rule asks: pod templates of all kinds in `places`, those with GPUs unless the
rule looks at all of them, without those whose annotations accept the rule. Namespaces labelled
``gpuyard.io/lint: off`` and Kubernetes' own are left alone.

API: admissionregistration.k8s.io/v1, ValidatingAdmissionPolicy (Kubernetes 1.30 and newer).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from gpuyard.lint.config import Settings
from gpuyard.lint.policies import cel
from gpuyard.lint.policies.places import PLACES, Places, plural
from gpuyard.lint.rule import CelRule, Rule

API = "admissionregistration.k8s.io/v1"
OPERATIONS = ("CREATE", "UPDATE")
SYSTEM_NAMESPACES = ("kube-node-lease", "kube-public", "kube-system")
LABEL = "gpuyard.io/lint"
OFF = "off"
ACTIONS = ("Warn", "Audit")

Manifest = dict[str, object]

_SPEC = re.compile(r"\bvariables\.spec\b")


def policies(rules: Iterable[Rule], settings: Settings | None = None) -> list[Manifest]:
    """Return a policy and its binding for each of `rules` that has CEL and is not switched off."""
    chosen = settings or Settings()
    made: list[Manifest] = []
    for rule in rules:
        if rule.cel is not None and chosen.severity(rule) is not None:
            made += (_policy(rule, rule.cel), _binding(rule))
    return made


def _policy(rule: Rule, written: CelRule) -> Manifest:
    places = list(_without(PLACES, written.except_kinds))
    spec = "podSpec"
    return {
        "apiVersion": API,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": _metadata(rule),
        "spec": {
            "failurePolicy": "Ignore",
            "matchConstraints": {"resourceRules": resource_rules(kinds_of(places))},
            "matchConditions": [
                *cel.conditions(),
                {"name": "not-ignored", "expression": f"!({cel.is_ignored('object', rule.id)})"},
            ],
            "variables": [
                {"name": "templates", "expression": cel.templates(places)},
                {"name": "specs", "expression": _specs(rule)},
            ],
            "validations": [
                {
                    "expression": f"variables.specs.all({spec}, "
                    f"{_SPEC.sub(spec, written.expression)})",
                    "message": f"{rule.id}: {rule.title}; {rule.remedy}",
                }
            ],
        },
    }


def _specs(rule: Rule) -> str:
    """Return the PodSpecs that a rule is about."""
    asks = f" && {cel.asks_gpus('one.spec')}" if rule.gpu_only else ""
    wanted = f"has(one.spec) && !({cel.is_ignored('one', rule.id)}){asks}"
    return f"variables.templates.filter(one, {wanted}).map(one, one.spec)"


def _binding(rule: Rule) -> Manifest:
    return {
        "apiVersion": API,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": _metadata(rule),
        "spec": {
            "policyName": _name(rule),
            "validationActions": list(ACTIONS),
            "matchResources": {"namespaceSelector": {"matchExpressions": everywhere_but(OFF)}},
        },
    }


def _metadata(rule: Rule) -> Manifest:
    return {
        "name": _name(rule),
        "labels": {"app.kubernetes.io/name": "gpuyard", "app.kubernetes.io/component": "lint"},
        "annotations": {"gpuyard.io/rule": rule.id},
    }


def _name(rule: Rule) -> str:
    return f"gpuyard-{rule.id.lower()}"


def everywhere_but(*modes: str) -> list[Manifest]:
    """Return the selector of namespaces: not Kubernetes' own, and not labelled with `modes`."""
    return [
        {
            "key": "kubernetes.io/metadata.name",
            "operator": "NotIn",
            "values": list(SYSTEM_NAMESPACES),
        },
        {"key": LABEL, "operator": "NotIn", "values": list(modes)},
    ]


def kinds_of(places: Iterable[Places]) -> list[tuple[str, str]]:
    """Return the kinds of `places`, each with its group."""
    return [(row.group, kind) for row in places for kind in row.kinds]


def resource_rules(kinds: Iterable[tuple[str, str]], scope: str = "Namespaced") -> list[Manifest]:
    """Return the resources of some kinds, by group, in all versions."""
    return [
        {
            "apiGroups": [group],
            "apiVersions": ["*"],
            "operations": list(OPERATIONS),
            "resources": [plural(kind) for _, kind in one],
            "scope": scope,
        }
        for group, one in groupby(sorted(kinds), key=lambda kind: kind[0])
    ]


def _without(places: Sequence[Places], kinds: Sequence[str]) -> Iterator[Places]:
    """Return `places` without some kinds, which are written ``ray.io/RayJob``."""
    for row in places:
        left = tuple(kind for kind in row.kinds if f"{row.group}/{kind}" not in kinds)
        if left:
            yield Places(row.group, left, row.templates)
