"""A diagnosis for people and for programs; text out, nothing is printed here."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from gpuyard.platform.layers.checks.check import count
from gpuyard.platform.layers.diagnosis import ORDER, Diagnosis
from gpuyard.platform.layers.pools import Pool
from gpuyard.platform.layers.rows import Row
from gpuyard.platform.layers.words import LAYERS, Finding

HEAD = ("layer", "by", "version", "ready", "what")
INDENT = "  "
WHAT = len(HEAD) - 1
NUMBER = HEAD.index("ready")
COLORS = {"error": "31", "warning": "33", "info": "36"}
UNKNOWN = "?"
SEVERAL = frozenset({"network", "queue"})  # layers of which there are different kinds


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where the facts come from and how old they are, and why some kinds were not seen."""

    sentence: str  # "context prod (https://…), seen at 14:03:22"
    seen_at: str  # RFC 3339
    hidden: Sequence[Mapping[str, str]] = ()  # {kind, why, sentence}


def as_json(found: Diagnosis, source: Source) -> str:
    """Return everything as one JSON object."""
    answer = {
        "source": source.sentence,
        "seen_at": source.seen_at,
        "nodes": found.node_count,
        "pools": [
            {
                "name": pool.name,
                "cloud": pool.cloud,
                "nodes": len(pool.nodes),
                "gpus": pool.gpus,
                "products": pool.products,
            }
            for pool in found.pools
        ],
        "layers": found.rows,
        "findings": found.findings,
        "unseen": [*found.unseen],
        "hidden": [*source.hidden],
    }
    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode() + "\n"


def as_table(found: Diagnosis, source: Source, *, columns: int, color: bool = False) -> str:
    """Return the table of layers by pool, then the findings, then what was not seen."""
    widths = _widths(found.rows)
    lines = _wrapped(source.sentence, columns)
    for pool in found.pools:
        lines += ["", _styled(_title(pool), "1", color=color)]
        lines += _table([row for row in found.rows if row.pool == pool.name], widths, columns)
    rest = [row for row in found.rows if not row.pool]
    lines += ["", _styled("whole cluster", "1", color=color), *_table(rest, widths, columns)]
    if found.findings:
        lines += ["", _styled("findings", "1", color=color)]
        lines += _findings(found.findings, columns, color=color)
    lines += ["", *_unseen(found, columns), *_wrapped(f"{totals(found)}.", columns)]
    return "\n".join(lines) + "\n"


def totals(found: Diagnosis) -> str:
    """Return what was found, in how much."""
    counts = Counter(one.severity for one in found.findings)
    words = [
        f"{counts[one]} {one}{'s' if counts[one] > 1 and one != 'info' else ''}"
        for one in ORDER
        if counts[one]
    ]
    nodes = sum(len(pool.nodes) for pool in found.pools)
    inside = f"{count(nodes, 'GPU node')} in {count(len(found.pools), 'pool')}"
    return (
        f"{', '.join(words) or 'no contradictions'}; {inside}, of {count(found.node_count, 'node')}"
    )


def _title(pool: Pool) -> str:
    parts = [
        f"pool {pool.name}",
        pool.cloud,
        count(len(pool.nodes), "node"),
        f"{count(pool.gpus, 'GPU')} offered",
        *pool.products,
    ]
    return " · ".join(parts)


def _cells(row: Row) -> tuple[str, ...]:
    name = row.object.rpartition(" ")[2]  # a table has no room for the kind
    product = row.product if row.layer in SEVERAL or not name else ""
    what = " · ".join(filter(None, (product, name)))
    return (LAYERS[row.layer], row.by, row.version, _ready(row), what)


def _ready(row: Row) -> str:
    if row.desired is None:
        return ""
    if row.ready is None:
        return f"{UNKNOWN}/{row.desired}" if row.object else f"{row.desired}"
    return f"{row.ready}/{row.desired}"


def _widths(rows: Sequence[Row]) -> list[int]:
    cells = [HEAD, *map(_cells, rows)]
    return [max(len(row[index]) for row in cells) for index in range(WHAT)]


def _table(rows: Sequence[Row], widths: Sequence[int], columns: int) -> list[str]:
    lines = []
    for cells in (HEAD, *map(_cells, rows)):
        fixed = [
            cell.rjust(width) if index == NUMBER else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=False))
        ]
        head = INDENT + "  ".join(fixed)
        room = columns - len(head) - 2
        if len(cells[WHAT]) <= room:
            lines.append(f"{head}  {cells[WHAT]}".rstrip())
        else:  # a name is never cut: it gets a line of its own
            lines += [
                head.rstrip(),
                *(INDENT * 2 + one for one in _wrapped(cells[WHAT], columns - 4)),
            ]
    return lines


def _findings(findings: Sequence[Finding], columns: int, *, color: bool) -> list[str]:
    lines = []
    for one in findings:
        where = f"pool {one.pool}: " if one.pool else f"{one.object}: " if one.object else ""
        head = f"{INDENT}{one.severity.ljust(len('warning'))}  {one.check}"
        lines.append(_styled(head, COLORS[one.severity], color=color))
        for text in (f"{where}{one.message}", f"→ {one.remedy}"):
            lines += [INDENT * 2 + each for each in _wrapped(text, columns - 4)]
    return lines


def _unseen(found: Diagnosis, columns: int) -> list[str]:
    if not found.unseen:
        return []
    kinds = ", ".join(kind.rpartition("/")[2] for kind in found.unseen)
    return _wrapped(f"Not seen, and nothing concluded from it: {kinds}.", columns)


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(
        text,
        max(columns, 20),
        subsequent_indent=INDENT if text.startswith("→") else "",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _styled(text: str, code: str, *, color: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if color else text
