"""Allocate: start what fits, in the order of the queues, without taking from anybody.

A job starts with what satisfies it, or not at all; whatever it has beyond comes back at its turn
and grows one pod at a time. Where some of a gang's pods fit only when others have left, none of
them starts before: all are pipelined.

Semantics: KAI Scheduler v0.17, actions/allocate.
"""

from gpuyard.scheduling.passes.decisions import Leave
from gpuyard.scheduling.passes.fill import fill
from gpuyard.scheduling.passes.jobs import Job
from gpuyard.scheduling.passes.pending import pending_views
from gpuyard.scheduling.passes.session import Session
from gpuyard.scheduling.passes.turns import Turns


def run(session: Session) -> list[Leave]:
    """Start what can start in `session`; nobody leaves."""
    turns = Turns(
        session,
        pending_views(session),
        per_queue_max=session.knobs.jobs_per_queue_max,
    )
    while (view := turns.pop()) is not None:
        with session.trial() as trial:
            if not fill(session, view, session.everywhere()):
                continue
            if _waits_for_others(view.job):
                for pod in view.job.pods:
                    if pod.state == "allocated" and pod.tentative:
                        session.wait(pod)
            trial.keep()
        session.settle()
        if view.to_start(really=True):
            turns.push(view)
    return []


def _waits_for_others(job: Job) -> bool:
    """Tell whether a leaf has pods that wait, and too few that do not."""
    for leaf in job.root.leaves():
        states = [pod.state for pod in job.pods if pod.leaf == leaf.name]
        there = sum(state in {"allocated", "running"} for state in states)
        if "pipelined" in states and there < leaf.min_count:
            return True
    return False
