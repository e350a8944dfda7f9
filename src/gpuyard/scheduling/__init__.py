"""The pure decision core: queues, placement and time, with no clock, no network and no logger.

Modules stand in the order in which a workload passes through them; a newcomer finds a rule by its
name in the field. Facts come in through `snapshot.Snapshot.apply` alone.
"""
