"""MIG: the profiles into which a GPU can be cut, and where on it each may lie.

A GPU with MIG has memory slices and compute slices. An instance of a profile occupies `size`
consecutive memory slices from one of a few fixed starts, and a number of compute slices anywhere.
Two instances may coexist when their memory slices do not overlap and the compute slices of all
stay within the GPU's: 3g and 3g fill all eight memory slices and leave one compute slice idle.

All models of one class share one table of starts; only the names, which carry the memory, differ.
Sources: NVIDIA MIG user guide, "Supported MIG Profiles"; placements as captured from ``nvidia-smi
mig -lgipp`` on A100 and H100. For the other models of the seven-slice class, and for the RTX PRO
6000, the placements are those of the class, by the same architecture. Per profile, `memory_gib` is
what ``nvidia-smi mig -lgip`` prints (two decimals), where one figure was seen on every board.
"""

import msgspec

# starts, memory slices, compute slices
_SEVEN = {
    "1g": ((0, 1, 2, 3, 4, 5, 6), 1, 1),
    "1g double": ((0, 2, 4, 6), 2, 1),  # twice the memory of 1g, the same compute
    "2g": ((0, 2, 4), 2, 2),
    "3g": ((0, 4), 4, 3),
    "4g": ((0,), 4, 4),
    "7g": ((0,), 8, 7),
}
_FOUR = {
    "1g": ((0, 1, 2, 3), 1, 1),
    "2g": ((0, 2), 2, 2),
    "4g": ((0,), 4, 4),
}


class MigProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One way to cut an instance: its name, its size in slices, where it may start.

    `starts` are memory slices; `max_count` is how many fit on an empty GPU. `media` profiles
    (``+me``) carry the media engines, of which only one instance may exist.
    """

    name: str
    starts: tuple[int, ...]
    memory_slices: int
    compute_slices: int
    max_count: int
    memory_gib: float | None = None
    media: bool = False


def seven_slices(
    names: str, *gib: float | None, media: tuple[str, ...] = ()
) -> tuple[MigProfile, ...]:
    """Return the profiles of a GPU with 7 compute and 8 memory slices.

    `names` are those of 1g, 1g with double memory, 2g, 3g, 4g and 7g, separated by blanks;
    `gib` their memory in the same order; `media` the profiles that also exist with ``+me``.
    """
    return _profiles(_SEVEN, names.split(), gib, media)


def four_slices(
    names: str, *gib: float | None, media: tuple[str, ...] = ()
) -> tuple[MigProfile, ...]:
    """Return the profiles of a GPU with 4 compute and 4 memory slices: 1g, 2g and 4g."""
    return _profiles(_FOUR, names.split(), gib, media)


def _profiles(
    places: dict[str, tuple[tuple[int, ...], int, int]],
    names: list[str],
    gib: tuple[float | None, ...],
    media: tuple[str, ...],
) -> tuple[MigProfile, ...]:
    plain = tuple(
        MigProfile(
            name=name,
            starts=starts,
            memory_slices=memory_slices,
            compute_slices=compute_slices,
            max_count=len(starts),  # the starts of one profile never overlap
            memory_gib=memory_gib,
        )
        for name, memory_gib, (starts, memory_slices, compute_slices) in zip(
            names, gib or (None,) * len(names), places.values(), strict=True
        )
    )
    with_media = tuple(
        msgspec.structs.replace(profile, name=f"{profile.name}+me", max_count=1, media=True)
        for profile in plain
        if profile.name in media
    )
    return plain + with_media
