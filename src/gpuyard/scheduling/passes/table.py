"""The passes by name, and running those that the knobs list."""

from collections.abc import Callable

from gpuyard.scheduling.passes import allocate, consolidate, preempt, reclaim, stale_gangs
from gpuyard.scheduling.passes.knobs import PassName
from gpuyard.scheduling.passes.session import Session

PASSES: dict[PassName, Callable[[Session], None]] = {
    "allocate": allocate.run,
    "consolidate": consolidate.run,
    "reclaim": reclaim.run,
    "preempt": preempt.run,
    "stale-gangs": stale_gangs.run,
}


def run(session: Session) -> None:
    """Run the passes of the session's knobs, one after the other."""
    for name in session.knobs.passes:
        PASSES[name](session)
