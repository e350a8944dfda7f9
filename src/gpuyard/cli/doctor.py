"""``gpuyard doctor``: what the GPUs of a cluster stand on, who installed it, what contradicts."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuyard.cli import cluster, manifests, output

if TYPE_CHECKING:
    from gpuyard.platform.layers import Facts
    from gpuyard.platform.layers.report import Source

NS_PER_SECOND = 10**9


@click.command(
    "doctor",
    epilog="""
    Examples:

    \b
      gpuyard doctor
      gpuyard doctor --context prod --as reader --partial
      gpuyard doctor --bundle cluster.json -o json

    \b
    A bundle is what kubectl prints:
      kubectl get nodes,pods,ds,deploy,resourcequota,clusterpolicies.nvidia.com -A -o json \\
        > cluster.json

    Exit code 0 where nothing contradicts itself, 1 where something does, 2 where the cluster cannot
    be reached or a right is missing (--partial lets that pass). docs/reference/doctor.md lists the
    checks and what each layer is recognised by.
    """,
)
@cluster.options(namespaces=False)
@click.option(
    "--bundle",
    "bundle_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Objects from kubectl get … -o json, instead of a cluster.",
)
@output.options("table", "json")
def command(
    *,
    context: str | None,
    kubeconfig: str | None,
    impersonate: str | None,
    partial: bool,
    bundle_path: Path | None,
    form: str,
    to: Path | None,
    no_color: bool,
) -> None:
    """Show what makes GPUs usable in a cluster, and where that contradicts itself.

    For each pool of GPU nodes and each layer (driver, container toolkit, device plugin, labels,
    exporter, MIG manager, node features, network, DRA, queue): who installed it, in which version,
    on how many nodes it is ready. Look here before you install anything twice. Nothing is written.
    """
    if bundle_path is not None and (context or kubeconfig or impersonate):
        raise click.UsageError("--bundle is the cluster; leave out the options of a live one")
    output.check_writable(to)
    from gpuyard.platform.layers import NEEDED, examine
    from gpuyard.platform.layers.report import as_json, as_table

    if bundle_path is not None:
        facts, source = _of_bundle(bundle_path)
        is_incomplete = False
    else:
        facts, source, is_incomplete = _of_cluster(context, kubeconfig, impersonate)
    found = examine(facts)
    columns, color = output.looks(to, no_color=no_color)
    output.write(
        as_json(found, source)
        if form == "json"
        else as_table(found, source, columns=columns, color=color),
        to,
    )
    if found.is_blind and bundle_path is not None:
        click.echo(
            f"gpuyard: {bundle_path} holds no {' and no '.join(sorted(NEEDED & set(found.unseen)))}"
            " objects; make it with kubectl get nodes,pods,ds,deploy -A -o json",
            err=True,
        )
    if found.is_blind or (is_incomplete and not partial):
        click.get_current_context().exit(2)
    if not found.is_fine:
        click.get_current_context().exit(1)


def _of_cluster(
    context: str | None, kubeconfig: str | None, impersonate: str | None
) -> "tuple[Facts, Source, bool]":
    from gpuyard.platform.layers import KINDS, Facts
    from gpuyard.platform.layers.report import Source

    look = cluster.look(cluster.wish(context, kubeconfig, impersonate, None), KINDS)
    is_incomplete = cluster.tell_hidden(look)
    facts = Facts(
        listed=look.listed,
        absent=look.absent,
        only_here=look.only_here,
        now_ns=int(look.at.timestamp() * NS_PER_SECOND),
    )
    source = Source(
        sentence=look.sentence,
        seen_at=look.at.isoformat(timespec="seconds"),
        hidden=cluster.rights(look.hidden),
    )
    return facts, source, is_incomplete


def _of_bundle(path: Path) -> "tuple[Facts, Source]":
    """Return what a bundle holds; a kind without an object in it was perhaps not asked for."""
    from gpuyard.platform.layers import Facts
    from gpuyard.platform.layers.report import Source

    listed: dict[str, list[dict[str, object]]] = {}
    for document in manifests.bundle(path).documents:
        group = document.api_version.rpartition("/")[0]
        kind = f"{group}/{document.kind}" if group else document.kind
        listed.setdefault(kind, []).append(document.value)
    written = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
    when = written.astimezone().strftime("%Y-%m-%d %H:%M")
    return Facts(listed=listed), Source(
        sentence=f"bundle {path}, written {when}",
        seen_at=written.isoformat(timespec="seconds"),
    )
