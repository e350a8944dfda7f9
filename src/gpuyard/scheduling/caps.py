"""How much a user, a queue or a device model may still take now, and which cap says so.

`left` is asked for one use at a time: what all caps that speak of it leave, as the smallest of
them. It may be negative, where a window opened over what runs: a cap keeps new starts out, it
evicts nobody. Without a cap there is no answer, `None`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from gpuyard.model.caps import DAY_NS, EACH, DailyWindow, UsageCap, Use
from gpuyard.model.queues import Admission
from gpuyard.model.reasons import Constraint

EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday
_FIELDS = ("user", "queue", "model")


def left(
    caps: Sequence[UsageCap], in_use: Iterable[Use], asked: Use, now_ns: int
) -> Constraint | None:
    """Return the cap that leaves least for `asked`: what it needs, and what it may have.

    Of caps that leave the same the first binds. A use without a field (a user nobody knows) is
    bounded together with others without it.
    """
    used = tuple(in_use)
    binding: Constraint | None = None
    for cap in caps:
        if not _speaks_of(cap, asked) or not is_open(cap.windows, now_ns):
            continue
        taken = sum(each.amount for each in used if _counts(cap, each, asked))
        if binding is None or cap.amount - taken < binding.have:
            binding = Constraint(
                name=cap.name,
                needed=asked.amount,
                have=cap.amount - taken,
                where=_where(cap, asked),
            )
    return binding


def first_exceeded(
    caps: Sequence[UsageCap], in_use: Iterable[Use], asked: Iterable[Use], now_ns: int
) -> Constraint | None:
    """Return the first cap that does not leave enough for all of `asked` together."""
    used = list(in_use)
    for use in asked:
        binding = left(caps, used, use, now_ns)
        if binding is not None and binding.have < use.amount:
            return binding
        used.append(use)
    return None


def uses_of(admission: Admission, user: str, models: Mapping[str, str]) -> Iterator[Use]:
    """Yield what an admission takes, as caps count it; `models` are device models by flavor."""
    for key, amount in admission.usage().quota:
        yield Use(
            resource=key.resource,
            amount=amount,
            user=user,
            queue=admission.cluster_queue,
            model=models.get(key.flavor, ""),
        )


def is_open(windows: Sequence[DailyWindow], now_ns: int) -> bool:
    """Tell whether one of `windows` is open; without any, always."""
    return not windows or any(_is_open(window, now_ns) for window in windows)


def _is_open(window: DailyWindow, now_ns: int) -> bool:
    day, time_ns = divmod(now_ns + window.utc_offset_ns, DAY_NS)
    if window.from_ns < window.until_ns:
        return window.from_ns <= time_ns < window.until_ns and _opens(window, day)
    if time_ns >= window.from_ns:
        return _opens(window, day)
    return time_ns < window.until_ns and _opens(window, day - 1)  # it opened the day before


def _opens(window: DailyWindow, day: int) -> bool:
    return not window.weekdays or (day + EPOCH_WEEKDAY) % 7 in window.weekdays


def _speaks_of(cap: UsageCap, use: Use) -> bool:
    """Tell whether `cap` bounds such a use."""
    return cap.resource == use.resource and all(
        getattr(cap, field) in {"", EACH, getattr(use, field)} for field in _FIELDS
    )


def _counts(cap: UsageCap, use: Use, asked: Use) -> bool:
    """Tell whether `use` takes from the same amount as `asked`."""
    return _speaks_of(cap, use) and all(
        getattr(use, field) == getattr(asked, field)
        for field in _FIELDS
        if getattr(cap, field) == EACH
    )


def _where(cap: UsageCap, asked: Use) -> str:
    """Return for whom the amount is, as ``user ann, model H100``."""
    named = [f"{field} {getattr(asked, field)}" for field in _FIELDS if getattr(cap, field)]
    return ", ".join(named) or "everybody"
