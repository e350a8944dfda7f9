"""``python -m gpuyard.local.prepare``: have the programs of a cluster, built if need be.

For a machine that is about to run tests: the build is seen, and the tests then find it. The version
is chosen as everywhere, by ``GPUYARD_KUBERNETES``.
"""

import sys

from gpuyard.local.errors import LocalError
from gpuyard.local.go_module import PACKAGES
from gpuyard.local.programs import provide


def main() -> int:
    """Build or find, and say where the programs are; 2 where that is not possible."""
    try:
        programs = provide(tuple(PACKAGES), say=_say)
    except LocalError as error:
        _say(str(error))
        return 2
    _say(f"Kubernetes {programs.version} is in {programs.origin}")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"gpuyard: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
