"""What consolidate, reclaim and preempt have in common: a turn for each job that may evict.

Semantics: KAI Scheduler v0.17, the loops of actions/consolidation, reclaim and preempt.
"""

from collections.abc import Callable

from gpuyard.scheduling.passes.decisions import Leave, told_to_leave
from gpuyard.scheduling.passes.jobs import Job
from gpuyard.scheduling.passes.knobs import PassName
from gpuyard.scheduling.passes.pending import Failures, may_make_others_go, pending_views
from gpuyard.scheduling.passes.session import Session
from gpuyard.scheduling.passes.turns import Turns


def make_room(
    session: Session,
    name: PassName,
    attempt: Callable[[Session, Job], bool],
    *,
    only_preemptible: bool = False,
    per_queue: bool = True,
) -> list[Leave]:
    """Let `attempt` start each pending job whose preemption delay has passed, and return who left.

    Where the knobs say so, a job is skipped that is no easier than one that failed: of its own
    queue, or, where queues do not matter to the pass, of any.
    """
    views = [
        view
        for view in pending_views(session)
        if may_make_others_go(session, view.job) and (view.job.preemptible or not only_preemptible)
    ]
    turns = Turns(session, views, per_queue_max=session.knobs.jobs_per_queue_max)
    failures: dict[str, Failures] = {}
    leaves: list[Leave] = []
    while (view := turns.pop()) is not None:
        known = failures.setdefault(view.job.queue if per_queue else "", Failures())
        if session.knobs.skip_no_easier and not known.is_easier(view.job):
            continue
        if attempt(session, view.job):
            leaves += told_to_leave(session, name, view.job.key)
            session.settle()
        else:
            known.add(view.job)
    return leaves
