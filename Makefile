# The only commands to know: run, test, check, bench. `make help` lists them all.
#
# A virtual environment is made from the lock files, which pin every version with its hashes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS_OF_TESTS ?= auto
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

.DEFAULT_GOAL := help
.PHONY: help run test check format bench lock clean

help:  ## say what the commands are
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

run: $(VENV)/.run  ## start everything on this machine and do the main job once; ONCE=1 ends after it
	@$(BIN)/python -m psthreads.run $(if $(ONCE),--once)

test: $(VENV)/.dev  ## run every test, with real Redis servers and real workers
	@$(BIN)/python -m pytest -n $(WORKERS_OF_TESTS) $(ARGS)

check: $(VENV)/.dev  ## ruff, mypy --strict, and the direction of the imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_layers.py

format: $(VENV)/.dev  ## format the code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(VENV)/.dev  ## measure, print the ratios and write them to var/bench.json
	@$(BIN)/python -m bench

lock: $(VENV)/.dev  ## pin the newest versions that pyproject.toml allows
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --upgrade \
		--custom-compile-command 'make lock' pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --upgrade --extra dev \
		--custom-compile-command 'make lock' -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:  ## remove the virtual environment and everything that was made
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "psthreads needs Python 3.11 or newer; name one with: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock | $(BIN)/python
	@$(PIP) -r requirements.lock
	@touch $@

$(VENV)/.dev: requirements-dev.lock | $(BIN)/python
	@$(PIP) -r requirements-dev.lock
	@touch $@ $(VENV)/.run
