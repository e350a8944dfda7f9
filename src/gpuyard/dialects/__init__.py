"""Kubernetes objects of every ecosystem, translated into the words of the model.

`wire` names the fields that we read, `core` turns Pods and Nodes into requests and constraints.
Everything that an API leaves to defaults is resolved here, so that the core reads one meaning.
Only `lint`, `platform` and the hosts import this room.
"""
