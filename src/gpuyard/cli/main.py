"""The command tree, and the one place where an error becomes a sentence and an exit code.

A command's module is imported when the command is used: ``gpuyard --help`` needs none of them, so
it answers at once. Exit codes: 0 fine, 1 findings, 2 wrong use or wrong input, 130 stopped by
Ctrl-C.
"""

import importlib
import sys
from typing import NamedTuple, NoReturn

import click

STOPPED = 130  # what shells expect of a command that was interrupted


class Entry(NamedTuple):
    """Where a command lives and what ``--help`` says of it."""

    module: str
    summary: str


COMMANDS = {
    "demo": Entry("gpuyard.cli.demo", "A week of a mixed 512-GPU cluster under three policies."),
    "replay": Entry("gpuyard.cli.replay", "A trace under one policy or several."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = importlib.import_module(entry.module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].summary) for name in sorted(COMMANDS)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gpuyard", prog_name="gpuyard")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def gpuyard(ctx: click.Context, *, debug: bool) -> None:
    r"""Make Kubernetes run AI workloads on GPUs well.

    Today: the yard in virtual time. Replay a trace through placement policies, or see a week of
    a mixed cluster:

    \b
      gpuyard demo
      gpuyard replay --nodes nodes.csv --pods pods.csv --policy fgd
    """
    ctx.obj = {"debug": debug}


def main() -> NoReturn:
    """Run the command line and exit."""
    debug = "--debug" in sys.argv[1:]
    try:
        code = gpuyard.main(standalone_mode=False)
    except click.exceptions.Abort:
        _complain("stopped; nothing was left half-written")
        sys.exit(STOPPED)
    except click.UsageError as error:
        _complain(f"{error.format_message()}{_where_help_is(error)}")
        sys.exit(2)
    except click.ClickException as error:
        _complain(error.format_message())
        sys.exit(2)
    except (ValueError, OSError) as error:
        if debug:
            raise
        _complain(str(error))
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


def _where_help_is(error: click.UsageError) -> str:
    return f" (see '{error.ctx.command_path} --help')" if error.ctx else ""


def _complain(sentence: str) -> None:
    click.echo(f"gpuyard: {sentence}", err=True)
