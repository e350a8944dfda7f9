"""Who of the waiting gets quota now: one round over the workloads that the queues offer.

`round.run` is the door. It takes the head of each queue, finds out what each would get
(`nominate`), lets them take turns (`ordering.between`), and looks at each once more before it
counts what it takes: those before it may have taken the quota, the places, or the victims.
"""
