"""Queues that deserve a part of the cluster: who may use how much, who goes first, who gives back.

Each queue of a tree *deserves* an amount of each resource. What nobody uses of it goes over quota:
to the other queues, by priority and weight, and it can be reclaimed. Beside Kueue's quota (nominal
amount, borrowing and lending limits: `scheduling.quota`) this is the other of the two models of
sharing that are in use, and the rooms of this package are its rules, each a pure function:

- `shares`: the queues, what they hold and what they ask for;
- `division`: the fair share of each queue, level by level;
- `order`: whose turn is next;
- `limits`: what no queue may exceed, however empty the cluster is;
- `reclaim`: whether one queue may take from another;
- `runtimes`: how long a workload is left alone, and how long one waits before it evicts.

Amounts are integers in the resource's own unit; where the other scheduler computes with 64-bit
floats, here everything is an integer or an exact fraction.

Semantics: KAI Scheduler v0.17 (kai-scheduler/KAI-Scheduler @d5bc503a), pkg/scheduler/plugins/
proportion and minruntime. Apache-2.0; read for behaviour.
"""
