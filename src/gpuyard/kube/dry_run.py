"""What a write would do, without doing it: server-side dry run.

The server runs everything that it would run (defaults, validation, admission, webhooks that support
it) and stores nothing. What comes back is the object as it would be stored, and the warnings that
a person would have seen. The parameter is set here and nowhere else, so no caller can forget it.

Semantics: Kubernetes API concepts, "Dry-run" and "Server-side apply"; warnings: RFC 9111 header
``Warning`` with code 299, KEP-1693.
"""

import re
from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec

from gpuyard.kube.client import Client
from gpuyard.kube.resources import Resource
from gpuyard.kube.transport import Query, Request

FIELD_OWNER = "gpuyard"
DRY_RUN: Query = (("dryRun", "All"), ("fieldManager", FIELD_OWNER))
STRICT: Query = (("fieldValidation", "Strict"),)
APPLY = "application/apply-patch+yaml"  # JSON is YAML
WARNING = re.compile(r'\b299 \S+ "((?:[^"\\]|\\.)*)"')

T = TypeVar("T")


class WouldBe(msgspec.Struct, Generic[T], frozen=True):
    """The object as it would be stored, and what the server warns of."""

    object: T
    warnings: tuple[str, ...]


async def create(
    client: Client,
    resource: Resource,
    value: Mapping[str, object],
    kind: type[T],
    *,
    namespace: str = "",
) -> WouldBe[T]:
    """Return what creating an object would give.

    Raises
    ------
    ApiError
        where the server would refuse: 409 there is one of this name, 422 it is not valid,
        403 a webhook or quota forbids it, …

    """
    request = Request(
        method="POST",
        path=resource.path(namespace),
        query=DRY_RUN + STRICT,
        headers=(("Content-Type", "application/json"),),
        body=msgspec.json.encode(value),
        repeatable=True,  # nothing is stored, however often
    )
    doing = f"trying to create {_named(resource, value)}{resource.where(namespace)}"
    return await _send(client, request, kind, doing)


async def apply(
    client: Client,
    resource: Resource,
    value: Mapping[str, object],
    kind: type[T],
    *,
    namespace: str = "",
) -> WouldBe[T]:
    """Return what a server-side apply would give; `value` holds only the fields that we want.

    Raises
    ------
    ApiError
        as `create`; 409 also where somebody else owns a field.

    """
    request = Request(
        method="PATCH",
        path=resource.path(namespace, _name(value)),
        query=DRY_RUN + STRICT,
        headers=(("Content-Type", APPLY),),
        body=msgspec.json.encode(value),
        repeatable=True,
    )
    doing = f"trying to apply {_named(resource, value)}{resource.where(namespace)}"
    return await _send(client, request, kind, doing)


async def _send(client: Client, request: Request, kind: type[T], doing: str) -> WouldBe[T]:
    reply = await client.send(request, doing=doing)
    value = client.decoded(reply, kind, doing=doing)
    return WouldBe(value, warnings_in(reply.headers.get("Warning", "")))


def warnings_in(header: str) -> tuple[str, ...]:
    """Return the texts of a ``Warning`` header, which may join several with commas."""
    return tuple(re.sub(r"\\(.)", r"\1", text) for text in WARNING.findall(header))


def _name(value: Mapping[str, object]) -> str:
    metadata = value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return name if isinstance(name, str) else ""


def _named(resource: Resource, value: Mapping[str, object]) -> str:
    name = _name(value)
    return f"{resource.kind} {name!r}" if name else f"a {resource.kind}"
