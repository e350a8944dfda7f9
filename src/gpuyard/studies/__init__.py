"""Questions put to the twin: many runs over all cores, and what they say as one answer.

A study is data (which policies, loads, seeds), a set of runs that do not know of each other, and a
page, a table or a document made of the results. It is a host: it may use processes, and measures
how long it took; what a run decides is the twin's.
"""
