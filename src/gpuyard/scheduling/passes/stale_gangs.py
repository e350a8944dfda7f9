"""Evict stale gangs: what runs incomplete for too long holds places and does nothing.

A job is stale when it uses nodes with fewer pods than a leaf needs, and none of its pods has
succeeded (a gang that is ending loses its members one by one). It is given a grace period from the
moment it was first seen so; a negative one lets it stay.

Semantics: KAI Scheduler v0.17, actions/stalegangeviction.
"""

from gpuyard.scheduling.passes.decisions import Leave, told_to_leave
from gpuyard.scheduling.passes.jobs import STAYS, USES, Job
from gpuyard.scheduling.passes.session import Session


def run(session: Session) -> list[Leave]:
    """Tell the pods of stale jobs to go, and return them."""
    for key in sorted(session.jobs):
        job = session.jobs[key]
        if is_stale(job) and _grace_is_over(session, job):
            for pod in job.pods:
                if pod.state in STAYS:
                    session.evict(pod)
    leaves = told_to_leave(session, "stale-gangs")
    session.settle()
    return leaves


def is_stale(job: Job) -> bool:
    """Tell whether the job runs incomplete."""
    states = [pod.state for pod in job.pods]
    if "succeeded" in states or not any(state in USES for state in states):
        return False
    return not job.view().is_whole()


def _grace_is_over(session: Session, job: Job) -> bool:
    grace_ns = session.knobs.stale_grace_ns if job.stale_grace_ns is None else job.stale_grace_ns
    since_ns = session.now_ns if job.stale_since_ns is None else job.stale_since_ns
    return grace_ns >= 0 and session.now_ns - since_ns >= grace_ns
