# Everything a contributor does. Needs nothing but make and Python 3.11 or newer; `make` alone explains itself.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
SEED ?= 1
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: help install lint format specs test test-browser check demo dev bench bench-long simulate lock clean

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv from the lock (only when the lock or pyproject.toml changed)

# The first line speaks before pip does: an old Python would fail three minutes later and with a riddle.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "sagaplane needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true). Try: make PYTHON=python3.12 install" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# operator/ is a source root that may not be there yet, and mypy does not forgive a path that is not there.
lint: $(INSTALLED) ## Check style, types and who may import whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy services $(wildcard operator) tests
	$(BIN)/lint-imports

format: $(INSTALLED) ## Put the code into the house style, as far as a machine can
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

specs: $(INSTALLED) ## Run the specs: values only, no servers, on every save
	$(BIN)/python -m pytest tests/specs

test: $(INSTALLED) ## Run every test that needs no server and no browser
	$(BIN)/python -m pytest -n auto -m "not browser"

test-browser: $(INSTALLED) ## Look at the dashboard in headless Chromium, which has to be installed
	$(BIN)/python -m pytest -n auto -m browser

check: lint test ## What a commit has to pass

demo: $(INSTALLED) ## Ten orders on this machine, some confirmed, some compensated
	$(BIN)/sagactl demo

dev: $(INSTALLED) ## Run the shop on this machine and keep it running
	$(BIN)/sagactl dev

bench: $(INSTALLED) ## Measure how many sagas one machine carries
	$(BIN)/python -m onebox.bench

bench-long: $(INSTALLED) ## Measure also what takes an hour: the analytics over 10,000,000 events
	$(BIN)/python -m onebox.bench analytics-flat --events 10000000

simulate: $(INSTALLED) ## Replay one simulated world: make simulate SEED=42
	$(BIN)/python -m onebox.simulation --seed $(SEED)

# Runs with the lowest supported Python, so that the lock holds the backports too. No address of any index gets into the file.
lock: $(INSTALLED) ## Choose versions anew and write requirements.lock: make lock UPGRADE=--upgrade
	env -u PIP_FIND_LINKS CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet $(UPGRADE) \
	    --all-extras --generate-hashes --allow-unsafe --strip-extras \
	    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options \
	    --output-file requirements.lock pyproject.toml

clean: ## Remove what can be made again
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find services operator tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
