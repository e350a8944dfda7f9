"""Reading a live cluster for the commands that take one: options, progress, what was not seen.

One way in for all of them: kubectl's own options, objects as plain JSON by kind, each missing right
as one line on the standard error, and the sentence that an answer owes its reader: which cluster it
is about, seen by whom and when.
"""

import datetime as dt
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from gpuyard.cli import output

if TYPE_CHECKING:
    from gpuyard.kube.access import Access
    from gpuyard.kube.client import Client
    from gpuyard.kube.discovery.served import Served
    from gpuyard.kube.gather import Gathered, Kind, Unread
    from gpuyard.kube.kubeconfig.choose import Wish

Command = TypeVar("Command", bound=Callable[..., Any])
Object = dict[str, Any]

NS_PER_MICROSECOND = 1_000


class Look(NamedTuple):
    """What was asked for, as far as it could be read; kinds are written ``apps/Deployment``."""

    listed: dict[str, list[Object]]
    unread: "list[Unread]"
    namespace: str
    """The namespace of the context, or the one that was asked for."""
    source: str
    """``context prod``: what a report names in place of a file."""
    address: str
    at: dt.datetime
    seconds: float
    misfits: dict[str, int]
    """How many objects of a kind were no JSON objects."""
    context: str = ""
    version: str = ""
    """Of the server, where it was asked for."""
    chosen: str = ""
    """The one namespace that was asked for; "" where it was the whole cluster."""
    kept: str = ""
    """``snapshot prod.json, 3 hours old``, where it is from a file."""

    @property
    def hidden(self) -> "list[Unread]":
        """What is there, perhaps, and was not seen; a kind that is not served is simply not."""
        return [one for one in self.unread if one.why != "not served"]

    @property
    def absent(self) -> frozenset[str]:
        """Kinds that the cluster does not have."""
        return frozenset(written(one.kind) for one in self.unread if one.why == "not served")

    @property
    def only_here(self) -> frozenset[str]:
        """Kinds that were seen in `namespace` and nowhere else."""
        return frozenset(written(one.kind) for one in self.unread if one.seen_in)

    @property
    def sentence(self) -> str:
        """Say which cluster this was, and when: an answer names its source and its age."""
        if self.kept:
            when = self.at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
            where = f", namespace {self.chosen!r}" if self.chosen else ""
            return f"{self.kept}: {self.source} ({self.address}){where}, seen at {when}"
        when = self.at.astimezone().strftime("%H:%M:%S")
        return f"{self.source} ({self.address}), seen at {when} in {self.seconds:.1f} s"

    @property
    def at_ns(self) -> int:
        """The instant since the epoch, exactly."""
        since = self.at - dt.datetime.fromtimestamp(0, dt.UTC)
        return since // dt.timedelta(microseconds=1) * NS_PER_MICROSECOND


def options(*, namespaces: bool) -> Callable[[Command], Command]:
    """Return kubectl's options that say which cluster, as whom, and which namespace."""
    in_order = [
        click.option("--context", metavar="NAME", help="The context of the kubeconfig to use."),
        click.option(
            "--kubeconfig",
            metavar="FILE",
            help="The kubeconfig. [default: KUBECONFIG, ~/.kube/config, or the pod's own]",
        ),
        click.option(
            "--as", "impersonate", metavar="USER", help="Act as this user, as kubectl --as does."
        ),
    ]
    if namespaces:
        in_order += [
            click.option(
                "-n", "--namespace", metavar="NAME", help="Only the objects of this namespace."
            ),
            click.option(
                "-A",
                "--all-namespaces",
                is_flag=True,
                help="All namespaces. [default]",
            ),
        ]
    in_order.append(
        click.option(
            "--partial",
            is_flag=True,
            help="What may not be read does not count as an error; it is still named.",
        )
    )

    def add(command: Command) -> Command:
        for option in reversed(in_order):
            command = option(command)
        return command

    return add


def check_namespaces(namespace: str | None, *, everything: bool) -> None:
    """Refuse ``-n`` beside ``-A``.

    Raises
    ------
    click.UsageError
        where both are given.

    """
    if namespace and everything:
        raise click.UsageError("-n names one namespace and -A all of them; give one of the two")


def wish(
    context: str | None, kubeconfig: str | None, impersonate: str | None, namespace: str | None
) -> "Wish":
    """Return what the options say about the cluster."""
    from gpuyard.kube.kubeconfig.choose import Wish

    return Wish(
        kubeconfig=kubeconfig, context=context, namespace=namespace, impersonate=impersonate
    )


def look(
    wanted: "Wish",
    kinds: Iterable[str],
    *,
    everywhere: Collection[str] | None = None,
    asks_version: bool = False,
) -> Look:
    """Read all objects of `kinds`.

    Without a namespace in the wish the whole cluster is read. With one, only the kinds in
    `everywhere` are read beyond it (the pods that fill nodes, for instance).

    Raises
    ------
    click.ClickException
        where the cluster cannot be reached, or does not know us.

    """
    import asyncio  # here: files are checked without it, and it is slow to load

    from gpuyard.kube.errors import KubeError

    try:
        return asyncio.run(_look(wanted, tuple(kinds), everywhere or (), asks_version=asks_version))
    except KubeError as error:
        raise click.ClickException(str(error)) from error


async def _look(
    wanted: "Wish", kinds: tuple[str, ...], everywhere: Collection[str], *, asks_version: bool
) -> Look:
    from gpuyard.kube.connect import connected
    from gpuyard.kube.discovery.read import discover

    started, at = time.monotonic(), dt.datetime.now(dt.UTC)
    async with connected(wanted) as cluster:
        for warning in cluster.access.warnings:
            click.echo(f"gpuyard: {warning}", err=True)
        with _progress() as say:
            say(("", ""), 0)
            served = await discover(cluster.client)
            parts = [
                await _gather(cluster.client, served, part, namespace, cluster.access, say)
                for part, namespace in _parts(kinds, wanted.namespace, everywhere, served)
            ]
        version = await _version(cluster.client) if asks_version else ""
    seconds = time.monotonic() - started
    return _found(parts, cluster.access, at, seconds)._replace(
        version=version, chosen=wanted.namespace or ""
    )


async def _version(client: "Client") -> str:
    """Return what the server calls its version; nothing depends on it."""
    from gpuyard.kube.errors import AnswerError, ApiError

    try:
        told = await client.get("/version", dict, doing="asking for the server's version")
    except (AnswerError, ApiError):
        return ""
    return str(told.get("gitVersion", ""))


def _parts(
    kinds: Iterable[str], namespace: str | None, everywhere: Collection[str], served: "Served"
) -> "list[tuple[list[Kind], str]]":
    """Return which kinds are read where: (kinds, namespace or "" for all)."""
    within: list[Kind] = []
    beyond: list[Kind] = []
    for written in kinds:
        kind = kind_of(written)
        resource = served.find(*kind)
        is_narrow = namespace and written not in everywhere and resource and resource.is_namespaced
        (within if is_narrow else beyond).append(kind)
    return [(part, place) for part, place in ((within, namespace or ""), (beyond, "")) if part]


async def _gather(
    client: "Client",
    served: "Served",
    kinds: list[tuple[str, str]],
    namespace: str,
    access: "Access",
    say: Callable[[tuple[str, str], int], None],
) -> "Gathered[Object]":
    from gpuyard.kube.gather import gather
    from gpuyard.kube.listing import Which

    return await gather(
        client,
        served,
        kinds,
        dict,
        which=Which(namespace=namespace),
        own_namespace=access.namespace,
        progress=say,
    )


def _found(
    parts: "list[Gathered[Object]]", access: "Access", at: dt.datetime, seconds: float
) -> Look:
    listed = {written(kind): one.items for part in parts for kind, one in part.listed.items()}
    return Look(
        listed=listed,
        unread=[one for part in parts for one in part.unread],
        namespace=access.namespace,
        source=f"context {access.context}" if access.context else access.origin,
        address=access.server,
        at=at,
        seconds=seconds,
        misfits={
            written(kind): one.misfit_count
            for part in parts
            for kind, one in part.listed.items()
            if one.misfit_count
        },
        context=access.context,
    )


def tell_hidden(look: Look) -> bool:
    """Name on the standard error what was not seen, one by one; say whether there was anything."""
    for one in look.hidden:
        click.echo(f"gpuyard: {one.sentence}", err=True)
    if look.misfits:
        left_out = sum(look.misfits.values())
        click.echo(f"gpuyard: {left_out} objects are no JSON objects and were left out", err=True)
    return bool(look.hidden or look.misfits)


def kind_of(kind: str) -> tuple[str, str]:
    """Return (group, kind) of ``apps/Deployment``."""
    group, _, name = kind.rpartition("/")
    return group, name


def written(kind: tuple[str, str]) -> str:
    """Return ``apps/Deployment`` of (group, kind)."""
    return f"{kind[0]}/{kind[1]}" if kind[0] else kind[1]


@contextmanager
def _progress() -> Iterator[Callable[[tuple[str, str], int], None]]:
    """Show on a terminal which kind is being listed and how many objects there are so far."""
    counts: dict[tuple[str, str], int] = {}
    with output.activity("asking the cluster") as show:

        def say(kind: tuple[str, str], count: int) -> None:
            counts[kind] = count
            total = sum(counts.values())
            show(f"listing {kind[1]}: {total:,} objects so far" if kind[1] else "")

        yield say


def rights(hidden: "Iterable[Unread]") -> list[Mapping[str, str]]:
    """Return what was not seen for a report in JSON."""
    return [{"kind": written(one.kind), "why": one.why, "sentence": one.sentence} for one in hidden]
