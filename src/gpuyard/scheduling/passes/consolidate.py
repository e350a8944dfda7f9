"""Consolidate: start a job by moving others together, so that nobody loses anything.

The cluster has the devices that a pending job asks for, but not where it needs them. Running jobs
are told to go and placed again; the job starts if every single pod of them lands again. Only jobs
that can be preempted move, and only for jobs that can be preempted.

Semantics: KAI Scheduler v0.17, actions/consolidation. Which jobs may move when their number is
bounded is decided here by the order of victims; KAI takes them in no order, and one more.
"""

from itertools import islice

from gpuyard.model.policy import DEVICES
from gpuyard.scheduling.passes.decisions import Leave
from gpuyard.scheduling.passes.jobs import STAYS, Job, View
from gpuyard.scheduling.passes.making_room import make_room
from gpuyard.scheduling.passes.session import Session
from gpuyard.scheduling.passes.solver import Attempt, solve
from gpuyard.scheduling.passes.turns import Turns


def run(session: Session) -> list[Leave]:
    """Start pending jobs in `session` that fit once others have moved, and return who moves."""
    if not session.knobs.consolidate_jobs_max:
        return []
    return make_room(session, "consolidate", _attempt, only_preemptible=True, per_queue=False)


def _attempt(session: Session, job: Job) -> bool:
    asked = sum(pod.amounts[DEVICES] for pod in job.view().to_start(really=False))
    if int(session.free_device_milli().sum()) < asked:
        return False
    return solve(session, job, lambda: _movable(session, job), all_land_again)


def all_land_again(attempt: Attempt) -> bool:
    """Tell whether every victim has a place."""
    return all(pod.state != "releasing" for pod in attempt.scenario.pods())


def _movable(session: Session, job: Job) -> Turns:
    views = [
        each.view()
        for each in session.jobs.values()
        if each is not job and each.preemptible and any(pod.state in STAYS for pod in each.pods)
    ]
    most = session.knobs.consolidate_jobs_max
    if most >= 0:
        turns = Turns(session, views, backwards=True)
        views = list(islice(iter(turns.pop, None), most))
    return Turns(session, (View(view.job, view.pods) for view in views), backwards=True)
