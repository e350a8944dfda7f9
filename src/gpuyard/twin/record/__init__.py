"""The record of a run: all that its cycles saw and every plan, so that each can be computed again.

A record is lines of JSON, written as the run goes on, so that a long one streams (`writer`):

1. a `Head`: which format, the policy, the seed of its chance, who picks devices in which pool;
2. a `RecordedCycle` for each cycle: what was told since the last one, who was asked about, and the
   plan. Where workloads wait in queues nobody is asked about: the queues know who waits;
3. an `End` with the number of cycles. Without it the record was cut short.

What is learned from a plan itself is not said twice: whoever computes the plan again has it. That
is also what `recompute` proves: the same facts, the same policy and the same seed give the same
plan, cycle by cycle, with the very functions of the core. With another policy it says where the
first plan differs. It stops there, because what comes after would no longer be the same yard.

Who is parked is left alone by `cycle.run` when nothing that changed could help (`Parking.may_fit`);
a record names those (`ruled_out`), since asking them would use up chance.

Each format's version has its reader in `form.READERS`; a record of an older one stays readable.
"""

from gpuyard.twin.record.again import Verdict, recompute
from gpuyard.twin.record.difference import Difference
from gpuyard.twin.record.form import FORMAT, Head, Record, RecordError, read
from gpuyard.twin.record.writer import Recorder, RecordWriter

__all__ = [
    "FORMAT",
    "Difference",
    "Head",
    "Record",
    "RecordError",
    "RecordWriter",
    "Recorder",
    "Verdict",
    "read",
    "recompute",
]
