"""``gpuyard lint``: manifests, folders of them, or a bundle of a cluster, through all rules."""

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from gpuyard.cli import cluster, kept, manifests, output

if TYPE_CHECKING:
    from gpuyard.cli.cluster import Look
    from gpuyard.lint import Outcome, Settings, Text
    from gpuyard.lint.baseline import Baseline
    from gpuyard.lint.cluster import Seen
    from gpuyard.lint.fix import Contents
    from gpuyard.lint.texts import Given

FORMS = ("table", "json", "sarif", "github", "junit", "markdown")
THRESHOLDS = ("error", "warning", "info", "never")
PROGRESS_FILES_MIN = 200  # fewer are read before anybody wonders


@click.command(
    "lint",
    epilog="""
    Examples:

    \b
      gpuyard lint train.yaml
      gpuyard lint k8s/ -o sarif --to gpuyard.sarif
      helm template ./chart | gpuyard lint -
      gpuyard lint --bundle cluster.json
      gpuyard lint k8s/ --bundle cluster.json --fail-on error
      gpuyard lint --cluster --context prod
      gpuyard lint k8s/ --cluster
      gpuyard lint --cluster -n research --as reader --partial
      gpuyard lint --snapshot cluster.json.gz
      gpuyard lint k8s/ --write-baseline .gpuyard-baseline.json
      gpuyard lint k8s/ --baseline .gpuyard-baseline.json
      gpuyard lint k8s/ --fix

    \b
    A bundle is what kubectl prints:
      kubectl get nodes,pods,deploy,sts,ds,jobs,pdb -A -o json > cluster.json

    A finding is accepted by the annotation ignore.gpuyard.io/RULE: "reason" on the object or its
    pod template, or by the comment  # gpuyard:ignore RULE: reason  on its line or the line above.
    Settings lie in .gpuyard.yaml; see docs/reference/lint.md.

    Exit code 0 where nothing was found that is as bad as --fail-on, 1 where something was, 2 for
    what cannot be read: a file, or a kind of the cluster for which a right is missing (--partial
    lets that pass). Everything else is checked all the same.
    """,
)
@click.argument("paths", nargs=-1, metavar="[PATH… | -]")
@click.option(
    "--bundle",
    "bundle_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Objects of a cluster, from kubectl get … -o json. Alone they are checked; beside PATHs "
    "they are what those are checked against.",
)
@click.option(
    "--cluster",
    "is_live",
    is_flag=True,
    help="The objects of a live cluster: as with --bundle, alone or beside PATHs.",
)
@kept.option
@cluster.options(namespaces=True)
@click.option(
    "--fail-on",
    type=click.Choice(THRESHOLDS),
    help="The severity from which findings give exit code 1. [default: warning]",
)
@click.option(
    "--baseline",
    "baseline_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Leave out what this file knows.",
)
@click.option(
    "--write-baseline",
    "new_baseline_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write all that is found to a baseline instead of reporting it.",
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings. [default: .gpuyard.yaml here or in a folder above]",
)
@click.option(
    "--fix",
    "fixes",
    is_flag=True,
    help="Show what can be mended safely as a diff, ask, and write it.",
)
@click.option("--yes", is_flag=True, help="With --fix: do not ask.")
@output.options(*FORMS)
def command(
    *,
    paths: tuple[str, ...],
    bundle_path: Path | None,
    is_live: bool,
    snapshot_path: Path | None,
    context: str | None,
    kubeconfig: str | None,
    impersonate: str | None,
    namespace: str | None,
    all_namespaces: bool,
    partial: bool,
    fail_on: str | None,
    baseline_path: Path | None,
    new_baseline_path: Path | None,
    config_path: Path | None,
    fixes: bool,
    yes: bool,
    form: str,
    to: Path | None,
    no_color: bool,
) -> None:
    """Check Kubernetes manifests for what goes wrong with GPUs.

    PATH is a file, a folder (its .yaml, .yml and .json files at any depth) or - for the standard
    input. Without --cluster nothing is asked of one; nothing is written to one in any case.
    """
    wants = Wants(
        context, kubeconfig, impersonate, namespace, partial, all_namespaces, snapshot_path
    )
    has_look = _check_sources(wants, bundle_path, is_live=is_live)
    _check_use(paths, bundle_path, fixes=fixes, yes=yes, has_look=has_look)
    _check_cluster_use(wants, paths, has_look=has_look)
    output.check_writable(to)
    output.check_writable(new_baseline_path, "--write-baseline")
    gc.disable()  # values of manifests hold no cycles; looking for some takes a sixth of the time
    from gpuyard.lint.baseline import Baseline, read_baseline, without_known

    known = Baseline()
    if baseline_path is not None:
        known = read_baseline(baseline_path.read_bytes(), str(baseline_path))
    run = _Run(
        paths, bundle_path, *_settings(config_path, fail_on), wants=wants if has_look else None
    )
    outcome = run.outcome()
    if new_baseline_path is not None:
        _write_baseline(outcome, new_baseline_path)
        return
    if fixes:
        outcome = _mend(run, known, is_agreed=yes)
    _report(run, without_known(outcome, known), form, to, no_color=no_color)


class Wants(NamedTuple):
    """What the command line says about a live cluster, or the snapshot of one."""

    context: str | None
    kubeconfig: str | None
    impersonate: str | None
    namespace: str | None
    partial: bool
    everything: bool
    snapshot: Path | None


def _check_sources(wants: Wants, bundle_path: Path | None, *, is_live: bool) -> bool:
    """Refuse two clusters at once; say whether there is a live one or a snapshot."""
    given = {
        "--cluster": is_live,
        "--bundle": bundle_path is not None,
        "--snapshot": wants.snapshot is not None,
    }
    names = [name for name, is_given in given.items() if is_given]
    if len(names) > 1:
        raise click.UsageError(
            f"{names[0]} and {names[1]} are both the cluster; give one of the two"
        )
    if wants.snapshot is not None and any(wants[:3]):
        raise click.UsageError("--snapshot is the cluster; leave out the options of a live one")
    return is_live or wants.snapshot is not None


def _check_cluster_use(wants: Wants, paths: Sequence[str], *, has_look: bool) -> None:
    """Refuse options about a cluster where none is asked, and two that contradict each other."""
    if not has_look and any(wants):
        raise click.UsageError(
            "a context, a user or a namespace is one of a cluster: add --cluster"
        )
    cluster.check_namespaces(wants.namespace, everything=wants.everything)
    if wants.namespace and paths:
        raise click.UsageError("-n chooses objects of the cluster; beside PATHs leave it out")


def _check_use(
    paths: Sequence[str], bundle_path: Path | None, *, fixes: bool, yes: bool, has_look: bool
) -> None:
    """Refuse options that do not go together before anything is read."""
    if not paths and bundle_path is None and not has_look:
        raise click.UsageError(
            "name files or folders with manifests, - for the standard input, a --bundle, a"
            " --snapshot or --cluster"
        )
    if fixes and (not paths or "-" in paths):
        raise click.UsageError("--fix edits files; name them or their folder")
    if yes and not fixes:
        raise click.UsageError("--yes answers the question of --fix; give both")


def _settings(config_path: Path | None, fail_on: str | None) -> "tuple[Settings, Path]":
    """Return the settings, and the folder from which their patterns count."""
    import msgspec

    from gpuyard.lint import Settings
    from gpuyard.lint.config import FILE_NAME, read_config

    here = Path.cwd()
    path = config_path or _nearest(here, FILE_NAME)
    settings = Settings() if path is None else read_config(path.read_bytes(), str(path))
    if fail_on is not None:
        settings = msgspec.structs.replace(settings, fail_on=fail_on)
    return settings, here if path is None else path.resolve().parent


def _nearest(folder: Path, name: str) -> Path | None:
    """Return the file `name` in `folder` or above it, no further than the top of a repository."""
    for place in (folder, *folder.parents):
        if (place / name).is_file():
            return Path(os.path.relpath(place / name, folder))
        if (place / ".git").exists():
            return None
    return None


class _Run:
    """What a command line asks for; it can be asked again after files have changed."""

    def __init__(
        self,
        paths: Sequence[str],
        bundle_path: Path | None,
        settings: "Settings",
        folder: Path,
        *,
        wants: Wants | None,
    ) -> None:
        self.settings = settings
        self.is_incomplete = False
        self.bundle_path = bundle_path
        self.files = self._wanted(paths, folder) if paths else []
        self.bundle = None if bundle_path is None else manifests.bundle(bundle_path)
        self.look: Look | None = None
        self.seen: Seen | None = None
        self.is_narrow = False
        if wants is not None:
            self._look(wants)
        self.texts: list[Text] = []
        self.passed_over: list[str] = []

    @property
    def sources(self) -> list[str]:
        """The names of all texts that are reported on."""
        if self.look is not None and not self.files:
            return [self.look.source]
        return [path for path, _ in self.files] or [str(self.bundle_path)]

    def outcome(self) -> "Outcome":
        """Read everything and show it to the rules."""
        self.texts = self._read()
        return self.examined(self.texts)

    def examined(self, texts: "Sequence[Text]") -> "Outcome":
        """Show other texts of the same files to the rules."""
        from gpuyard.lint import examine, read_texts

        given = read_texts(texts)
        self.passed_over = given.passed_over
        if self.seen is not None:
            return self._examined_live(given, self.seen)
        if self.bundle is None:
            return examine(given.documents, given.problems, settings=self.settings)
        if not self.files:
            return examine(self.bundle.documents, settings=self.settings, origin="cluster")
        return examine(
            given.documents,
            given.problems,
            settings=self.settings,
            background=self.bundle.documents,
            origin="cluster",
        )

    def _examined_live(self, given: "Given", seen: "Seen") -> "Outcome":
        from gpuyard.lint import examine
        from gpuyard.lint.cluster import background, examine_cluster

        if not self.files:
            return examine_cluster(seen, settings=self.settings, is_whole=not self.is_narrow)
        documents, listed = background(seen)
        return examine(
            given.documents,
            given.problems,
            settings=self.settings,
            background=documents,
            origin="cluster",
            listed=listed,
        )

    def _look(self, wants: Wants) -> None:
        """Read the cluster once; files may change under --fix, the cluster is taken as it was."""
        from gpuyard.lint.cluster import Seen

        look = self.look = self._looked(wants)
        is_hidden = cluster.tell_hidden(look)
        self.is_incomplete |= is_hidden and not wants.partial
        self.is_narrow = bool(look.chosen)
        self.seen = Seen(
            source=look.source,
            listed=look.listed,
            absent=look.absent,
            only_here=look.only_here,
            namespace=look.namespace if look.only_here or self.is_narrow else "",
        )
        for kind in sorted(self.seen.blind_for):
            click.echo(
                f"gpuyard: {kind} objects were not judged: what runs on them in other namespaces"
                " was not seen",
                err=True,
            )

    def _looked(self, wants: Wants) -> "Look":
        from gpuyard.lint import catalogue
        from gpuyard.lint.cluster import POD

        path, kinds = wants.snapshot, catalogue.kinds()
        if path is None:
            return cluster.look(cluster.wish(*wants[:4]), kinds, everywhere={POD})
        look = kept.look_at(path, kinds, namespace=wants.namespace, everywhere={POD})
        if wants.everything:
            kept.check_whole(look, path, "-A asks for all of them")
        if self.files:
            kept.check_whole(look, path, "manifests are checked against the whole cluster")
        return look

    def _wanted(self, paths: Sequence[str], folder: Path) -> list[tuple[str, bool]]:
        from gpuyard.lint.globs import matches

        wanted = []
        for path, is_named in manifests.find(paths, self._unreadable):
            inside = os.path.relpath(path, folder) if path != manifests.STDIN else path
            if not matches(inside.replace(os.sep, "/"), self.settings.ignore):
                wanted.append((path, is_named))
            elif is_named:
                click.echo(f"gpuyard: {path} is ignored by the configuration", err=True)
        return wanted

    def _unreadable(self, error: OSError) -> None:
        """Tell of a file that cannot be read and go on with the others."""
        self.is_incomplete = True
        click.echo(f"gpuyard: {error.filename} cannot be read ({error.strerror})", err=True)

    def _read(self) -> "list[Text]":

        texts = manifests.texts(self.files, self._unreadable)
        if len(self.files) < PROGRESS_FILES_MIN:
            return list(texts)
        with output.progress("reading manifests", len(self.files)) as step:
            return [text for text in texts if step() is None]


def _mend(run: _Run, known: "Baseline", *, is_agreed: bool) -> "Outcome":
    """Mend what can be mended safely, and return what is found afterwards."""
    from gpuyard.lint import Text
    from gpuyard.lint.baseline import without_known
    from gpuyard.lint.fix import diff, mend
    from gpuyard.lint.wording import count

    before = {text.source: _decoded(text) for text in run.texts}
    named = {text.source: text.is_named for text in run.texts}

    def examined(contents: "Contents") -> "Outcome":
        texts = [Text(source, one, named[source]) for source, one in contents.items()]
        return without_known(run.examined(texts), known)

    mended = mend(before, examined)
    for finding, reason in mended.refused:
        place = f"{finding.file}:{finding.line}:{finding.column}"
        click.echo(f"gpuyard: {place}: {finding.rule} is left as it is: {reason}", err=True)
    for source, text in mended.texts.items():
        click.echo(diff(source, before[source], text), err=True)
    findings, files = len(mended.done), len(mended.texts)
    if not files:
        click.echo("gpuyard: nothing here can be mended safely", err=True)
    elif is_agreed or _agrees(f"Mend {count(findings, 'finding')} in {count(files, 'file')}?"):
        for source, text in mended.texts.items():
            manifests.rewrite(source, _encoded(before[source]), _encoded(text))
        click.echo(
            f"gpuyard: mended {count(findings, 'finding')} in {count(files, 'file')}", err=True
        )
        return run.outcome()
    return run.examined(run.texts)


def _agrees(question: str) -> bool:
    """Ask on the terminal; where nobody can answer, the answer is no."""
    if sys.stdin.isatty() and click.confirm(question, err=True):
        return True
    click.echo("gpuyard: nothing was written; --yes does it without asking", err=True)
    return False


def _decoded(text: "Text") -> str | bytes:
    content = text.content
    if isinstance(content, bytes):
        try:
            return content.decode()
        except UnicodeDecodeError:
            return content
    return content


def _encoded(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _report(run: _Run, outcome: "Outcome", form: str, to: Path | None, *, no_color: bool) -> None:
    """Write the report; end with exit code 1 where there is something to do."""
    from gpuyard.lint import catalogue
    from gpuyard.lint.reports import Report, render

    columns, color = output.looks(to, no_color=no_color)
    is_sarif = form == "sarif"  # the only form that lists all rules
    report = Report(
        findings=outcome.findings,
        files=run.sources,
        objects=outcome.objects,
        cluster=run.look.sentence if run.look is not None and not run.files else None,
        suppressed=outcome.suppressed,
        in_baseline=outcome.in_baseline,
        unreadable=len(run.passed_over),
        rules=catalogue.rules() if is_sarif else (),
        version=output.version().partition(" ")[2] if is_sarif else "",
        columns=columns,
        color=color,
    )
    output.write(render(form, report), to)
    if run.look is not None and (run.files or form == "json"):
        click.echo(f"gpuyard: checked against {run.look.sentence}", err=True)
    if run.is_incomplete:
        click.get_current_context().exit(2)
    if run.settings.fails(one.severity for one in outcome.findings):
        click.get_current_context().exit(1)


def _write_baseline(outcome: "Outcome", path: Path) -> None:
    from gpuyard.lint.baseline import baseline_of, write_baseline
    from gpuyard.lint.wording import count

    output.write(write_baseline(baseline_of(outcome.findings)), path)
    known = count(len(outcome.findings), "finding")
    click.echo(f"gpuyard: {path} knows {known} from now on", err=True)
