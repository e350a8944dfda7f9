"""What an API server serves: every kind, in every version, with its paths and verbs.

`read` asks the server: in two requests where it answers in the aggregated form (`aggregated`), with
one per group and version where it does not (`legacy`). Both end in the same `served.Served`.
"""
