"""The command tree, and the one place where an error becomes a sentence and an exit code.

A command's module is imported when the command is used: ``gpuyard --help`` needs none of them, so
it answers at once. Exit codes: 0 fine, 1 findings, 2 wrong use or wrong input, 130 stopped by
Ctrl-C, 143 by SIGTERM; either way files and worker processes are cleaned up first.
"""

import gc
import importlib
import signal
import sys
from difflib import get_close_matches
from types import FrameType
from typing import NamedTuple, NoReturn

import click

STOPPED = 130  # what shells expect of a command that was interrupted
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM came; what cleans up after Ctrl-C cleans up after it."""


class Entry(NamedTuple):
    """Where a command lives and what ``--help`` says of it."""

    module: str
    summary: str


COMMANDS = {
    "demo": Entry("gpuyard.cli.demo", "A week of a mixed 512-GPU cluster under three policies."),
    "doctor": Entry("gpuyard.cli.doctor", "What the GPUs of a cluster stand on; who installed it."),
    "explain": Entry("gpuyard.cli.explain", "Why a rule of lint exists, and what to do about it."),
    "lint": Entry("gpuyard.cli.lint", "Kubernetes manifests, for what goes wrong with GPUs."),
    "replay": Entry("gpuyard.cli.replay", "A trace under one policy or several."),
    "snapshot": Entry("gpuyard.cli.snapshot", "What lint and doctor read of a cluster, as a file."),
    "webhook": Entry("gpuyard.cli.webhook", "Lint at the API server: warnings, or refusals."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = get_close_matches(name, COMMANDS, n=1)
            known = ", ".join(sorted(COMMANDS))
            meant = f"did you mean {near[0]!r}? ({known})" if near else f"there are {known}"
            raise click.UsageError(f"unknown command {name!r}; {meant}", ctx)
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        gc.disable()  # what is imported stays: no garbage to look for, for 5 to 9 % of a start
        try:
            command: click.Command = importlib.import_module(entry.module).command
        finally:
            gc.enable()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].summary) for name in sorted(COMMANDS)])


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    epilog="""
    Examples:

    \b
      gpuyard demo
      gpuyard doctor --context prod
      gpuyard lint k8s/
      gpuyard replay --nodes nodes.csv --pods pods.csv --policy fgd
    """,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="gpuyard", prog_name="gpuyard")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def gpuyard(ctx: click.Context, *, debug: bool) -> None:
    """Make Kubernetes run AI workloads on GPUs well.

    Today: check manifests and clusters for what goes wrong with GPUs, and the yard in virtual time:
    replay a trace through placement policies, or see a week of a mixed cluster.
    """
    ctx.obj = {"debug": debug}
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> NoReturn:
    """Run the command line and exit."""
    signal.signal(signal.SIGTERM, _terminate)
    debug = "--debug" in sys.argv[1:]
    try:
        code = gpuyard.main(standalone_mode=False)
    except click.exceptions.Abort as error:
        _complain("stopped; nothing was left half-written")
        sys.exit(TERMINATED if isinstance(error.__context__, Terminated) else STOPPED)
    except click.UsageError as error:
        _complain(f"{error.format_message().removesuffix('.')}{_where_help_is(error)}")
        sys.exit(2)
    except click.ClickException as error:
        _complain(error.format_message())
        sys.exit(2)
    except (ValueError, OSError) as error:
        if debug:
            raise
        _complain(_sentence(error))
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


def _terminate(_signal_number: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


def _where_help_is(error: click.UsageError) -> str:
    return f" (see '{error.ctx.command_path} --help')" if error.ctx else ""


def _sentence(error: ValueError | OSError) -> str:
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def _complain(sentence: str) -> None:
    click.echo(f"gpuyard: {sentence}", err=True)
