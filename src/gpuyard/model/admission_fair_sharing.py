"""The knobs of admission fair sharing: who has used less lately goes first.

Inside one ClusterQueue the LocalQueues take turns by their *decayed usage*, an average of what they
held in which an hour counts half as much as one that is a half-life younger. Words and defaults:
Kueue v0.19.2, apis/config/v1beta2 (AdmissionFairSharing), apis/kueue/v1beta2 (AdmissionScope).
"""

from typing import Literal

import msgspec

AdmissionMode = Literal["UsageBasedAdmissionFairSharing", "NoAdmissionFairSharing"]

SAMPLING_INTERVAL_NS = 300 * 10**9  # Kueue's default


class AdmissionFairSharing(msgspec.Struct, frozen=True, kw_only=True):
    """How fast usage is forgotten, how often it is looked at, and what each resource counts.

    A `half_life_ns` of 0 forgets at once. A resource without a weight counts 1 for each core, byte
    or piece.
    """

    half_life_ns: int
    sampling_interval_ns: int = SAMPLING_INTERVAL_NS
    resource_weights_nano: tuple[tuple[str, int], ...] = ()
