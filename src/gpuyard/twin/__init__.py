"""The yard in virtual time: traces replayed through the same decisions that a cluster gets.

Nothing here reads a clock or a file: a trace, a policy and a seed go in, arrays and a page as a
string come out, and the same input gives the same bytes.
"""
