"""What we may do, asked of the server before we try: missing rights, named one by one.

One `SelfSubjectRulesReview` lists what we may do in a namespace; where its list says that it is
incomplete (an authorizer that cannot enumerate), and for whatever holds for the whole cluster, a
`SelfSubjectAccessReview` asks about one right. Both may be asked by any logged-in user.

Semantics: k8s.io/api v0.36, authorization/v1; matching as in the RBAC authorizer
(k8s.io/kubernetes v1.36, pkg/apis/rbac/v1/evaluation_helpers.go).
"""

from collections.abc import Iterable, Sequence
from functools import partial

import msgspec

from gpuyard.kube.client import Client
from gpuyard.kube.together import together
from gpuyard.kube.transport import Request

AT_ONCE = 8
EVERYTHING = "*"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"


class Right(msgspec.Struct, frozen=True, order=True):
    """A verb on a resource (``pods``, ``pods/eviction``) of a group; without namespace in all."""

    verb: str
    group: str
    resource: str
    namespace: str = ""

    def __str__(self) -> str:
        name = f"{self.resource}.{self.group}" if self.group else self.resource
        place = f"namespace {self.namespace!r}" if self.namespace else "the whole cluster"
        return f"{self.verb} {name} in {place}"


class Rule(msgspec.Struct, frozen=True, rename="camel"):
    """ResourceRule."""

    verbs: list[str] | None = None
    api_groups: list[str] | None = None
    resources: list[str] | None = None
    resource_names: list[str] | None = None


class Rules(msgspec.Struct, frozen=True, rename="camel"):
    """SubjectRulesReviewStatus."""

    resource_rules: list[Rule] | None = None
    incomplete: bool = False


class _RulesReview(msgspec.Struct, frozen=True):
    status: Rules = Rules()


class _AccessStatus(msgspec.Struct, frozen=True):
    allowed: bool = False


class _AccessReview(msgspec.Struct, frozen=True):
    status: _AccessStatus = _AccessStatus()


async def missing_rights(client: Client, needed: Iterable[Right]) -> tuple[Right, ...]:
    """Return those of `needed` that we lack, in order.

    Raises
    ------
    KubeError
        where the server does not say.

    """
    rights = sorted(set(needed))
    namespaces = {right.namespace for right in rights if right.namespace}
    rules = {namespace: await rules_in(client, namespace) for namespace in sorted(namespaces)}
    verdicts = [
        allows(rules[right.namespace], right) if right.namespace else None for right in rights
    ]
    unsure = [right for right, verdict in zip(rights, verdicts, strict=True) if verdict is None]
    answers = await together([partial(may, client, right) for right in unsure], at_once=AT_ONCE)
    asked = dict(zip(unsure, answers, strict=True))
    return tuple(
        right
        for right, verdict in zip(rights, verdicts, strict=True)
        if not (asked[right] if verdict is None else verdict)
    )


async def rules_in(client: Client, namespace: str) -> Rules:
    """Return what we may do in a namespace, as far as the server can enumerate it."""
    doing = f"asking what we may do in namespace {namespace!r}"
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    reply = await client.send(_post("selfsubjectrulesreviews", body), doing=doing)
    return client.decoded(reply, _RulesReview, doing=doing).status


def allows(rules: Rules, right: Right) -> bool | None:
    """Say whether rules give a right in their namespace; None where they cannot tell."""
    if any(_covers(rule, right) for rule in rules.resource_rules or ()):
        return True
    return None if rules.incomplete else False


def _covers(rule: Rule, right: Right) -> bool:
    """Say whether a rule gives a right on all objects; one for named objects does not."""
    return (
        not rule.resource_names
        and _has(rule.verbs, right.verb)
        and _has(rule.api_groups, right.group)
        and _has_resource(rule.resources or (), right.resource)
    )


def _has(listed: Sequence[str] | None, wanted: str) -> bool:
    return listed is not None and (EVERYTHING in listed or wanted in listed)


def _has_resource(listed: Sequence[str], wanted: str) -> bool:
    _, slash, subresource = wanted.partition("/")
    return _has(listed, wanted) or (bool(slash) and f"*/{subresource}" in listed)


async def may(client: Client, right: Right) -> bool:
    """Say whether we have one right."""
    doing = f"asking whether we may {right}"
    resource, _, subresource = right.resource.partition("/")
    asked = {
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": right.namespace,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    reply = await client.send(_post("selfsubjectaccessreviews", body), doing=doing)
    return client.decoded(reply, _AccessReview, doing=doing).status.allowed


def _post(plural: str, body: object) -> Request:
    return Request(
        method="POST",
        path=f"{AUTHORIZATION}/{plural}",
        headers=(("Content-Type", "application/json"),),
        body=msgspec.json.encode(body),
        repeatable=True,  # a review is a question: it stores nothing
    )
