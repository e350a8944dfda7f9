"""A look at a cluster, kept in a file: the same `Look` today and next week, here and elsewhere.

What a command reads of a snapshot is what it would have listed of the cluster, and nothing else, so
that its answer is the one that it would have given then. A kind that it wants and that nobody asked
for when the snapshot was taken (an older version knew fewer) was not seen.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gpuyard.cli import cluster, output
from gpuyard.cli.cluster import Look, Object

if TYPE_CHECKING:
    from gpuyard.kube.gather import Unread
    from gpuyard.kube.snapshot_file import Snapshot

Command = TypeVar("Command", bound=Callable[..., Any])

EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)
NS_PER_MICROSECOND = 1_000
AGES = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))  # seconds in each
AT_LEAST = 2  # of a unit, or the next smaller one says it better


def option(command: Command) -> Command:
    """Add ``--snapshot`` to a command that otherwise asks a live cluster."""
    return click.option(
        "--snapshot",
        "snapshot_path",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="What gpuyard snapshot wrote, instead of a cluster.",
    )(command)


def kept(look: Look) -> "Snapshot":
    """Return a look as the document of a snapshot."""
    from gpuyard.kube.snapshot_file import NotRead, Server, Snapshot

    return Snapshot(
        taken_ns=look.at_ns,
        taken_at=look.at.isoformat(timespec="milliseconds"),
        seconds=round(look.seconds, 3),
        by=output.version(),
        context=look.context,
        source=look.source,
        server=Server(address=look.address, version=look.version),
        namespace=look.namespace,
        only_namespace=look.chosen,
        objects=look.listed,
        not_read=[
            NotRead(
                kind=cluster.written(one.kind),
                why=one.why,
                sentence=one.sentence,
                seen_in=one.seen_in,
            )
            for one in look.unread
        ],
        misfits=look.misfits,
    )


def look_at(
    path: Path,
    kinds: Iterable[str],
    *,
    namespace: str | None = None,
    everywhere: Collection[str] = (),
    now: dt.datetime | None = None,
) -> Look:
    """Return what a snapshot tells of `kinds`; with a namespace, as `cluster.look` reads one.

    Raises
    ------
    ValueError
        where the file is none, or was taken of another namespace alone.

    """
    from gpuyard.kube.snapshot_file import decode

    with path.open("rb") as file:
        found = decode(file, str(path))
    look = _look(found, tuple(kinds), _age(found, str(path), now or dt.datetime.now(dt.UTC)))
    if not namespace or namespace == look.chosen:
        return look
    if look.chosen:
        raise ValueError(
            f"{path}: was taken of namespace {look.chosen!r} only; leave out -n,"
            " or take one of the whole cluster"
        )
    return _within(look, namespace, everywhere)


def check_whole(look: Look, path: Path, why: str) -> None:
    """Refuse a snapshot of one namespace where the whole cluster is needed.

    Raises
    ------
    click.UsageError
        with what needs it: `why`.

    """
    if look.chosen:
        raise click.UsageError(
            f"{path} was taken of namespace {look.chosen!r} only, and {why};"
            " take one without -n: gpuyard snapshot --to FILE"
        )


def _look(found: "Snapshot", kinds: tuple[str, ...], age: str) -> Look:
    wanted = frozenset(kinds)
    listed = {kind: objects for kind, objects in found.objects.items() if kind in wanted}
    return Look(
        listed=listed,
        unread=_unread(found, kinds),
        namespace=found.namespace,
        source=found.source,
        address=found.server.address,
        at=EPOCH + dt.timedelta(microseconds=found.taken_ns // NS_PER_MICROSECOND),
        seconds=found.seconds,
        misfits={kind: count for kind, count in found.misfits.items() if kind in wanted},
        context=found.context,
        version=found.server.version,
        chosen=found.only_namespace,
        kept=age,
    )


def _unread(found: "Snapshot", kinds: Iterable[str]) -> "list[Unread]":
    """Return what was not read of `kinds`, in their order, or never asked for."""
    from gpuyard.kube.gather import Unread

    known = {one.kind: one for one in found.not_read}
    unread = []
    for kind in kinds:
        if one := known.get(kind):
            unread.append(
                Unread(
                    kind=cluster.kind_of(kind),
                    why=one.why,
                    sentence=one.sentence,
                    seen_in=one.seen_in,
                )
            )
        elif kind not in found.objects:
            unread.append(
                Unread(
                    kind=cluster.kind_of(kind),
                    why="unknown",
                    sentence=f"{kind} objects were not asked for when the snapshot was taken;"
                    " take a new one with gpuyard snapshot",
                )
            )
    return unread


def _within(look: Look, namespace: str, everywhere: Collection[str]) -> Look:
    """Return what one would have seen with ``-n``; a kind of another namespace was not seen."""
    import msgspec

    lost = {cluster.written(one.kind) for one in look.unread if one.seen_in not in ("", namespace)}
    listed = {
        kind: objects if kind in everywhere else _of(objects, namespace)
        for kind, objects in look.listed.items()
        if kind not in lost
    }
    unread = [
        msgspec.structs.replace(one, seen_in=one.seen_in if one.seen_in == namespace else "")
        for one in look.unread
        if one.seen_in != namespace or cluster.written(one.kind) in everywhere
    ]
    return look._replace(listed=listed, unread=unread, namespace=namespace, chosen=namespace)


def _of(objects: Iterable[Object], namespace: str) -> list[Object]:
    """Return the objects of a namespace, and those that are in none."""
    return [one for one in objects if _namespace(one) in {"", namespace}]


def _namespace(one: Object) -> str:
    metadata = one.get("metadata")
    return str(metadata.get("namespace") or "") if isinstance(metadata, dict) else ""


def _age(found: "Snapshot", name: str, now: dt.datetime) -> str:
    """Return what the answer says of the file: ``snapshot prod.json.gz, 3 hours old``."""
    from gpuyard.lint.wording import count

    now_ns = (now - EPOCH) // dt.timedelta(microseconds=1) * NS_PER_MICROSECOND
    seconds = (now_ns - found.taken_ns) // 10**9
    size, unit = next((one for one in AGES if abs(seconds) >= AT_LEAST * one[0]), AGES[-1])
    age = count(abs(seconds) // size, unit)
    return f"snapshot {name}, {age} {'old' if seconds >= 0 else 'ahead of this clock'}"
