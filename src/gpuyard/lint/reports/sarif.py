"""SARIF 2.1.0, as code hosts take it: also when nothing was found.

A clean run is a run with ``results: []``: without the key an upload is refused (kube-linter #213).
The text ends in a newline (kube-linter #193). Paths are relative URIs, so that an annotation finds
its line in any checkout. GitHub recognises a finding after an edit by the fingerprint
``primaryLocationLineHash``; ours is made of what does not move with the lines: rule, file, object,
and the how-manieth of these it is. What GitHub requires of a file: "SARIF support for code
scanning", documentation of 2026; field names: OASIS SARIF 2.1.0, §3.13 to §3.49.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from gpuyard.lint.reports.report import Report
from gpuyard.lint.rule import Finding, Rule

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
TEXT_CHARS_MAX = 1024  # GitHub's limit for descriptions
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def render(report: Report) -> str:
    """Return the JSON document."""
    indices = {rule.id: number for number, rule in enumerate(report.rules)}
    driver = {
        "name": "gpuyard",
        "semanticVersion": report.version,
        "rules": [_rule(one) for one in report.rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": _results(report.findings, indices),
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    why = f"{rule.why} {rule.remedy}"
    return {
        "id": rule.id,
        "name": rule.id,
        "shortDescription": {"text": rule.title[:TEXT_CHARS_MAX]},
        "fullDescription": {"text": rule.why[:TEXT_CHARS_MAX]},
        "help": {
            "text": f"{why} Source: {rule.source}",
            "markdown": f"{rule.why}\n\n**What to do:** {rule.remedy}\n\nSource: {rule.source}",
        },
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": ["gpu", "kubernetes"], "precision": "high"},
    }


def _results(findings: Sequence[Finding], indices: Mapping[str, int]) -> list[dict[str, Any]]:
    seen: Counter[tuple[str, str, str]] = Counter()
    results = []
    for finding in findings:
        key = (finding.rule, finding.file, finding.object)
        results.append(_result(finding, indices[finding.rule], _fingerprint(key, seen[key])))
        seen[key] += 1
    return results


def _result(finding: Finding, rule_index: int, fingerprint: str) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": _artifact(finding.file)}
    if finding.line:
        physical["region"] = {
            "startLine": finding.line,
            "startColumn": finding.column,
            "endLine": finding.line,
            "endColumn": finding.column + 1,
        }
    place: dict[str, Any] = {"physicalLocation": physical}
    if finding.object:
        place["logicalLocations"] = [{"fullyQualifiedName": finding.object, "kind": "object"}]
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{finding.message}; {finding.remedy}"},
        "locations": [place],
        "partialFingerprints": {"primaryLocationLineHash": fingerprint},
    }


def _artifact(file: str) -> dict[str, str]:
    """Return where a file is: below the root of the checkout, or anywhere on this machine."""
    if file.startswith("/"):
        return {"uri": f"file://{quote(file)}"}
    return {"uri": quote(file), "uriBaseId": "%SRCROOT%"}


def _fingerprint(key: tuple[str, str, str], occurrence: int) -> str:
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()
    return f"{digest[:16]}:{occurrence + 1}"
