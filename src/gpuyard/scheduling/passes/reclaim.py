"""Reclaim: a queue takes back from other queues what is its own.

For a pending job whose queue has not its fair share yet, running preemptible jobs of other queues
are candidates, unless their queue has no more than is right, or their least run time has not
passed. An elastic job may always lose what it has beyond its minimum. What exactly may be taken is
the law of `deserved.reclaim`; a victim that finds another place is no loss, where the knobs say so.

Semantics: KAI Scheduler v0.17, actions/reclaim, plugins/proportion (victim resources), minruntime.
"""

from collections.abc import Iterator

from gpuyard.scheduling.deserved import reclaim as law
from gpuyard.scheduling.deserved.reclaim import Reclaimer
from gpuyard.scheduling.deserved.runtimes import is_protected, reclaim_min_runtime_ns
from gpuyard.scheduling.deserved.shares import Amounts, ShareTree
from gpuyard.scheduling.passes.decisions import Leave
from gpuyard.scheduling.passes.jobs import STAYS, Job, Pod, total
from gpuyard.scheduling.passes.making_room import make_room
from gpuyard.scheduling.passes.session import Session
from gpuyard.scheduling.passes.solver import Attempt, solve
from gpuyard.scheduling.passes.turns import Turns
from gpuyard.scheduling.passes.victims import keeps_minimum, losses_by_job


def run(session: Session) -> list[Leave]:
    """Start pending jobs with what other queues have beyond their part, and return who leaves."""
    return make_room(session, "reclaim", _attempt)


def _attempt(session: Session, job: Job) -> bool:
    asked = total(job.view().to_start(really=False))
    reclaimer = Reclaimer(job.queue, asked, job.preemptible)
    if not law.may_reclaim(session.tree, reclaimer):
        return False
    before = session.tree.copy()  # the law compares with what was held before anybody was moved

    def rule(attempt: Attempt) -> bool:
        return _is_legal(session, before, attempt) and all(
            keeps_minimum(victim, pods)
            for victim, pods in losses_by_job(session, attempt)
            if victim.is_elastic and _is_protected(session, job, victim)
        )

    return solve(session, job, lambda: _candidates(session, reclaimer, job), rule)


def _candidates(session: Session, reclaimer: Reclaimer, job: Job) -> Turns:
    return Turns(
        session,
        (
            each.view()
            for each in session.jobs.values()
            if each.queue != job.queue
            and each.preemptible
            and any(pod.state in STAYS for pod in each.pods)
            and session.queue_of(each) is not None
            and law.may_lose(session.tree, reclaimer, each.queue)
            and (each.is_elastic or not _is_protected(session, job, each))
        ),
        backwards=True,
    )


def _is_protected(session: Session, job: Job, victim: Job) -> bool:
    knobs = session.knobs
    least_ns = reclaim_min_runtime_ns(
        session.tree,
        job.queue,
        victim.queue,
        knobs.reclaim_resolution,
        knobs.reclaim_min_runtime_ns,
    )
    return is_protected(victim.started_ns, least_ns, session.now_ns)


def _is_legal(session: Session, before: ShareTree, attempt: Attempt) -> bool:
    job = attempt.job
    reclaimer = Reclaimer(job.queue, total(attempt.pods), job.preemptible)
    losses: dict[str, list[Amounts]] = {}
    for victim, pods in losses_by_job(session, attempt):
        pieces = list(_pieces(victim, pods, forgive_moves=session.knobs.reclaim_moves_victims))
        if pieces:
            losses.setdefault(victim.queue, []).extend(pieces)
    return law.is_legal(before, reclaimer, losses, session.knobs.saturation_multiplier_nano)


def _pieces(victim: Job, pods: list[Pod], *, forgive_moves: bool) -> Iterator[Amounts]:
    """Yield what a job loses: pods beyond its minimum one by one, then the rest as one piece."""
    core: list[Pod] = []
    for leaf in victim.root.leaves():
        mine = [pod for pod in pods if pod.leaf == leaf.name]
        core += mine[: leaf.min_count]
        for pod in mine[leaf.min_count :]:
            if not (forgive_moves and pod.state in STAYS):
                yield pod.amounts
    lost = [pod for pod in core if not (forgive_moves and pod.state in STAYS)]
    if lost:
        yield total(lost)
