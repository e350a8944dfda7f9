"""What Volcano's tests expect, as something that equals our answer where it is met.

Semantics: uthelper/helper.go (CheckBind, CheckEvict, CheckPipelined, CheckPGStatus). Binds and
evictions are compared completely; of pipelined pods and of phases, only the jobs that are named.
"""

from collections.abc import Mapping

from verification.oracles.rows import Json, Kind


class WantedPlaces:
    """Jobs, each with pods that wait, all of them on some of the nodes given."""

    def __init__(self, given: Mapping[str, Json]) -> None:
        """Keep what was read."""
        self.given = {job: set(nodes) for job, nodes in given.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and all(
            other.get(job) and other[job] <= nodes for job, nodes in self.given.items()
        )

    __hash__ = None  # type: ignore[assignment]  # an expectation is compared, not kept

    def __repr__(self) -> str:
        return repr(self.given)


class WantedPhases:
    """Pod groups, each in a phase."""

    def __init__(self, given: Mapping[str, Json]) -> None:
        """Keep what was read."""
        self.given = dict(given)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and self.given.items() <= other.items()

    __hash__ = None  # type: ignore[assignment]  # an expectation is compared, not kept

    def __repr__(self) -> str:
        return repr(self.given)


PLACES = Kind(WantedPlaces, {"none": ["none"]})
PHASES = Kind(WantedPhases, {"none": "none"})
BINDS = Kind(dict, {"none": "none"})
PODS = Kind(sorted, ["none"])
COUNT = Kind(int, 1)
COUNTS = Kind(list, [1])
