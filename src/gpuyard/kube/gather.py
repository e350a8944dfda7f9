"""Many kinds at once: what can be read, and what could not and why.

For whoever looks at a whole cluster with the rights that happen to be there. Nothing that is
missing stops the rest: a kind that the cluster does not serve, a right that we lack, an API that is
down each become one entry of `unread`. Where we may not list a kind in the whole cluster, we try
the one namespace of our context, and say that we saw no more than that.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Generic, Literal, TypeVar

import msgspec

from gpuyard.kube.client import Client
from gpuyard.kube.discovery.served import Served
from gpuyard.kube.errors import AnswerError, ApiError, UnreachableError
from gpuyard.kube.listing import Listed, Which, list_all
from gpuyard.kube.resources import Resource
from gpuyard.kube.rights import Right
from gpuyard.kube.together import together
from gpuyard.kube.verdicts import FORBIDDEN, NOT_FOUND

AT_ONCE = 6
BROKEN_OFF = ("cut", "silent")  # this kind's answer; the server itself is there

Why = Literal["forbidden", "not served", "unknown", "failed"]
Kind = tuple[str, str]  # group, kind

T = TypeVar("T")


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """A kind that was not read, or not everywhere.

    `seen_in` is the one namespace that was read instead of all; `right` is what we lack.
    """

    kind: Kind
    why: Why
    sentence: str
    right: Right | None = None
    seen_in: str = ""


class Gathered(msgspec.Struct, Generic[T]):
    """Objects by (group, kind), as far as they could be read, in the order of the request."""

    listed: dict[Kind, Listed[T]]
    unread: list[Unread]

    def of(self, group: str, kind: str) -> list[T]:
        """Return the objects of a kind; none where it could not be read."""
        found = self.listed.get((group, kind))
        return found.items if found else []


async def gather(
    client: Client,
    served: Served,
    wanted: Iterable[Kind],
    into: type[T],
    *,
    which: Which | None = None,
    own_namespace: str = "",
    progress: Callable[[Kind, int], None] = lambda _kind, _count: None,
) -> Gathered[T]:
    """Return all objects of the kinds in `wanted`.

    A mapping as `into` gets ``apiVersion`` and ``kind``, which lists leave out or, with metadata
    alone, call by another name. `own_namespace` is where to look when the whole cluster is
    forbidden.

    Raises
    ------
    CredentialError
        where the server does not know us, or credentials cannot be had.
    UnreachableError
        where the server cannot be reached; a kind whose answer breaks off is only unread.

    """
    kinds = list(dict.fromkeys(wanted))
    reader = _Reader(client, into, which or Which(), own_namespace, progress)

    async def one(kind: Kind) -> tuple[Listed[T] | None, Unread | None]:
        resource = served.find(*kind)
        if resource is None or "list" not in resource.verbs:
            return None, _absent(kind, served)
        return await reader.read(kind, resource)

    answers = await together([partial(one, kind) for kind in kinds], at_once=AT_ONCE)
    found = dict(zip(kinds, answers, strict=True))
    return Gathered(
        {kind: listed for kind, (listed, _) in found.items() if listed is not None},
        [unread for _, unread in found.values() if unread is not None],
    )


class _Reader(msgspec.Struct, Generic[T]):
    client: Client
    into: type[T]
    which: Which
    own_namespace: str
    progress: Callable[[Kind, int], None]

    async def read(self, kind: Kind, resource: Resource) -> tuple[Listed[T] | None, Unread | None]:
        """Read a kind everywhere, or else in our own namespace."""
        try:
            return await self._list(kind, resource, self.which), None
        except UnreachableError as error:
            if error.fault not in BROKEN_OFF:
                raise
            return None, Unread(kind=kind, why="failed", sentence=str(error))
        except AnswerError as error:
            return None, Unread(kind=kind, why="failed", sentence=str(error))
        except ApiError as error:
            unread = _refused(kind, resource, self.which, error)
            may_narrow = (
                unread.why == "forbidden"
                and resource.is_namespaced
                and self.own_namespace
                and not self.which.namespace
            )
            if not may_narrow:
                return None, unread
        narrow = msgspec.structs.replace(self.which, namespace=self.own_namespace)
        try:
            listed = await self._list(kind, resource, narrow)
        except ApiError:
            return None, unread
        return listed, msgspec.structs.replace(
            unread,
            seen_in=self.own_namespace,
            sentence=f"{unread.sentence} (seen: namespace {self.own_namespace!r} only)",
        )

    async def _list(self, kind: Kind, resource: Resource, which: Which) -> Listed[T]:
        def heard(count: int) -> None:
            self.progress(kind, count)

        listed = await list_all(self.client, resource, self.into, which, progress=heard)
        for one in listed.items:
            if isinstance(one, dict):
                one.update(apiVersion=resource.api_version, kind=resource.kind)
        return listed


def _absent(kind: Kind, served: Served) -> Unread:
    group, name = kind
    shown = f"{name} of {group}" if group else name
    if why := served.why_unknown(group):
        return Unread(kind=kind, why="unknown", sentence=f"{shown} could not be looked up: {why}")
    return Unread(kind=kind, why="not served", sentence=f"the cluster does not serve {shown}")


def _refused(kind: Kind, resource: Resource, which: Which, error: ApiError) -> Unread:
    if error.status == FORBIDDEN:
        right = Right("list", resource.group, resource.plural, which.namespace)
        sentence = f"{resource.kind} objects were not read: missing right: {right}"
        return Unread(kind=kind, why="forbidden", sentence=sentence, right=right)
    if error.status == NOT_FOUND:
        return Unread(
            kind=kind, why="not served", sentence=f"the cluster serves no {resource.name} any more"
        )
    return Unread(kind=kind, why="failed", sentence=str(error))
