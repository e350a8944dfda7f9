"""Preempt: a job takes the place of less important ones of its own queue.

Victims are preemptible, of strictly lower priority, of the same queue, and have run their least
time; an elastic job may always lose what it has beyond its minimum. A job that cannot be preempted
itself stays within what its queue deserves.

Semantics: KAI Scheduler v0.17, actions/preempt, plugins/minruntime.
"""

from gpuyard.scheduling.deserved import limits
from gpuyard.scheduling.deserved.runtimes import is_protected, preempt_min_runtime_ns
from gpuyard.scheduling.passes.decisions import Leave
from gpuyard.scheduling.passes.jobs import STAYS, Job, total
from gpuyard.scheduling.passes.making_room import make_room
from gpuyard.scheduling.passes.session import Session
from gpuyard.scheduling.passes.solver import Attempt, solve
from gpuyard.scheduling.passes.turns import Turns
from gpuyard.scheduling.passes.victims import keeps_minimum, losses_by_job


def run(session: Session) -> list[Leave]:
    """Start pending jobs in `session` in the place of less important ones, and return those."""
    return make_room(session, "preempt", _attempt)


def _attempt(session: Session, job: Job) -> bool:
    asked = total(job.view().to_start(really=False))
    if not job.preemptible and limits.over_deserved(session.tree[job.queue], asked):
        return False

    def rule(attempt: Attempt) -> bool:
        return all(
            keeps_minimum(victim, pods)
            for victim, pods in losses_by_job(session, attempt)
            if victim.is_elastic and _is_protected(session, victim)
        )

    return solve(session, job, lambda: _candidates(session, job), rule)


def _candidates(session: Session, job: Job) -> Turns:
    return Turns(
        session,
        (
            each.view()
            for each in session.jobs.values()
            if each.preemptible
            and each.priority < job.priority
            and each.queue == job.queue
            and any(pod.state in STAYS for pod in each.pods)
            and (each.is_elastic or not _is_protected(session, each))
        ),
        backwards=True,
    )


def _is_protected(session: Session, victim: Job) -> bool:
    least_ns = preempt_min_runtime_ns(
        session.tree[victim.queue], session.knobs.preempt_min_runtime_ns
    )
    return is_protected(victim.started_ns, least_ns, session.now_ns)
