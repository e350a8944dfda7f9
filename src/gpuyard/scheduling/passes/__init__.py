"""A cycle as passes over one session: allocate, consolidate, reclaim, preempt, evict stale gangs.

Each pass is a plain function of a `Session`: the pods as they run, wait and leave, the queues and
what they deserve, two placers, the knobs. A pass goes through the pending jobs in the order of
their queues and changes the session on trial; what it keeps is decided. The passes know nothing of
each other: the knobs list which of them run, in which order (`table`).

- `jobs`: a gang as a tree of groups; which pods are next to start, or to go;
- `session`: the state, its trials, placing and evicting one pod;
- `turns`: jobs in the order of queues, from the front or (victims) from the back;
- `domains`, `fill`: where the pods of a job may go together, and putting them there;
- `scenarios`, `solver`: which victims to try, and whether a job starts without them;
- `allocate`, `consolidate`, `reclaim`, `preempt`, `stale_gangs`: the passes;
- `decisions`: who starts, who is promised a place, who leaves.

Semantics: KAI Scheduler v0.17 (kai-scheduler/KAI-Scheduler @d5bc503a), pkg/scheduler/actions,
docs/developer/action-framework.md. Apache-2.0; read for behaviour.
"""
