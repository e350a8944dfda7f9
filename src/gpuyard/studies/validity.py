"""Which published results this version reproduces, as last recorded.

The record is a file of the package. ``python -m verification.record`` makes it from the published
data and nothing else writes it; each entry names the command that repeats it, so that a report
never claims more than what somebody can run.
"""

from importlib.resources import files

import msgspec

from gpuyard.twin.page.content import Strip, StripItem

RECORD = "validity.json"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison with published results, and how it ended."""

    name: str
    result: str
    is_met: bool
    command: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Every check of one version, and the day it was recorded."""

    version: str
    recorded: str  # ISO date
    checks: tuple[Check, ...]


def record() -> Record:
    """Return the record that came with the package."""
    return msgspec.json.decode(files(__package__).joinpath(RECORD).read_bytes(), type=Record)


def strip() -> Strip | None:
    """Return the record as a strip on a page; none where nothing was recorded."""
    kept = record()
    if not kept.checks:
        return None
    return Strip(
        f"Published results reproduced by this code, recorded {kept.recorded}",
        tuple(
            StripItem(
                name=f"{check.name} ({check.command})",
                result=check.result,
                verdict="ok" if check.is_met else "warn",
            )
            for check in kept.checks
        ),
    )
