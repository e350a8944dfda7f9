"""The older form of discovery: which groups there are, then one list per group and version.

Servers older than 1.27 have only this, and some proxies drop the header that asks for the other.
Subresources appear in the lists as ``pods/eviction``.

Format: k8s.io/apimachinery v0.36, meta/v1 (APIVersions, APIGroupList, APIResourceList).
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from gpuyard.kube.discovery.served import Served, in_preferred_order
from gpuyard.kube.resources import Resource


class _GroupVersion(msgspec.Struct, frozen=True, rename="camel"):
    group_version: str = ""
    version: str = ""


class _Group(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    versions: list[_GroupVersion] | None = None
    preferred_version: _GroupVersion | None = None


class CoreVersions(msgspec.Struct, frozen=True):
    """APIVersions: what ``/api`` answers."""

    versions: list[str] | None = None


class GroupList(msgspec.Struct, frozen=True):
    """APIGroupList: what ``/apis`` answers."""

    groups: list[_Group] | None = None


class _Resource(msgspec.Struct, frozen=True):
    name: str
    kind: str = ""
    namespaced: bool = False
    verbs: list[str] | None = None


class ResourceList(msgspec.Struct, frozen=True):
    """APIResourceList: what ``/apis/GROUP/VERSION`` answers."""

    resources: list[_Resource] | None = None


def group_versions(core: CoreVersions, groups: GroupList) -> tuple[str, ...]:
    """Return every ``v1`` or ``GROUP/VERSION`` whose list is to be fetched."""
    named = [one.group_version for group in groups.groups or () for one in group.versions or ()]
    return (*(core.versions or ()), *named)


def served(
    groups: GroupList, lists: Mapping[str, ResourceList], unknown: Mapping[str, str]
) -> Served:
    """Return what the lists, by group/version, say together."""
    preferred = {
        group.name: group.preferred_version.version
        for group in groups.groups or ()
        if group.preferred_version
    }
    found = [one for place, each in lists.items() for one in _resources(place, each)]
    return Served(in_preferred_order(found, preferred), dict(unknown))


def _resources(group_version: str, listed: ResourceList) -> Iterator[Resource]:
    group, _, version = group_version.rpartition("/")
    resources = listed.resources or ()
    for one in resources:
        if "/" in one.name:
            continue
        yield Resource(
            group=group,
            version=version,
            kind=one.kind,
            plural=one.name,
            is_namespaced=one.namespaced,
            verbs=frozenset(one.verbs or ()),
            subresources=frozenset(_subresources(one.name, resources)),
        )


def _subresources(name: str, resources: Iterable[_Resource]) -> Iterator[str]:
    for one in resources:
        parent, slash, subresource = one.name.partition("/")
        if slash and parent == name:
            yield subresource
