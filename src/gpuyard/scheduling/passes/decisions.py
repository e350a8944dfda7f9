"""What the passes of a cycle decided, as data for whoever carries it out.

Three kinds: pods that start at once, pods that are promised a place as soon as others have left it,
and pods that are told to leave. A pod that merely moves is among the second and the third: it must
be told to leave before it can start elsewhere.

A promise has to be kept. If the next cycle begins with the freed place open to everybody, the order
of queues may give it to the queue that just lost it, which loses it again, for ever. Whoever runs
the passes holds what a promise needs until its pods have started, or pass them in as pipelined.
"""

import msgspec

from gpuyard.model.plan import Start
from gpuyard.model.reasons import ReasonCode, Reporter
from gpuyard.model.workloads import Assignment
from gpuyard.scheduling.passes.jobs import Job, PodState
from gpuyard.scheduling.passes.knobs import PassName
from gpuyard.scheduling.passes.session import Session


class Leave(msgspec.Struct, frozen=True, kw_only=True):
    """`pod` of `workload` is told to go by one of the passes, for the job `beneficiary`.

    A stale gang goes for nobody in particular: "".
    """

    pod: str
    workload: str
    decided_by: PassName
    beneficiary: str = ""


class Decisions(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be; jobs by key, pods by turn."""

    starts: tuple[Start, ...] = ()
    promises: tuple[Start, ...] = ()
    leaves: tuple[Leave, ...] = ()


def told_to_leave(session: Session, name: PassName, beneficiary: str = "") -> list[Leave]:
    """Return the pods that were told to go since the session was last settled."""
    return [
        Leave(pod=pod.key, workload=job.key, decided_by=name, beneficiary=beneficiary)
        for job in session.jobs.values()
        for pod in job.pods
        if pod.tentative and pod.is_leaving
    ]


def decided(session: Session, leaves: list[Leave]) -> Decisions:
    """Return what the session has come to; who was told twice leaves for who came first."""
    first = {leave.pod: leave for leave in reversed(leaves)}
    jobs = [session.jobs[key] for key in sorted(session.jobs)]
    return Decisions(
        starts=tuple(start for job in jobs if (start := _start(job, "allocated"))),
        promises=tuple(start for job in jobs if (start := _start(job, "pipelined"))),
        leaves=tuple(leave for leave in leaves if first[leave.pod] is leave),
    )


def report(session: Session, reporter: Reporter) -> None:
    """Tell who has all the places it wants, and who waits."""
    for key in sorted(session.jobs):
        job = session.jobs[key]
        waits = [pod for pod in job.pods if pod.state == "pending"]
        if waits:
            code: ReasonCode = "GangIncomplete" if len(waits) > 1 else "Unschedulable"
            reporter.pending(key, code)
        elif any(pod.state == "allocated" for pod in job.pods):
            reporter.started(key, tuple(pod.node for pod in job.pods if pod.node))


def _start(job: Job, state: PodState) -> Start | None:
    pods = [pod for pod in job.pods if pod.state == state]
    if not pods:
        return None
    places = tuple(
        Assignment(
            pod=pod.key,
            template=pod.template,
            node=pod.node,
            devices=pod.devices if state == "allocated" else None,
        )
        for pod in pods
    )
    return Start(job.key, places, complete=all(pod.state != "pending" for pod in job.pods))
