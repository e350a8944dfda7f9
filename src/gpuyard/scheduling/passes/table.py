"""The passes by name, and running those that the knobs list."""

from collections.abc import Callable

from gpuyard.model.reasons import Reporter, Silent
from gpuyard.scheduling.passes import allocate, consolidate, preempt, reclaim, stale_gangs
from gpuyard.scheduling.passes.decisions import Decisions, Leave, decided, report
from gpuyard.scheduling.passes.knobs import PassName
from gpuyard.scheduling.passes.session import Session

PASSES: dict[PassName, Callable[[Session], list[Leave]]] = {
    "allocate": allocate.run,
    "consolidate": consolidate.run,
    "reclaim": reclaim.run,
    "preempt": preempt.run,
    "stale-gangs": stale_gangs.run,
}


def run(session: Session, reporter: Reporter | None = None) -> Decisions:
    """Run the passes of the session's knobs, one after the other, and return what they decided."""
    leaves: list[Leave] = []
    for name in session.knobs.passes:
        leaves += PASSES[name](session)
    report(session, reporter or Silent())
    return decided(session, leaves)
