"""What lint finds in folders of manifests that others wrote, for somebody who reviews it.

    python -m verification.lint FOLDER... [-o json]

Each FOLDER is a run of its own, read as ``gpuyard lint FOLDER`` reads it, for instance a checkout
of a project with examples. Printed are findings by rule and by file, and every finding of level
error with its place, because those are the ones that a reviewer judges: 95 of 100 have to be right,
and none may lie in a file that has nothing to do with GPUs. The second is seen here: such files are
named, and then the exit code is 1. The first is for a reader.

A file is about GPUs where its text says so (`gpuyard.lint.texts`, the words that also decide
whether a file that cannot be read is worth a complaint). Seconds are CPU time of this process, from
opening the first file to the last finding, with the search for cycles off as in the program.
"""

import argparse
import gc
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from gpuyard.cli import manifests
from gpuyard.dialects.workloads import workload
from gpuyard.lint import Finding, Text, examine, read_texts
from gpuyard.lint.rule import SEVERITIES
from gpuyard.lint.texts import ABOUT_GPUS
from gpuyard.lint.wording import count

FILES_SHOWN = 15  # with the most findings; -o json has all


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in one folder."""

    folder: str
    files: int
    objects: int
    gpu_workloads: int
    passed_over: int  # texts that cannot be read and have nothing to do with GPUs
    unreadable: tuple[str, ...]  # files that cannot be opened, and why
    cpu_s: float
    by_severity: dict[str, int]
    by_rule: dict[str, int]
    by_file: dict[str, int]
    errors: tuple[Finding, ...]
    without_gpus: tuple[str, ...]  # files with an error that say nothing of GPUs


def review(folder: Path) -> Review:
    """Read all manifests below `folder`, show them to all rules, and count.

    Raises click.UsageError where there is none.
    """
    refused: list[OSError] = []
    begun = time.process_time()
    texts = [
        msgspec.structs.replace(text, source=str(Path(text.source).relative_to(folder)))
        for text in manifests.texts(manifests.find([str(folder)], refused.append), refused.append)
    ]
    given = read_texts(texts)
    found = examine(given.documents, given.problems).findings
    cpu_s = time.process_time() - begun
    errors = tuple(one for one in found if one.severity == "error")
    views = map(workload, (document.value for document in given.documents))
    return Review(
        folder=folder.name,
        files=len(texts),
        objects=len(given.documents),
        gpu_workloads=sum(view is not None and view.asks_gpus for view in views),
        passed_over=len(given.passed_over),
        unreadable=tuple(f"{one.filename}: {one.strerror}" for one in refused),
        cpu_s=round(cpu_s, 3),
        by_severity={name: sum(one.severity == name for one in found) for name in SEVERITIES},
        by_rule=dict(Counter(one.rule for one in found).most_common()),
        by_file=dict(Counter(one.file for one in found).most_common()),
        errors=errors,
        without_gpus=tuple(_without_gpus(texts, {one.file for one in errors})),
    )


def _without_gpus(texts: Sequence[Text], files: set[str]) -> Iterator[str]:
    for text in texts:
        content = text.content
        words = content if isinstance(content, str) else content.decode(errors="replace")
        if text.source in files and not ABOUT_GPUS.search(words):
            yield text.source


def lines(one: Review) -> Iterator[str]:
    """Yield the report of one folder."""
    yield (
        f"{one.folder}: {count(one.files, 'file')}, {count(one.objects, 'object')}, "
        f"{count(one.gpu_workloads, 'GPU workload')}, {one.cpu_s:.2f} CPU s"
    )
    if one.passed_over:
        yield f"  passed over: {count(one.passed_over, 'file')} that cannot be read, not about GPUs"
    for place in one.unreadable:
        yield f"  cannot be opened: {place}"
    yield "  " + ", ".join(count(number, name) for name, number in one.by_severity.items())
    for title, counted in ("by rule", one.by_rule), ("by file", one.by_file):
        yield f"  {title}"
        for name, number in list(counted.items())[: FILES_SHOWN if title == "by file" else None]:
            yield f"    {number:5} {name}"
        if title == "by file" and len(counted) > FILES_SHOWN:
            yield f"          and {count(len(counted) - FILES_SHOWN, 'other file')}"
    yield "  errors"
    for error in one.errors:
        yield f"    {error.file}:{error.line}:{error.column}  {error.rule}  {error.object}"
        yield f"        {error.message}"
    for file in one.without_gpus:
        yield f"  MISSED: an error in {file}, which says nothing of GPUs"


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m verification.lint",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Print a report per folder; return 1 where an error lies in a file without GPUs."""
    arguments = _arguments(argv)
    gc.disable()
    reviews = []
    for folder in arguments.folders:
        try:
            reviews.append(review(folder))
        except click.UsageError as error:
            print(f"verification.lint: {error.message}", file=sys.stderr)
            return 2
        if arguments.output == "table":
            print("\n".join(lines(reviews[-1])), flush=True)
    if arguments.output == "json":
        print(msgspec.json.format(msgspec.json.encode(reviews), indent=1).decode())
    else:
        print(_total(reviews))
    return 1 if any(one.without_gpus for one in reviews) else 0


def _total(reviews: Sequence[Review]) -> str:
    files, objects, workloads, errors = (
        sum(numbers)
        for numbers in zip(
            *((one.files, one.objects, one.gpu_workloads, len(one.errors)) for one in reviews),
            strict=True,
        )
    )
    return (
        f"together: {count(files, 'file')}, {count(objects, 'object')}, "
        f"{count(workloads, 'GPU workload')}, {count(errors, 'error')}, "
        f"{sum(one.cpu_s for one in reviews):.2f} CPU s"
    )


if __name__ == "__main__":
    sys.exit(main())
