"""The aggregated form of discovery: all groups of ``/api`` or ``/apis`` in one answer.

Group order and version order are the server's preference. A version whose ``freshness`` is
``Stale`` belongs to an aggregated API that did not answer the server itself; what it listed last
may be gone.

Format: k8s.io/api v0.36, apidiscovery/v2 (GA since Kubernetes 1.30; v2beta1 since 1.27 has the same
fields).
"""

from collections.abc import Iterable, Iterator

import msgspec

from gpuyard.kube.discovery.served import Served
from gpuyard.kube.resources import Resource

ACCEPT = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,"
    "application/json"
)
CONTENT_MARK = "as=APIGroupDiscoveryList"
STALE = "Stale"


class _Kind(msgspec.Struct, frozen=True):
    kind: str = ""


class _Subresource(msgspec.Struct, frozen=True):
    subresource: str


class _Resource(msgspec.Struct, frozen=True, rename="camel"):
    resource: str
    response_kind: _Kind | None = None
    scope: str = ""
    verbs: list[str] | None = None
    subresources: list[_Subresource] | None = None


class _Version(msgspec.Struct, frozen=True):
    version: str
    resources: list[_Resource] | None = None
    freshness: str = ""


class _Metadata(msgspec.Struct, frozen=True):
    name: str = ""


class _Group(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()
    versions: list[_Version] | None = None


class GroupList(msgspec.Struct, frozen=True):
    """APIGroupDiscoveryList."""

    items: list[_Group] | None = None


def served(lists: Iterable[GroupList]) -> Served:
    """Return what the answers of ``/api`` and ``/apis`` say together."""
    groups = [group for one in lists for group in one.items or ()]
    unknown = {
        f"{group.metadata.name}/{version.version}": "its server did not answer the API server"
        for group in groups
        for version in group.versions or ()
        if version.freshness == STALE
    }
    return Served(tuple(one for group in groups for one in _resources(group)), unknown)


def _resources(group: _Group) -> Iterator[Resource]:
    for version in group.versions or ():
        for one in version.resources or ():
            if one.response_kind is None:  # only its subresources are served
                continue
            yield Resource(
                group=group.metadata.name,
                version=version.version,
                kind=one.response_kind.kind,
                plural=one.resource,
                is_namespaced=one.scope == "Namespaced",
                verbs=frozenset(one.verbs or ()),
                subresources=frozenset(sub.subresource for sub in one.subresources or ()),
            )
