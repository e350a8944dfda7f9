"""Caps: so much of a resource for a user, a queue or a device model, at certain hours.

A cap bounds beside quota and never replaces it: quota says what a queue owns, a cap what somebody
may hold at most. In a field ``""`` means that it does not matter, `EACH` that each one has the
whole amount, a name that only that one is meant; ``user=EACH, model="H100"`` is so much of the H100
for every user. Slurm calls these GrpTRES (all together) and MaxTRESPerUser (each).

A `DailyWindow` is told in local time with a fixed distance to UTC: the core has no calendar of
summer time, who loads the policy does.
"""

import msgspec

EACH = "*"
DAY_NS = 86_400 * 10**9


class DailyWindow(msgspec.Struct, frozen=True, kw_only=True):
    """From one time of day until before another, over midnight where that is earlier.

    Equal times are the whole day. `weekdays` are those on which the window opens, Monday is 0;
    empty means every day.
    """

    from_ns: int = 0
    until_ns: int = 0
    weekdays: tuple[int, ...] = ()
    utc_offset_ns: int = 0


class UsageCap(msgspec.Struct, frozen=True, kw_only=True):
    """At most `amount` of `resource`, in the resource's own unit, while one of `windows` is open.

    Without windows it always holds.
    """

    name: str
    resource: str
    amount: int
    user: str = ""
    queue: str = ""
    model: str = ""
    windows: tuple[DailyWindow, ...] = ()


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """What `user` holds, or asks for, through `queue` on devices of `model`."""

    resource: str
    amount: int
    user: str = ""
    queue: str = ""
    model: str = ""
