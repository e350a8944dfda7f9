"""Who has to go between queues: Kueue's rules, and ours where the rules say so.

`targets` is the door: a demand and the state of the queues go in, victims with reasons come out.
`simulate` answers what flavor assignment asks. The rules are in `rules`.
"""
