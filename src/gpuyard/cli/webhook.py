"""``gpuyard webhook``: lint inside the API server's admission, and the manifests for it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuyard.cli import output

if TYPE_CHECKING:
    from gpuyard.lint import Settings
    from gpuyard.web.admission.manifests import Manifest

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@click.command(
    "webhook",
    epilog="""
    Examples:

    \b
      gpuyard webhook --print-manifests --image registry.example/gpuyard:1 | kubectl apply -f -
      gpuyard webhook --policies | kubectl apply -f -
      gpuyard webhook --cert tls.crt --key tls.key

    \b
    By default whoever writes an object with a finding sees a warning. The label gpuyard.io/lint of
    a namespace changes that: warn, audit (only the audit log), enforce (errors are refused), off.
    See docs/how-to/webhook.md.

    Nothing is ever refused because the webhook is not there: the API server is told to ignore that.
    SIGTERM ends it after what is being answered; exit code 0.
    """,
)
@click.option(
    "--listen",
    "address",
    default=":8443",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to listen; port 0 takes a free one.",
)
@click.option(
    "--cert",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The serving certificate, PEM. A new one is taken when the file changes. [default: one "
    "made for this run, whose authority is printed]",
)
@click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="Its key, PEM.")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Severities of rules, as lint's .gpuyard.yaml. [default: none]",
)
@click.option("--print-manifests", is_flag=True, help="Print what a cluster needs for it, and end.")
@click.option(
    "--policies",
    is_flag=True,
    help="Print ValidatingAdmissionPolicies of the rules that CEL can say, and end. They need no "
    "webhook.",
)
@click.option("--image", metavar="IMAGE", help="With --print-manifests: the container image.")
@click.option(
    "--namespace",
    metavar="NAME",
    help="With --print-manifests: where it runs. [default: gpuyard-system]",
)
@click.option(
    "--ca",
    "ca_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --print-manifests: the authority of a certificate that somebody else puts into the "
    "Secret. [default: a new certificate, valid for a year]",
)
@click.option(
    "--url",
    metavar="URL",
    help="With --print-manifests and --ca: the webhook runs outside of the cluster, at this "
    "address; only the configurations are printed.",
)
@output.options("yaml", "json")
def command(
    *,
    address: str,
    cert: Path | None,
    key: Path | None,
    config_path: Path | None,
    print_manifests: bool,
    policies: bool,
    image: str | None,
    namespace: str | None,
    ca_path: Path | None,
    url: str | None,
    form: str,
    to: Path | None,
    no_color: bool,  # noqa: ARG001  one set of options for all commands that print
) -> None:
    """Answer the API server's question what lint says of an object that is being written."""
    if print_manifests and policies:
        raise click.UsageError("--print-manifests and --policies are two answers; ask one by one")
    if not print_manifests and (image or namespace or ca_path or url):
        raise click.UsageError("--image, --namespace, --ca and --url say what --print-manifests is")
    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key are two halves; give both, or none")
    output.check_writable(to)
    settings = _settings(config_path)
    if policies:
        _print(_policies(settings), form, to)
    elif print_manifests:
        _print(_manifests(config_path, image, namespace, ca_path, url), form, to)
    else:
        _serve(address, cert, key, settings)


def _settings(path: Path | None) -> "Settings":
    from gpuyard.lint import Settings
    from gpuyard.lint.config import read_config

    return Settings() if path is None else read_config(path.read_bytes(), str(path))


def _policies(settings: "Settings") -> "list[Manifest]":
    from gpuyard.lint import catalogue
    from gpuyard.lint.policies import policies

    return policies(catalogue.rules(), settings)


def _manifests(
    config_path: Path | None,
    image: str | None,
    namespace: str | None,
    ca_path: Path | None,
    url: str | None,
) -> "list[Manifest]":
    from gpuyard.web.admission import manifests
    from gpuyard.web.admission.certificates import Own

    if url is None and image is None:
        raise click.UsageError("name the container image with --image")
    if url is not None and (ca_path is None or not url.startswith("https://")):
        raise click.UsageError("--url is an https:// address and needs the --ca that proves it")
    where = namespace or manifests.NAMESPACE
    own = Own(manifests.hosts(where)) if ca_path is None else None
    if own is not None:
        ends = f"{own.load()[1].ends:%Y-%m-%d}"
        click.echo(
            f"gpuyard: the certificate ends on {ends}; print and apply again before that", err=True
        )
    return manifests.manifests(
        manifests.Wanted(
            authority_pem=own.authority_pem if own else _authority(ca_path),
            image=image or "",
            namespace=where,
            url=url or "",
            pair_pem=own.pair_pem if own else None,
            settings="" if config_path is None else config_path.read_text(encoding="utf-8"),
        )
    )


def _authority(path: Path | None) -> bytes:
    assert path is not None
    found = path.read_bytes()
    if b"-----BEGIN CERTIFICATE-----" not in found:
        raise click.UsageError(f"{path} holds no PEM certificate; --ca is the authority's")
    return found


def _print(made: "list[Manifest]", form: str, to: Path | None) -> None:
    from gpuyard.cli.documents import as_json, as_yaml

    if not made:
        click.echo("gpuyard: no rule that is on can be said in CEL", err=True)
    output.write(as_json(made) if form == "json" else as_yaml(made), to)


def _serve(address: str, cert: Path | None, key: Path | None, settings: "Settings") -> None:
    from gpuyard.lint import catalogue
    from gpuyard.web.admission import manifests
    from gpuyard.web.admission.app import Webhook
    from gpuyard.web.admission.certificates import Files, Own, Shown
    from gpuyard.web.admission.log import Log
    from gpuyard.web.admission.measures import Measures
    from gpuyard.web.admission.server import State, listen, serve

    log = Log()
    with listen(address) as at:
        if cert is None or key is None:
            named = [host] if (host := address.rpartition(":")[0].strip("[]")) else []
            own = Own((*manifests.hosts(manifests.NAMESPACE), *LOCAL_HOSTS, *named))
            shown = Shown(own, log)
            click.echo(own.authority_pem.decode("ascii"), nl=False)
            sys.stdout.flush()
        else:
            shown = Shown(Files(cert, key), log)
        catalogue.rules(for_cluster=False)  # before the first review
        state = State(shown)
        webhook = Webhook(settings, Measures(lambda: shown.ends_s), log, state.not_ready)
        serve(webhook, at, shown, state, log)
