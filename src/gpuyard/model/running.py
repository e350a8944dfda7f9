"""A workload that runs, as seen by those who think of stopping or moving it.

What it holds is no part of it: the snapshot knows where its pods are and what they take. Here is
what nobody can read off a node: how far its work is saved, what a restart costs, and what its owner
declared.
"""

import msgspec


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A workload whose pods hold nodes; `pods` are their keys in the snapshot.

    `checkpoint_ns` is the instant up to which its work is saved; `None` where nobody has told, and
    then everything since `started_ns` would be lost. `restart_ns` is how long its devices work for
    nothing until it is where it was: image, weights, compilation. Where it is known that it saves
    its work each time that it has worked `saves_every_ns` since `works_since_ns` (0: always),
    nobody has to tell each checkpoint. `grace_ns` is the longest
    termination grace period of its pods. `preemptible` and `movable` are the owner's word: a
    workload that is preemptible but not movable may lose its place, but not for the sake of order.
    """

    key: str
    pods: tuple[str, ...]
    started_ns: int
    checkpoint_ns: int | None = None
    works_since_ns: int = 0
    saves_every_ns: int | None = None
    restart_ns: int = 0
    grace_ns: int = 0
    priority: int = 0
    queued_ns: int = 0
    preemptible: bool = True
    movable: bool = True

    def lost_ns(self, now_ns: int) -> int:
        """Return for how long its devices would have worked for nothing if it were evicted now.

        A checkpoint of before the start is where it started from; clocks that disagree make
        nothing negative.
        """
        saved_ns = [self.started_ns]
        if self.checkpoint_ns is not None:
            saved_ns.append(self.checkpoint_ns)
        worked_ns, every_ns = now_ns - self.works_since_ns, self.saves_every_ns
        if every_ns is not None and worked_ns >= max(1, every_ns):
            saved_ns.append(now_ns - (worked_ns % every_ns if every_ns else 0))
        return max(0, now_ns - max(saved_ns)) + self.restart_ns
