"""What there is to say about a rule: for a terminal, and as a page of the documentation.

Both are made of the rule's own fields, so that they cannot say something else than it does.
"""

import textwrap
from collections.abc import Iterable, Sequence

import msgspec

from gpuyard.lint.rule import Rule
from gpuyard.lint.wording import count

_NEEDS = {
    "documents": "the manifests alone",
    "cluster": "objects of a cluster (--bundle)",
    "node": "the configuration of kubelets",
}


def explanation(rule: Rule, *, columns: int, color: bool = False) -> str:
    """Return what ``gpuyard explain`` prints of one rule."""
    parts = [
        f"\x1b[1m{rule.id}\x1b[0m  {rule.severity}" if color else f"{rule.id}  {rule.severity}",
        _filled(f"{rule.title}.", columns),
        _filled(rule.why, columns),
        _filled(f"What to do: {rule.remedy}.", columns),
        _filled(f"Looks at: {looks_at(rule)}.{_fix(rule)}", columns),
        _filled(f"Source: {rule.source}", columns),
    ]
    if rule.failing:
        parts += ["Wrong:", _indented(rule.failing), "Right:", _indented(rule.passing)]
    return "\n\n".join(parts) + "\n"


def overview(rules: Sequence[Rule]) -> str:
    """Return the list that ``gpuyard explain`` prints: one rule per line, by id."""
    widths = max(len(rule.id) for rule in rules), max(len(rule.severity) for rule in rules)
    lines = [
        f"{rule.id.ljust(widths[0])}  {rule.severity.ljust(widths[1])}  {rule.title}"
        for rule in rules
    ]
    last = f"{count(len(rules), 'rule')}; gpuyard explain RULE says more."
    return "\n".join([*lines, "", last, ""])


def as_json(rules: Iterable[Rule]) -> str:
    """Return all that a rule says, as a JSON list."""
    rows = [
        {
            "rule": rule.id,
            "severity": rule.severity,
            "title": rule.title,
            "why": rule.why,
            "remedy": rule.remedy,
            "source": rule.source,
            "needs": rule.needs,
            "reads": rule.reads,
            "fix": rule.has_fix,
            "failing": rule.failing,
            "passing": rule.passing,
        }
        for rule in rules
    ]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n"


def chapter(rule: Rule) -> str:
    """Return what the reference says of one rule, as a chapter in Markdown."""
    lines = [
        f"## {rule.id}",
        "",
        f"**{rule.title}.** Severity {rule.severity}; looks at {looks_at(rule)}.{_fix(rule)}",
        "",
        rule.why,
        "",
        f"What to do: {rule.remedy}.",
        "",
    ]
    if rule.failing:
        lines += ["Wrong:", "", "```yaml", rule.failing.rstrip("\n"), "```", ""]
        lines += ["Right:", "", "```yaml", rule.passing.rstrip("\n"), "```", ""]
    return "\n".join([*lines, f"Source: {rule.source}", ""])


def reference(rules: Iterable[Rule]) -> str:
    """Return the page of all rules: a table, then a chapter for each."""
    listed = sorted(rules, key=lambda rule: rule.id)
    rows = [
        f"| [{rule.id}](#{rule.id.lower()}) | {rule.severity} | {rule.title}"
        f"{' (`--fix`)' if rule.has_fix else ''} |"
        for rule in listed
    ]
    head = [
        "# Rules",
        "",
        "Made by `docs/rules.py` from the rules themselves; `gpuyard explain RULE` says the same.",
        "The comment `# <- here` marks the line that a finding names.",
        "",
        "| rule | severity | what it asks for |",
        "|---|---|---|",
        *rows,
        "",
    ]
    return "\n".join([*head, *(chapter(rule) for rule in listed)])


def looks_at(rule: Rule) -> str:
    """Return what has to be given for the rule to say anything."""
    if not rule.reads:
        return _NEEDS[rule.needs]
    return f"{_NEEDS[rule.needs]}: {', '.join(rule.reads)}"


def _fix(rule: Rule) -> str:
    return " gpuyard lint --fix can mend it." if rule.has_fix else ""


def _filled(text: str, columns: int) -> str:
    return textwrap.fill(text, columns, break_on_hyphens=False, break_long_words=False)


def _indented(text: str) -> str:
    return textwrap.indent(text.rstrip("\n"), "    ")
