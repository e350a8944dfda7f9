"""``gpuyard explain``: a rule of lint, or the list of them."""

from pathlib import Path

import click

from gpuyard.cli import output

READABLE_COLUMNS = 88  # prose in longer lines is hard to follow


@click.command(
    "explain",
    epilog="""
    Examples:

    \b
      gpuyard explain
      gpuyard explain GPU-SHM
      gpuyard explain GPU-SHM -o json
    """,
)
@click.argument("rules", nargs=-1, metavar="[RULE…]")
@output.options("table", "json", "markdown")
def command(*, rules: tuple[str, ...], form: str, to: Path | None, no_color: bool) -> None:
    """Say why a rule exists, what to do, and what is wrong and right; without RULE, list all."""
    output.check_writable(to)
    from gpuyard.lint import catalogue, page

    chosen = [catalogue.rule(name) for name in rules] or list(catalogue.rules())
    if form == "json":
        text = page.as_json(chosen)
    elif form == "markdown":
        text = page.reference(chosen) if not rules else "\n".join(map(page.chapter, chosen))
    elif not rules:
        text = page.overview(chosen)
    else:
        columns, color = output.looks(to, no_color=no_color)
        width = min(READABLE_COLUMNS, columns)
        text = "\n".join(page.explanation(rule, columns=width, color=color) for rule in chosen)
    output.write(text, to)
