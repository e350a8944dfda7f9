"""``gpuyard snapshot``: what lint and doctor would read of a cluster, into a file."""

from pathlib import Path

import click

from gpuyard.cli import cluster, kept, output


@click.command(
    "snapshot",
    epilog="""
    Examples:

    \b
      gpuyard snapshot --to cluster.json.gz
      gpuyard snapshot --to prod.json --context prod --as reader --partial
      gpuyard doctor --snapshot cluster.json.gz
      gpuyard lint --snapshot cluster.json.gz

    The file holds no Secrets. Everything else that is in the objects is in it: what a pod has in
    its environment, for instance. docs/reference/snapshot.md describes its fields.

    Exit code 0 where everything was read, 2 where a right is missing (--partial lets that pass; the
    file is written all the same and says what it lacks) or the cluster cannot be reached.
    """,
)
@cluster.options(namespaces=True)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="The file to write, whole or not at all; compressed if it ends in .gz.",
)
def command(
    *,
    context: str | None,
    kubeconfig: str | None,
    impersonate: str | None,
    namespace: str | None,
    all_namespaces: bool,
    partial: bool,
    to: Path,
) -> None:
    """Write what lint and doctor read of a cluster to a file, for later or for somebody else.

    lint --snapshot and doctor --snapshot then answer as they would have at that moment, without a
    cluster. Nothing is written to the cluster.
    """
    cluster.check_namespaces(namespace, everything=all_namespaces)
    output.check_writable(to)
    from gpuyard.kube.snapshot_file import NEVER, encode
    from gpuyard.lint import catalogue
    from gpuyard.lint.cluster import POD
    from gpuyard.lint.wording import count
    from gpuyard.platform.layers import KINDS
    from gpuyard.traces.whole import compressed_as_named

    kinds = sorted({*catalogue.kinds(), *KINDS} - NEVER)
    wished = cluster.wish(context, kubeconfig, impersonate, namespace)
    look = cluster.look(wished, kinds, everywhere={POD}, asks_version=True)
    is_incomplete = cluster.tell_hidden(look)
    output.write_bytes(compressed_as_named(to, encode(kept.kept(look))), to)
    objects = sum(map(len, look.listed.values()))
    click.echo(
        f"gpuyard: {to} holds {count(objects, 'object')} of {count(len(look.listed), 'kind')},"
        f" {look.sentence}",
        err=True,
    )
    if is_incomplete and not partial:
        click.get_current_context().exit(2)
