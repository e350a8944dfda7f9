"""What was seen of a cluster, as one JSON document that can be read again later and elsewhere.

The document says what it is (``gpuyard-snapshot/1``), when and where it was taken, which objects
were there, and which kinds could not be read and why: what was not seen then is not seen now. It is
plain JSON for any tool; where gzip is wanted, the caller compresses it, and `decode` tells by the
first bytes. A later version of the format gets a number and a reader of its own in `READERS`, and
the older readers stay. Fields that a reader does not know are passed over.

Two things never get in. Secrets, whoever asks for them. And ``managedFields``, which take more room
than all else: of these only who wrote an object is told, in `managers`, and `decode` puts it back,
because the name of a field manager may be the only trace of an installer.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, BinaryIO, TypeVar

import msgspec

from gpuyard.kube.gather import Why

NAME = "gpuyard-snapshot"
FORMAT = f"{NAME}/1"
BYTES_MAX = 2**31  # of the JSON; ten times a cluster of 50,000 pods
CHUNK_BYTES = 2**20
TAKEN_NS_MAX = 2**62  # the year 2116; what is later is no clock
GZIP_MAGIC = b"\x1f\x8b"
NEVER = frozenset({"Secret"})
AGAIN = "take a new one with gpuyard snapshot"

Object = dict[str, Any]
T = TypeVar("T")


class SnapshotError(ValueError):
    """A snapshot that cannot be used: which file, what is wrong with it, what to do."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The API server: where it was, and its version where it told."""

    address: str
    version: str = ""


class NotRead(msgspec.Struct, frozen=True, kw_only=True):
    """A kind that was not read, or in the namespace `seen_in` only, and why."""

    kind: str
    why: Why
    sentence: str
    seen_in: str = ""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The document; kinds are written ``apps/Deployment``, those of the core group bare."""

    format: str = FORMAT
    taken_ns: Annotated[int, msgspec.Meta(ge=0, lt=TAKEN_NS_MAX)]
    taken_at: str
    """The same instant for people (RFC 3339)."""
    seconds: float = 0.0
    """How long it took to read everything."""
    by: str = ""
    """The program that wrote it."""
    context: str = ""
    source: str
    """What findings name in place of a file: ``context prod``."""
    server: Server
    namespace: str = ""
    """The namespace of the context, or the one that was asked for."""
    only_namespace: str = ""
    """The one namespace that was asked for; "" where it was the whole cluster."""
    objects: dict[str, list[Object]]
    not_read: list[NotRead] = msgspec.field(default_factory=list)
    misfits: dict[str, int] = msgspec.field(default_factory=dict)
    """How many objects of a kind were no JSON objects."""
    managers: dict[str, dict[str, list[str]]] = msgspec.field(default_factory=dict)
    """By kind and ``namespace/name``: who wrote the object's fields, the first one first."""


class _Head(msgspec.Struct, frozen=True):
    format: str
    by: str = ""


READERS: Mapping[str, type[Snapshot]] = {FORMAT: Snapshot}
"""All versions that there have been; what none of them reads is newer, or no snapshot."""


def encode(snapshot: Snapshot) -> bytes:
    """Return the document, without what never gets in."""
    listed = {kind: one for kind, one in snapshot.objects.items() if kind not in NEVER}
    managers = {kind: _managers(objects) for kind, objects in listed.items()}
    kept = msgspec.structs.replace(
        snapshot,
        objects={kind: [_bare(one) for one in objects] for kind, objects in listed.items()},
        managers={kind: names for kind, names in managers.items() if names},
    )
    return msgspec.json.encode(kept) + b"\n"


def decode(file: BinaryIO, name: str) -> Snapshot:
    """Return what was written; `name` is what an error calls the file.

    Raises
    ------
    SnapshotError
        where it is damaged, something else, newer than this program, or too large.

    """
    content = _bounded(file, name)
    if content.startswith(GZIP_MAGIC):
        content = _unpacked(content, name)
    head = _read(content, _Head, _no_snapshot(name), name)
    reader = READERS.get(head.format)
    if reader is None:
        raise SnapshotError(_unknown(head, name))
    found = _read(content, reader, lambda why: f"{name}: is damaged ({why}); {AGAIN}", name)
    for kind in NEVER & set(found.objects):
        raise SnapshotError(
            f"{name}: holds {kind} objects, as no snapshot does; remove them, or {AGAIN}"
        )
    for kind, objects in found.objects.items():
        _sign(objects, found.managers.get(kind, {}))
    return found


def _bounded(file: BinaryIO, name: str) -> bytes:
    content = bytearray()
    while chunk := file.read(CHUNK_BYTES):
        content += chunk
        if len(content) > BYTES_MAX:
            raise SnapshotError(
                f"{name}: is larger than {BYTES_MAX} bytes; take one of a namespace (-n)"
            )
    return bytes(content)


def _unpacked(content: bytes, name: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            return _bounded(file, name)  # type: ignore[arg-type]  # typeshed: it reads all the same
    except (EOFError, OSError, zlib.error) as error:
        raise SnapshotError(f"{name}: is damaged (gzip: {error}); {AGAIN}") from None


def _read(content: bytes, kind: type[T], wrong: Callable[[str], str], name: str) -> T:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.ValidationError as error:
        raise SnapshotError(wrong(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SnapshotError(f"{name}: is no JSON that can be read ({error}); {AGAIN}") from None


def _no_snapshot(name: str) -> Callable[[str], str]:
    return lambda _: (
        f"{name}: is no snapshot of gpuyard; what kubectl get prints is a --bundle,"
        " and gpuyard snapshot makes a snapshot"
    )


def _unknown(head: _Head, name: str) -> str:
    kind, _, version = head.format.partition("/")
    if kind != NAME or not version.isdecimal() or int(version) < 1:
        return _no_snapshot(name)("")
    by = f", written by {head.by}" if head.by else ""
    return (
        f"{name}: is a {head.format}{by}, newer than the {FORMAT} that this version reads;"
        " upgrade gpuyard"
    )


def _bare(one: Object) -> Object:
    """Return an object without ``managedFields``; the one that is given stays as it is."""
    metadata = one.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return one
    kept = {key: value for key, value in metadata.items() if key != "managedFields"}
    return {**one, "metadata": kept}


def _managers(objects: Sequence[Object]) -> dict[str, list[str]]:
    return {_name(one): names for one in objects if (names := _writers(one))}


def _writers(one: Object) -> list[str]:
    """Return who wrote an object itself, not its status or another subresource."""
    metadata = one.get("metadata")
    fields = metadata.get("managedFields") if isinstance(metadata, dict) else None
    names = [
        field["manager"]
        for field in (fields if isinstance(fields, list) else ())
        if isinstance(field, dict)
        and isinstance(field.get("manager"), str)
        and not field.get("subresource")
    ]
    return list(dict.fromkeys(names))


def _sign(objects: Sequence[Object], managers: Mapping[str, Sequence[str]]) -> None:
    """Put back who wrote the objects, in the form in which the API server tells it."""
    for one in objects:
        metadata, names = one.get("metadata"), managers.get(_name(one))
        if names and isinstance(metadata, dict):
            metadata["managedFields"] = [{"manager": name} for name in names]


def _name(one: Object) -> str:
    metadata = one.get("metadata")
    found = metadata if isinstance(metadata, dict) else {}
    return f"{found.get('namespace') or ''}/{found.get('name') or ''}"
