"""Who has to go at the least cost in device time: ours.

`victims` is the door; `cost` says what an eviction costs and who may be evicted at all;
`consolidate` moves small jobs for a gang where all of them land.
"""
