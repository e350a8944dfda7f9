"""Everything of one kind, page by page, as it was at one instant.

The first answer fixes a resource version; each page carries a token that continues the same list,
so all pages together are one consistent picture, however much changes meanwhile. etcd forgets old
versions, and a walk that takes too long then gets 410 Gone. Pages seen so far are of no use any
more, and a second walk would take as long as the first: it starts once from the beginning and asks
for everything in one answer, which cannot become too old.

`Walk` is these rules without a network: `query` says what to ask, `feed` takes a page, `expired`
hears of a 410. `list_all` drives it. An object that does not fit the caller's type harms only
itself: it is left out of the items and named in `misfits`.

Semantics: Kubernetes API concepts, "Retrieving large results sets in chunks"; client-go v0.36,
tools/pager/pager.go (`FullListIfExpired`).
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from gpuyard.kube.client import Client, decode
from gpuyard.kube.errors import AnswerError, ApiError
from gpuyard.kube.resources import Resource
from gpuyard.kube.transport import Query, Request
from gpuyard.kube.verdicts import GONE

PAGE_OBJECTS = 500  # kubectl's --chunk-size
PAGES_MAX = 100_000
MISFITS_NAMED_MAX = 100

METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
PLAIN = "application/json"

T = TypeVar("T")
V = TypeVar("V")


class ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    """ListMeta: where the list stands, and how it goes on."""

    resource_version: str = ""
    continue_token: str = msgspec.field(default="", name="continue")
    remaining_item_count: int | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One answer to a LIST. Go writes an empty list as ``null``."""

    metadata: ListMeta = ListMeta()
    items: list[T] | None = None


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects of a kind; without a namespace those of all."""

    namespace: str = ""
    labels: str = ""
    fields: str = ""
    metadata_only: bool = False
    page_objects: int = PAGE_OBJECTS


class Misfit(msgspec.Struct, frozen=True):
    """An object that could not be read as the wanted type: its namespace/name, and why."""

    name: str
    why: str


class Listed(msgspec.Struct, Generic[T]):
    """All objects, the version at which they were seen, and those that could not be read."""

    items: list[T] = msgspec.field(default_factory=list)
    resource_version: str = ""
    misfits: list[Misfit] = msgspec.field(default_factory=list)  # the first of them
    misfit_count: int = 0


class Walk:
    """One way through the pages of a list."""

    def __init__(self, which: Which) -> None:
        self._which = which
        self._token = ""
        self._pages = 0
        self._is_second = False
        self.is_done = False
        self.resource_version = ""

    def query(self) -> Query:
        """Return what to ask for next."""
        which = self._which
        asked = [
            ("labelSelector", which.labels),
            ("fieldSelector", which.fields),
            ("limit", "" if self._is_second else str(which.page_objects)),
            ("continue", self._token),
        ]
        return tuple((key, value) for key, value in asked if value)

    def feed(self, metadata: ListMeta) -> None:
        """Take note of a page.

        Raises
        ------
        AnswerError
            where the server's list never ends.

        """
        self._pages += 1
        self.resource_version = metadata.resource_version
        repeats = bool(self._token) and metadata.continue_token == self._token
        if repeats or self._pages > PAGES_MAX:
            raise AnswerError(
                f"the list does not end (page {self._pages} continues where it began); the server"
                " behind this kind needs mending"
            )
        self._token = metadata.continue_token
        self.is_done = not self._token

    def expired(self) -> bool:
        """Hear that the list is too old to go on; say whether to start anew."""
        if self._is_second:
            return False
        self._is_second = True
        self._token = ""
        self._pages = 0
        return True


async def list_all(
    client: Client,
    resource: Resource,
    kind: type[T],
    which: Which | None = None,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Listed[T]:
    """Return all objects of a resource as `kind`; `progress` hears how many there are so far.

    Raises
    ------
    ApiError
        where the server refuses, twice over where the list became too old.
    KubeError
        of other types as `Client.send` says.

    """
    which = which or Which()
    doing = f"listing {resource.name}{resource.where(which.namespace)}"
    walk = Walk(which)
    pages = msgspec.json.Decoder(Page[kind])  # type: ignore[valid-type]  # known only at run time
    listed: Listed[T] = Listed()
    while not walk.is_done:
        request = Request(
            path=resource.path(which.namespace),
            query=walk.query(),
            headers=(("Accept", METADATA_ONLY if which.metadata_only else PLAIN),),
        )
        try:
            reply = await client.send(request, doing=doing)
        except ApiError as error:
            if error.status != GONE or not walk.expired():
                raise
            listed = Listed()
            continue
        try:
            walk.feed(_take_page(reply.body, pages, kind, listed))
        except AnswerError as error:
            raise error.during(doing) from None
        progress(len(listed.items))
    listed.resource_version = walk.resource_version
    return listed


def _take_page(
    body: bytes, pages: msgspec.json.Decoder[Page[T]], kind: type[T], listed: Listed[T]
) -> ListMeta:
    """Add a page's objects to the list; one by one where one of them does not fit."""
    try:
        page = pages.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _take_each(body, kind, listed)
    listed.items.extend(page.items or ())
    return page.metadata


def _take_each(body: bytes, kind: type[T], listed: Listed[T]) -> ListMeta:
    page = decode(body, Page[msgspec.Raw])
    for raw in page.items or ():
        try:
            listed.items.append(msgspec.json.decode(raw, type=kind))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            listed.misfit_count += 1
            if len(listed.misfits) < MISFITS_NAMED_MAX:
                listed.misfits.append(Misfit(_name_of(raw), str(error)))
    return page.metadata


class _Metadata(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""


class _Named(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()


def _name_of(raw: msgspec.Raw) -> str:
    try:
        found = msgspec.json.decode(raw, type=_Named).metadata
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "an object without a readable name"
    return f"{found.namespace}/{found.name}" if found.namespace else found.name
