"""``gpuyard doctor``: what the GPUs of a cluster stand on, who installed it, what contradicts."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuyard.cli import cluster, kept, manifests, output

if TYPE_CHECKING:
    from gpuyard.cli.cluster import Look
    from gpuyard.kube.kubeconfig.choose import Wish
    from gpuyard.platform.layers import Facts
    from gpuyard.platform.layers.report import Source


@click.command(
    "doctor",
    epilog="""
    Examples:

    \b
      gpuyard doctor
      gpuyard doctor --context prod --as reader --partial
      gpuyard doctor --bundle cluster.json -o json
      gpuyard doctor --snapshot cluster.json.gz

    \b
    A bundle is what kubectl prints:
      kubectl get nodes,pods,ds,deploy,resourcequota,clusterpolicies.nvidia.com -A -o json \\
        > cluster.json
    A snapshot is what gpuyard snapshot --to FILE writes; it also knows what could not be read.

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
@kept.option
@output.options("table", "json")
def command(
    *,
    context: str | None,
    kubeconfig: str | None,
    impersonate: str | None,
    partial: bool,
    bundle_path: Path | None,
    snapshot_path: Path | None,
    form: str,
    to: Path | None,
    no_color: bool,
) -> None:
    """Show what makes GPUs usable in a cluster, and where that contradicts itself.

    For each pool of GPU nodes and each layer (driver, container toolkit, device plugin, labels,
    exporter, MIG manager, node features, network, DRA, queue): who installed it, in which version,
    on how many nodes it is ready. Look here before you install anything twice. Nothing is written.
    """
    is_live_asked = bool(context or kubeconfig or impersonate)
    _check_use(bundle_path, snapshot_path, is_live_asked=is_live_asked)
    output.check_writable(to)
    from gpuyard.platform.layers import NEEDED, examine
    from gpuyard.platform.layers.report import as_json, as_table

    is_incomplete = False
    if bundle_path is not None:
        facts, source = _of_bundle(bundle_path)
    else:
        look = _look(cluster.wish(context, kubeconfig, impersonate, None), snapshot_path)
        is_incomplete = cluster.tell_hidden(look)
        facts, source = _of_cluster(look)
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


def _check_use(
    bundle_path: Path | None, snapshot_path: Path | None, *, is_live_asked: bool
) -> None:
    """Refuse two clusters at once."""
    if bundle_path is not None and snapshot_path is not None:
        raise click.UsageError("--bundle and --snapshot are both the cluster; give one of the two")
    if is_live_asked and (bundle_path is not None or snapshot_path is not None):
        name = "--bundle" if bundle_path is not None else "--snapshot"
        raise click.UsageError(f"{name} is the cluster; leave out the options of a live one")


def _look(wanted: "Wish", snapshot_path: Path | None) -> "Look":
    from gpuyard.platform.layers import KINDS

    if snapshot_path is None:
        return cluster.look(wanted, KINDS)
    look = kept.look_at(snapshot_path, KINDS)
    kept.check_whole(look, snapshot_path, "doctor looks at the whole cluster")
    return look


def _of_cluster(look: "Look") -> "tuple[Facts, Source]":
    from gpuyard.platform.layers import Facts
    from gpuyard.platform.layers.report import Source

    facts = Facts(
        listed=look.listed,
        absent=look.absent,
        only_here=look.only_here,
        now_ns=look.at_ns,
    )
    source = Source(
        sentence=look.sentence,
        seen_at=look.at.isoformat(timespec="seconds"),
        hidden=cluster.rights(look.hidden),
    )
    return facts, source


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
