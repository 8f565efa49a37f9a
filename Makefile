# Everything runs from the clone: `make run` starts a ledger, `make test` proves it. See `make help`.
# Written for GNU make 3.81, which macOS ships, so no .ONESHELL and no != assignments.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
CHECKS := check-types check-style check-code check-locks check-api check-docs
.PHONY: help setup run quick test night small usual long-life approve mutate simulate flaky chaos failover relay-kills soak acceptance bench idle check $(CHECKS) dist image clients audit sbom docs pictures lock clean

VENV := .venv
BIN := $(VENV)/bin
# More words for `ledger up` or pytest, e.g. `make test ARGS="-k reserve"`.
ARGS :=
# Systems and processors that all packages of the locks have wheels for.
MACHINES := linux-x86_64 linux-aarch64 darwin-arm64
# Only `make lock` needs it: https://docs.astral.sh/uv/
UV := uv

# A virtual environment can't be moved: the stamp holds the folder, so that a moved or copied clone is set up again.
PLACE := $(shell pwd -P | cksum | cut -d ' ' -f 1)
RUNTIME := $(VENV)/.runtime-$(PLACE)
INSTALLED := $(VENV)/.installed-$(PLACE)
LINKED := $(VENV)/.linked-$(PLACE)
# Tools that look at the locks from outside, away from what they look at.
TOOLS := .venv-audit
AUDITING := $(TOOLS)/.installed-$(PLACE)
# mutmut runs tests in its own process, so its environment holds the ledger and pytest too.
MUTATION := .venv-mutate
MUTATING := $(MUTATION)/.installed-$(PLACE)

# pip: no question, no advice, no word about root (the environment is ours alone).
export PIP_NO_INPUT := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore
# Many processes are started, by `ledger up` as by the tests: without bytecode each compiles every module again.
unexport PYTHONDONTWRITEBYTECODE
ifeq ($(strip $(HOME)),)
# "~" would be the root folder of the machine.
export PIP_NO_CACHE_DIR := 1
endif

# The environment's pip if it has one, else that of the Python that it was made from: installing a pip takes longer than
# using one. The lock names every package, and Python writes the bytecode of a module when it is first imported.
PIP = python=$(BIN)/python; if "$$python" -c 'import pip' 2>/dev/null; then set -- "$$python" -m pip; else \
	set -- "$$("$$python" -c 'import sys; print(sys._base_executable)')" -m pip --python "$$python"; fi; "$$@"
INSTALL := install --quiet --require-hashes --only-binary :all: --no-deps --no-compile

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1  /' | awk '{ n = $$1; $$1 = ""; printf "make %-9s%s\n", n, $$0 }'

setup: $(INSTALLED) $(LINKED)  ## Create .venv from the hashed locks, for tests and checks too
	@:

# The first Python of at least 3.11: `python3` if it will do, else one with the version in its name.
$(RUNTIME): requirements/servers.lock
	@new_enough='import sys; sys.exit(sys.version_info < (3, 11))'; \
	python=; \
	for name in $(PYTHON) python3 python3.13 python3.12 python3.11 python3.14; do \
		if "$$name" -c "$$new_enough" 2>/dev/null; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo 'Python 3.11 or newer is needed and none was found: install it, or name one: make PYTHON=/path/to/python3' >&2; \
		exit 1; \
	fi; \
	machine=$$("$$python" -c 'import platform, sys; print(sys.platform, platform.machine())'); \
	case " $(MACHINES) " in *" $$(echo $$machine | tr ' ' -) "*) ;; *) \
		echo "Packages that the ledger needs have no wheels for $$machine, only for $(MACHINES):" \
			"use Docker instead: docker compose up -d --build --wait" >&2; \
		exit 1;; \
	esac; \
	if [ ! -e $(RUNTIME) ] || ! $(BIN)/python -c "$$new_enough" 2>/dev/null; then \
		if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
			echo "$$python has no venv module: install it first (Debian and Ubuntu: apt install python3-venv)" >&2; \
			exit 1; \
		fi; \
		echo "Setting up $(VENV) with $$("$$python" --version)"; \
		"$$python" -m venv --clear --without-pip $(VENV) || exit 1; \
		"$$python" -m pip --python $(BIN)/python --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null || exit 1; \
	fi
	@$(PIP) $(INSTALL) -r requirements/servers.lock
	@touch $@

# What tests and checks need in addition: four times as much as the ledger itself.
$(INSTALLED): requirements/dev.lock $(RUNTIME)
	@echo "Adding to $(VENV) what tests and checks need"
	@$(PIP) $(INSTALL) -r requirements/dev.lock
	@touch $@

$(LINKED): pyproject.toml requirements/runtime.in requirements/servers.in $(RUNTIME)
	@$(PIP) install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

run: $(LINKED)  ## Start the whole ledger on private servers, until Ctrl-C
	@$(BIN)/ledger up $(ARGS)

# The inner loop: within a minute once the caches are warm. The gates of `make check` that need no server come first.
quick: setup  ## Check style, types, import rules, unit tests, schema, catalogs and architecture, within a minute
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest --quiet -n $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) --maxprocesses 4 --dist loadfile \
		tests/unit tests/schema tests/i18n tests/architecture $(ARGS)

# The gate: what the code alone decides. Whole files, long ones first (tests/support/long_files.py), in two more processes
# than there are cores, because servers wait. Every second process is in the small world, where bounds are tiny
# (tests/small_world/worlds.py); ARGS=-n0 runs all in one process and in the usual world.
IN_PARALLEL = -n $$(( $$(getconf _NPROCESSORS_ONLN) + 2 )) --maxprocesses 8 --dist loadfile --no-loadscope-reorder
test: setup  ## Run the gate's tests: what the code alone decides, in five minutes on two cores
	@$(BIN)/python -m pytest $(IN_PARALLEL) $(ARGS)

# The night: what depends on the speed of a process, a real server, a real clock or a random draw (tests/night/targets.py).
# As many targets as MINUTES allow, those first whose last result is oldest; ARGS="--only chaos" runs one, ARGS=--list names all.
MINUTES := 60
night: setup $(AUDITING)  ## Hunt for MINUTES=60: chaos, failover, browsers, both worlds, mutants, long simulations; SEED= repeats
	@$(BIN)/python -m tests.night --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

# Every file that can be in one world (tests/small_world/worlds.py), whichever it has by day. In the small one, each process
# records the bounds that it uses, and one that no test used fails (ARGS chooses among the tests, so it ends that check).
WORLDLY := tests/unit/projections tests/unit/api tests/unit/workers tests/unit/domain/values tests/integration
USES := $(CURDIR)/build/small_world_uses.txt
SMALL := SMALL_WORLD=1 SMALL_WORLD_USES=$(USES) PYTHONPATH=$(CURDIR)/tests/small_world/startup:$(CURDIR)
small: setup  ## Run tests where every cache, queue, page, batch and pool is tiny, so that each is full
	@rm -rf build/small_world && mkdir -p $(dir $(USES)) && : >$(USES)
	@$(SMALL) $(BIN)/python -m pytest $(IN_PARALLEL) $(WORLDLY) $(ARGS)
	@$(SMALL) $(BIN)/python -m tests.simulation --seeds 300 $(if $(SEED),--seed $(SEED))
	@$(if $(ARGS),,$(BIN)/python -m tests.small_world.uses $(USES))

usual: setup  ## Run the same tests where every bound has its usual size
	@SMALL_WORLD=0 $(BIN)/python -m pytest $(IN_PARALLEL) $(WORLDLY) $(ARGS)

# SEED= chooses whom the requests are about; ARGS="--codes N --redeems M" a shorter life.
long-life: setup  ## Redeem 300,000 times in one process life while database connections end, and compare each answer
	@$(BIN)/python -m tests.faults.long_life $(if $(SEED),--seed $(SEED)) $(ARGS)

# Read the difference before it is committed: what is approved is promised.
approve: setup  ## Write every approved file: schema, event shapes, results and statements of commands, names of the sending side, docs
	@$(BIN)/python -m tests.schema.approved_schema
	@$(BIN)/python -m tests.schema.event_shapes
	@$(BIN)/python -m tests.schema.approved_event_schemas
	@APPROVE_RESULTS=1 $(BIN)/python -m pytest --quiet -n0 tests/unit/domain \
		tests/integration/projections/event_store/test_statements.py
	@$(BIN)/python -m tests.observability.approved_sending
	@$(BIN)/python docs/reference.py
	@git status --short -- tests/schema tests/unit/domain tests/integration/projections/event_store tests/architecture \
		tests/observability docs

# A sample of mutants, chosen by SEED=; ARGS=--all tries each of some 6,500, in ten minutes of CPU time.
# ARGS="--all --only domain.model.access.*" tries those of one module.
mutate: $(MUTATING)  ## Change the domain in 400 places, one at a time: the unit and property tests must notice
	@$(MUTATION)/bin/python -m tests.mutation $(if $(SEED),--seed $(SEED)) $(ARGS)

$(MUTATING): requirements/mutate.lock $(RUNTIME)
	@$(BIN)/python -m venv --clear $(MUTATION)
	@$(MUTATION)/bin/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements/mutate.lock
	@touch $@

# SEED= chooses the kinds and the order of faults (printed; random if not given), FAULTS= how many.
FAULTS := 100
chaos: setup  ## Kill and stop the processes of a real ledger under load, then check every guarantee
	@$(BIN)/python -m tests.faults.chaos $(if $(SEED),--seed $(SEED)) --faults $(FAULTS)

# Each kind of fault once, in the order of SEED=, before any repeats; ARGS="--route hosts" does without HAProxy.
ROUNDS := 14
failover: setup  ## Fail over a PostgreSQL cluster under load (root; needs patroni, etcd-server, haproxy), then check
	@$(BIN)/python -m tests.faults.failover $(if $(SEED),--seed $(SEED)) --rounds $(ROUNDS) $(ARGS)

# SEED= chooses the order of kills and their times (printed; random if not given).
KILLS := 50
relay-kills: setup  ## Kill a relay, its Kafka broker and the database in turn under load, then look for every event in the topic
	@$(BIN)/python -m tests.faults.relay $(if $(SEED),--seed $(SEED)) --kills $(KILLS)

# RUNS= how often under each condition. ARGS="tests/faults" repeats those of a folder, ARGS="--only one-core" under one condition.
RUNS := 20
flaky: setup  ## Repeat the tests that have processes: alone, with a busy neighbor, and on one core (hours; see ARGS)
	@$(BIN)/python -m tests.flaky --runs $(RUNS) $(ARGS)

# Schedules of the deterministic simulation, from seed SEED on: `make simulate SEED=that SEEDS=1` replays one.
SEEDS := 2000
simulate: setup  ## Run the ledger's own code through thousands of seeded schedules with faults in every step
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) $(if $(SEED),--seed $(SEED)) $(ARGS)

# SEED= chooses the inputs (one after another from 0 if not given).
INPUTS := 1000000
CASES := 20000
soak: setup  ## Fuzz for long: a million malformed inputs to every parser, 20,000 malformed requests to the API
	@$(BIN)/python -m tests.fuzz --inputs $(INPUTS) $(if $(SEED),--seed $(SEED))
	@$(BIN)/python -m tests.fuzz.receipts $(if $(SEED),--seed $(SEED))
	@seed=$(or $(SEED),$$(date +%s)) && echo "requests by SEED=$$seed" && \
		FUZZ_CASES=$(CASES) FUZZ_SEED=$$seed $(BIN)/python -m pytest -n0 -m night -o faulthandler_timeout=0 \
		tests/integration/api/http/test_schemathesis.py

# PREVIOUS= is the revision whose image is upgraded from.
PREVIOUS := HEAD~1
acceptance: setup  ## Run the containers for real: redeem, kill each, upgrade, down and up (needs a Docker engine)
	@$(BIN)/python -m tests.acceptance_compose --previous $(PREVIOUS) $(ARGS)

bench: setup  ## Measure how fast it is, compared with bare baselines (needs wrk; pgbench where present; ARGS=--quick for a slice)
	@$(BIN)/python -m benchmarks $(ARGS)

idle: setup  ## Measure wake-ups, CPU time, SQL statements and memory of an idle ledger (Linux; ARGS="--compare CHECKOUT")
	@$(BIN)/python -m benchmarks.idle $(ARGS)

# Two at a time: the types take as long as the rest. Node.js is needed for the OpenAPI document alone: without it, one line
# names what to install. In CI it must be there.
check: setup  ## Check style, types, import rules, dead code, spelling, locks, licenses, OpenAPI and documentation
	@$(MAKE) --no-print-directory -j2 $(CHECKS)

check-types:
	@$(BIN)/mypy

check-style:
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/typos

check-code:
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m tests.architecture.dead_code
	@$(BIN)/python -m tests.architecture.dead_methods

check-locks:
	@$(BIN)/python -m pytest --quiet tests/architecture/test_locks.py
	@$(BIN)/python -m tests.architecture.licenses
	@if docker compose version >/dev/null 2>&1; then docker compose config --quiet; fi

check-api:
	@$(BIN)/python -m tests.contracts.clients.lint_openapi

check-docs:
	@$(BIN)/python -m sphinx -b dummy -W --keep-going -q -d docs/_build/check docs docs/_build/dummy

# REVISION= is the commit; the same one gives the same bytes. BUILDER= is the URI of the pipeline that runs this, if one does.
# docs/how-to/release.md tells what to do with them.
REVISION := HEAD
BUILT_FROM = --revision $(REVISION) $(if $(BUILDER),--builder '$(BUILDER)')
dist: setup $(AUDITING)  ## Build the files of a release in dist/: wheel, source, clients, SBOM, licenses, provenance, digests
	@rm -rf dist
	@$(BIN)/python -m tests.packaging.build_release dist $(BUILT_FROM)
	@$(BIN)/python -m tests.packaging.build_clients dist $(BUILT_FROM)
	@$(BIN)/python -m tests.packaging.provenance dist

# BASE= names the image to build on by its digest. The builder of buildx must run both architectures, or PLATFORMS= names one.
image: setup  ## Build the image of a commit for amd64 and arm64 in build/, as an OCI archive with provenance and SBOM
	@$(BIN)/python -m tests.packaging.build_image --revision $(REVISION) $(if $(BASE),--base '$(BASE)') \
		$(if $(PLATFORMS),--platforms '$(PLATFORMS)') $(ARGS)

clients: setup $(AUDITING)  ## Build the packages of API clients of a commit in build/clients/
	@rm -rf build/clients
	@$(BIN)/python -m tests.packaging.build_clients build/clients $(BUILT_FROM)

# Not a part of `make check`: it asks a service for advisories, which changes its mind without us.
audit: $(AUDITING)  ## Check the pinned packages for known vulnerabilities (asks an advisory service)
	@for kind in runtime dev; do $(TOOLS)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		--requirement requirements/$$kind.lock $(ARGS) || exit 1; done

sbom: $(AUDITING)  ## Write build/sbom.cdx.json (CycloneDX): all packages of the ledger, with digests
	@mkdir -p build
	@PYTHONWARNINGS=ignore $(TOOLS)/bin/cyclonedx-py requirements requirements/runtime.lock --pyproject pyproject.toml --mc-type application \
		--output-reproducible --output-file build/sbom.cdx.json
	@echo build/sbom.cdx.json

$(AUDITING): requirements/audit.lock $(RUNTIME)
	@$(BIN)/python -m venv --clear $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements/audit.lock
	@touch $@

docs: setup  ## Write the generated lists and build the site in docs/_build; a warning or a dead link is an error
	@$(BIN)/python docs/reference.py
	@$(BIN)/python -m sphinx -b html -W --keep-going -q docs docs/_build/html
	@echo "docs/_build/html/index.html"

pictures: setup  ## Take the pictures of README and documentation (three minutes; needs chromium)
	@$(BIN)/python docs/pictures.py

# Pins stay as they are unless a requirement needs otherwise; `make lock ARGS=--upgrade` takes the newest.
LOCK := $(UV) pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet
PLACELESS := --no-emit-index-url --no-emit-find-links
lock:  ## Rebuild the locks from requirements/*.in and check that each supported machine has wheels (needs uv)
	$(LOCK) $(PLACELESS) $(ARGS) requirements/dev.in --output-file requirements/dev.lock
	$(LOCK) $(PLACELESS) --constraint requirements/dev.lock requirements/build.in requirements/runtime.in --output-file requirements/runtime.lock
	$(LOCK) $(PLACELESS) --constraint requirements/dev.lock requirements/build.in requirements/runtime.in requirements/servers.in \
		--output-file requirements/servers.lock
	$(LOCK) $(PLACELESS) --constraint requirements/dev.lock requirements/build.in requirements/runtime.in requirements/tracing.in \
		--output-file requirements/tracing.lock
	$(LOCK) $(PLACELESS) --constraint requirements/dev.lock requirements/build.in requirements/runtime.in requirements/kafka.in \
		--output-file requirements/kafka.lock
	$(LOCK) $(PLACELESS) $(ARGS) requirements/audit.in --output-file requirements/audit.lock
	$(LOCK) $(PLACELESS) --constraint requirements/dev.lock $(ARGS) requirements/mutate.in --output-file requirements/mutate.lock
	@mkdir -p build
	@for kind in dev audit mutate; do $(LOCK) --no-deps requirements/$$kind.lock --format pylock.toml \
		--output-file build/pylock.$$kind.toml >/dev/null || exit 1; done
	@$(UV) run --quiet --no-project --with packaging python -m tests.architecture.locks build/pylock.dev.toml \
		build/pylock.audit.toml build/pylock.mutate.toml

clean:  ## Remove files of tools; the ledger's data (.ledger) stays
	rm -rf $(VENV) tests/contracts/clients/node/node_modules tests/contracts/clients/node/build $(TOOLS) $(MUTATION) mutants build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
