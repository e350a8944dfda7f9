# Two commands do all set-up on a machine with Python, make and a package index:
#   make demo    make test
# The environment is .venv, made from uv.lock by a uv that lives under build/. To use your own uv:
# make UV=uv test. If python3 is older than gpuyard needs, uv brings a Python of its own.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
UV_HOME := build/uv-0.13
UV_PIN := uv>=0.13.9,<0.14
UV ?= $(UV_HOME)/bin/uv
BIN := .venv/bin
export UV_PROJECT_ENVIRONMENT := .venv

# Stamps lie inside the environment, so that deleting it deletes them.
RUNNABLE := .venv/.gpuyard-runnable
TESTABLE := .venv/.gpuyard-testable
LOCKED := pyproject.toml uv.lock | $(filter $(UV_HOME)/%,$(UV))

TYPED := src $(wildcard benchmarks verification tests/typing)

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(RUNNABLE) ## Run the demonstration and write its report to build/demo.html
	@mkdir -p build
	$(BIN)/gpuyard demo -o html --to build/demo.html
	@echo "The report is $(CURDIR)/build/demo.html"

.PHONY: test
test: check ## Check, then run every test tier that this machine can run
	$(BIN)/pytest -n auto --dist worksteal $(PYTEST_ARGS)

.PHONY: check
check: $(TESTABLE) ## Style, types and import contracts, without tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict $(TYPED)
	$(BIN)/lint-imports --no-logo

.PHONY: format
format: $(TESTABLE) ## Format the code and apply safe fixes
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

.PHONY: setup
setup: $(TESTABLE) ## Make the environment in .venv, and nothing else

.PHONY: matrix
matrix: $(TESTABLE) ## Run the tests on every supported Python (uv brings them)
	PATH="$(abspath $(dir $(UV))):$$PATH" $(BIN)/nox

.PHONY: clean
clean: ## Remove the environment, caches and everything that was built
	rm -rf .venv build dist .nox .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(RUNNABLE): $(LOCKED)
	$(UV) sync --locked --no-dev --inexact
	@touch $@

$(TESTABLE): $(LOCKED)
	$(UV) sync --locked --all-extras
	@touch $(RUNNABLE) $@

$(UV_HOME)/bin/uv:
	@$(PYTHON) -m venv $(UV_HOME) || { \
	  echo "make: no environment could be made with '$(PYTHON) -m venv';" \
	    "install Python's venv module, or name a uv of your own: make UV=/path/to/uv" >&2; exit 1; }
	$(UV_HOME)/bin/python -m pip install --quiet --disable-pip-version-check '$(UV_PIN)'
