# `make` alone prints what there is. Each word works as the first and only command in a fresh clone.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PAGE := client-app/dist/index.html
PAGE_SOURCES := $(shell find client-app -path client-app/node_modules -prune -o -path client-app/dist -prune -o -type f -print 2>/dev/null)

# Compiled modules and rewritten tests are kept, whatever the environment says: every later start is quicker.
unexport PYTHONDONTWRITEBYTECODE

# Units keep both processors busy; tests of the whole system mostly wait for the next tick, so more of them fit. The
# browser's go by themselves: Playwright runs an event loop of its own.
PARTS := --numprocesses=2 --ignore=tests/end_to_end --ignore=tests/browser --ignore=tests/conformance
UNIT := $(PARTS) -m "not contract and not property and not end_to_end and not browser and not soak"

.PHONY: help
help: ## Print this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: install
install: $(INSTALLED) ## Install Python's side from the lock into .venv

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(f"tickwire needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}: try make PYTHON=python3.13" if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

client-app/node_modules/.installed: client-app/package-lock.json
	@node -e 'if (process.versions.node.localeCompare("20.19", "en", { numeric: true }) < 0) { console.error("tickwire needs Node 20.19 or newer; this is " + process.version); process.exit(1) }'
	cd client-app && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(PAGE): $(PAGE_SOURCES) client-app/node_modules/.installed
	cd client-app && npm run --silent build
	@touch $@

.PHONY: run
run: $(INSTALLED) $(PAGE) ## Run the whole system on simulated prices and open the page (UP="--port 8001 --no-browser" adds flags)
	@exec $(BIN)/tickwire up --template infra/template.yaml $(UP)

.PHONY: watch
watch: $(INSTALLED) ## Watch the market in the terminal while make run runs
	@exec $(BIN)/tickwire watch market

.PHONY: test
test: $(INSTALLED) $(PAGE) browser ## Run every test but the long ones
	cd client-app && npm run --silent test
	$(BIN)/pytest $(PARTS) -m "not end_to_end and not browser and not soak" --cov --cov-report=term --cov-fail-under=95
	$(BIN)/pytest --numprocesses=5 --dist=loadfile --no-loadscope-reorder --ignore=tests/conformance -m "end_to_end and not soak"
	$(BIN)/pytest --numprocesses=2 -m "browser and not soak" tests/browser

.PHONY: unit
unit: $(INSTALLED) ## Run the unit tests alone, in seconds
	$(BIN)/pytest $(UNIT)

.PHONY: soak
soak: $(INSTALLED) ## Run the tests that take minutes
	$(BIN)/pytest -m "soak and not browser" --timeout=900
	$(BIN)/pytest -m "soak and browser" --timeout=900 tests/browser

.PHONY: conformance
conformance: $(INSTALLED) ## Check the emulator, or a stage (GATEWAY=wss://… MANAGEMENT=https://…), against API Gateway's rules
	TICKWIRE_CONFORMANCE_GATEWAY="$(GATEWAY)" TICKWIRE_CONFORMANCE_MANAGEMENT="$(MANAGEMENT)" $(BIN)/pytest --numprocesses=2 --dist=loadfile -m "not clients" tests/conformance

# What drives the Autobahn cases has nothing to do with ours, and an environment of its own.
build/autobahn/.installed:
	$(PYTHON) -m venv build/autobahn
	build/autobahn/bin/pip install --quiet --disable-pip-version-check --only-binary=:all: kosoku==0.1.0
	@touch $@

.PHONY: autobahn
autobahn: $(INSTALLED) build/autobahn/.installed ## Run the cases of the Autobahn test suite against the emulator's sockets
	$(BIN)/python -m tests.conformance.autobahn build/autobahn/bin/python

# Other people's clients, likewise.
build/clients/.installed: tests/conformance/clients/package.json tests/conformance/clients/requirements.txt
	@mkdir -p build/clients
	@cp tests/conformance/clients/package.json build/clients/
	cd build/clients && npm install --no-audit --no-fund --no-package-lock --loglevel=error
	$(PYTHON) -m venv build/clients/venv
	build/clients/venv/bin/pip install --quiet --disable-pip-version-check -r tests/conformance/clients/requirements.txt
	@touch $@

.PHONY: clients
clients: $(INSTALLED) build/clients/.installed ## Let other clients and SDKs (ws, wscat, websockets, AWS's for JavaScript, curl) talk to the emulator
	TICKWIRE_CONFORMANCE_GATEWAY="$(GATEWAY)" TICKWIRE_CONFORMANCE_MANAGEMENT="$(MANAGEMENT)" $(BIN)/pytest -m clients tests/conformance/clients

.PHONY: browser
browser: # A Chromium for the browser tests: Debian's, where there is none and we may install it
	@if command -v chromium chromium-browser google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	else echo "no Chromium: the browser tests are skipped; install it with: sudo apt-get install chromium"; fi

.PHONY: check
check: $(INSTALLED) client-app/node_modules/.installed ## Lint, types, import rules, template
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cfn-lint -r eu-west-1 -- infra/template.yaml
	cd client-app && npm run --silent check

.PHONY: fix
fix: $(INSTALLED) ## Mend what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: $(INSTALLED) ## Measure, as ratios within one run, into build/bench.json (BENCH=--readme writes the README's tables)
	$(BIN)/python -m tests.benchmarks $(BENCH)

PEERS := build/peers

$(PEERS)/ministack/.installed: tests/benchmarks/peers/ministack.txt
	$(PYTHON) -m venv $(PEERS)/ministack
	$(PEERS)/ministack/bin/pip install --quiet --disable-pip-version-check -r $<
	@touch $@

$(PEERS)/serverless-offline/.installed: tests/benchmarks/peers/package.json
	mkdir -p $(PEERS)/serverless-offline
	cp $< $(PEERS)/serverless-offline/
	cd $(PEERS)/serverless-offline && npm install --no-audit --no-fund --no-package-lock --loglevel=error
	@touch $@

.PHONY: bench-peers
bench-peers: $(INSTALLED) $(PEERS)/ministack/.installed $(PEERS)/serverless-offline/.installed ## Measure beside other emulators, each installed from its registry into build/
	$(BIN)/python -m tests.benchmarks.peers

.PHONY: bench-full
bench-full: bench-peers $(PAGE) browser ## The same, beside other emulators and with the long ones: 10,000 clients, 1,000 ticks, the page (20 minutes)
	$(BIN)/python -m tests.benchmarks --full $(BENCH)

.PHONY: package
package: $(INSTALLED) $(PAGE) ## Build the wheel and the functions' folder for deployment into build/
	rm -rf build/functions build/wheel
	$(BIN)/hatchling build -t wheel -d build/wheel
	$(MAKE) --no-print-directory functions ARTIFACTS_DIR=build/functions

# What a function is on AWS: our two packages and what they need there. `sam build` calls the build-… targets.
.PHONY: functions
functions:
	mkdir -p "$(ARTIFACTS_DIR)"
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary=:all: \
	  --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 --platform manylinux_2_28_aarch64 \
	  --python-version 3.13 --implementation cp --target "$(ARTIFACTS_DIR)" -r requirements-functions.lock
	rm -rf "$(ARTIFACTS_DIR)/bin"
	cp -R handlers scheduler "$(ARTIFACTS_DIR)/"
	find "$(ARTIFACTS_DIR)" -name __pycache__ -type d -prune -exec rm -rf {} +

build-%:
	$(MAKE) --no-print-directory functions ARTIFACTS_DIR="$(ARTIFACTS_DIR)"

.PHONY: lock
lock: $(INSTALLED) ## Resolve the locks anew (needs uv on the PATH)
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet --output-file requirements.lock
	$(BIN)/python -c 'import tomllib; print("\n".join(n for n in tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["functions"] if not n.startswith("botocore")))' \
	  | uv pip compile - --constraint requirements.lock --python-version 3.13 --python-platform aarch64-manylinux_2_28 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet --output-file requirements-functions.lock
