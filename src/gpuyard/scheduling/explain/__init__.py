"""Why a workload waits, what binds, and the first change that would let it start.

`explain` is for who waits in a queue: a round gave it a code and a sentence, and what it found out
about flavors lies in the assignment as data. From these come the numbers (`binding`); then changes
are tried out, cheapest for the user first, until one helps (`remedies`). `of_placement` is for who
has quota and finds no nodes (`nodes`).

When it will start is a forecast and is not made here; its place is `Remedy.start_p50_ns`.
"""

from gpuyard.model.reasons import Reason, Remedy
from gpuyard.scheduling.admission.entries import Head, Verdict
from gpuyard.scheduling.admission.nominate import Nominator
from gpuyard.scheduling.explain.binding import binding
from gpuyard.scheduling.explain.nodes import of_placement
from gpuyard.scheduling.explain.remedies import first_remedy

__all__ = ["explain", "of_placement"]


def explain(nominator: Nominator, verdict: Verdict) -> Reason:
    """Return why the workload of `verdict` waits, for the state that `nominator` knows.

    A remedy is sought where it waits for something, not where room is being made for it.
    """
    head = Head(workload=verdict.workload, queue=verdict.queue)
    if verdict.assignment is None:
        return Reason(code=verdict.code, sentence=verdict.message)
    remedy = None
    if verdict.outcome in ("waiting", "skipped"):
        remedy = first_remedy(nominator, head, verdict.assignment)
    return Reason(
        code=verdict.code,
        sentence=verdict.message,
        binding=binding(head.queue, verdict.assignment),
        remedies=() if remedy is None else (Remedy(change=remedy, checked=True),),
    )
