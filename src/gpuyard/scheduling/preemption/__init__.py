"""At whose cost a pod or a workload starts: the rules of preemption, one room each."""
