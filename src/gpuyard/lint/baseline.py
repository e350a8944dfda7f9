"""What was there before: findings of an old repository that are known and do not count.

A baseline remembers per file, object and rule how many findings there were, not where: lines move
with every edit, numbers in messages with every value. As many as it remembers are left out of a
run, from the top of the file; one more of the same is new. What is no longer found simply stays
unused until the baseline is written again.

The file is JSON, sorted, one row per line of a diff::

    {
        "format": "gpuyard-baseline/1",
        "known": [
            {"file": "k8s/llm.yaml", "object": "Deployment llm", "rule": "GPU-SHM", "count": 1}
        ],
    }
"""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import msgspec

from gpuyard.lint.rule import Finding
from gpuyard.lint.run import Outcome

Key = tuple[str, str, str]  # file, object, rule


class BaselineError(ValueError):
    """A baseline cannot be used: one sentence with the file."""


class Known(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the file."""

    file: str
    object: str
    rule: str
    count: int


class Baseline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    format: Literal["gpuyard-baseline/1"] = "gpuyard-baseline/1"
    known: tuple[Known, ...] = ()


def baseline_of(findings: Iterable[Finding]) -> Baseline:
    """Return a baseline that knows all of `findings`."""
    counts = Counter(map(_key, findings))
    return Baseline(
        known=tuple(
            Known(file=file, object=name, rule=rule, count=count)
            for (file, name, rule), count in sorted(counts.items())
        )
    )


def write_baseline(baseline: Baseline) -> str:
    """Return the text of the file."""
    return msgspec.json.format(msgspec.json.encode(baseline), indent=2).decode() + "\n"


def read_baseline(text: bytes, source: str) -> Baseline:
    """Return what the file `source` says.

    Raises BaselineError where it is not a baseline that this version can read.
    """
    try:
        return msgspec.json.decode(text, type=Baseline)
    except msgspec.DecodeError as error:
        raise BaselineError(
            f"{source}: not a baseline of gpuyard-baseline/1 ({error}); "
            "write it with --write-baseline"
        ) from None


def without_known(outcome: Outcome, baseline: Baseline) -> Outcome:
    """Return `outcome` without what `baseline` knows."""
    left = Counter({(one.file, one.object, one.rule): one.count for one in baseline.known})
    fresh = []
    for one in outcome.found:
        key = _key(one.finding)
        if left[key] > 0:
            left[key] -= 1
        else:
            fresh.append(one)
    return outcome._replace(found=fresh, in_baseline=len(outcome.found) - len(fresh))


def _key(finding: Finding) -> Key:
    return (finding.file, finding.object, finding.rule)
