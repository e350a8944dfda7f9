"""Facts and words: what every other room speaks about.

The types are frozen: an observed node, a request or a plan never changes under the reader's hands.
Amounts are exact integers in the resource's own unit (CPU in thousandths of a core, everything
else in bytes or pieces, a device in thousandths of itself), instants and durations are integers in
nanoseconds and say so in their names. This room imports no other.
"""
