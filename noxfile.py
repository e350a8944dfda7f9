"""The tests on every Python that gpuyard supports: the locked versions, and the oldest allowed.

`make matrix` runs this with the uv that `make` brought; uv also brings the Pythons. One environment
for daily work is `make test`'s business, not nox's.
"""

import nox

PYTHONS = ("3.11", "3.12", "3.13", "3.14")

nox.needs_version = ">=2025.10"
nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = True


@nox.session(python=PYTHONS)
def locked(session: nox.Session) -> None:
    """Run the tests with the versions in uv.lock."""
    session.run_install(
        "uv",
        "sync",
        "--locked",
        "--all-extras",
        env={"UV_PROJECT_ENVIRONMENT": session.virtualenv.location},
    )
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session(python=PYTHONS[0])
def oldest(session: nox.Session) -> None:
    """Run the tests with the oldest versions that pyproject.toml allows."""
    session.install(
        "--resolution",
        "lowest-direct",
        "--editable",
        ".[analysis]",
        "--group",
        "dev",
    )
    session.run("pytest", "-n", "auto", *session.posargs)
