# Everything a contributor does. Needs nothing but make and Python 3.11 or newer; `make` alone explains itself.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

PYTHON ?= python3
SEED ?= 1
BIN := .venv/bin
# Of this place: an environment that came along when its clone was copied or moved runs the code of the other place.
INSTALLED := .venv/.installed-$(shell pwd -P | cksum | cut -d ' ' -f 1)
COMPILE := env -u PIP_FIND_LINKS CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet \
    --generate-hashes --allow-unsafe --strip-extras \
    --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

# What compose.yaml publishes on this machine, for commands that run beside the containers. As for compose, the shell
# goes before .env.
COMPOSED := shell=$$(export -p); set -a; [ ! -f .env ] || . ./.env; set +a; eval "$$shell"; \
    SAGACTL_ORDER_URL=http://127.0.0.1:$${ORDER_PORT:-3002} \
    SAGACTL_PAYMENT_URL=http://127.0.0.1:$${PAYMENT_PORT:-3003} \
    SAGACTL_INVENTORY_URL=http://127.0.0.1:$${INVENTORY_PORT:-3004} \
    SAGACTL_ANALYTICS_URL=http://127.0.0.1:$${ANALYTICS_PORT:-3005} \
    SAGACTL_SHIPPING_URL=http://127.0.0.1:$${SHIPPING_PORT:-3006} \
    SAGACTL_NOTIFICATION_URL=http://127.0.0.1:$${NOTIFICATION_PORT:-3007} \
    SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:$${KAFKA_PORT:-9092} \
    SAGAPLANE_DATABASE_URL="postgresql://{service}:$${SAGAPLANE_DATABASE_PASSWORD:-secret}@127.0.0.1:$${POSTGRES_PORT:-5432}/{service}" \
    SAGACTL_JAEGER_URL=http://127.0.0.1:$${JAEGER_PORT:-16686}

.PHONY: help install lint format specs test test-browser test-integration test-charts judges check demo dev compose-up compose-demo \
    compose-down kind-up kind-demo kind-down e2e dashboards chart bench bench-long bench-real bench-kind simulate lock clean

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv from the lock (only when the lock or pyproject.toml changed)

# The first line speaks before pip does: an old Python would fail three minutes later and with a riddle.
$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "sagaplane needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true). Try: make PYTHON=python3.12 install" >&2; exit 1; }
	$(PYTHON) -m venv $(if $(wildcard $@),,--clear) .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lint: $(INSTALLED) ## Check style, types and who may import whom
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy services operator observability tests
	$(BIN)/lint-imports

format: $(INSTALLED) ## Put the code into the house style, as far as a machine can
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

specs: $(INSTALLED) ## Run the specs: values only, no servers, on every save
	$(BIN)/python -m pytest tests/specs

test: $(INSTALLED) ## Run every test that needs no server and no browser
	$(BIN)/python -m pytest -n auto -m "not browser and not real and not charts and not cluster"

test-browser: $(INSTALLED) ## Look at the dashboard in headless Chromium, which has to be installed
	$(BIN)/python -m pytest -n auto -m browser

test-integration: $(INSTALLED) ## Run the tests on real Kafka and PostgreSQL, in containers of their own
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m real tests/real tests/observability

test-charts: $(INSTALLED) ## Judge the chart with helm and whatever else is on PATH, and a cluster if there is one
	$(BIN)/python -m pytest -n 2 -m charts tests/charts tests/observability

judges: .judges/.installed ## Install checkov, which judges the chart, into an environment of its own

.judges/.installed: requirements-judges.lock
	$(PYTHON) -m venv .judges
	.judges/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-judges.lock
	@touch $@

e2e: $(INSTALLED) ## Run the stories on a real cluster: on the shop that kind-up runs, or that it makes
	$(BIN)/python -m pytest -m cluster tests/e2e

check: lint test ## What a commit has to pass

demo: $(INSTALLED) ## Ten orders on this machine, some confirmed, some compensated
	$(BIN)/sagactl demo

dev: $(INSTALLED) ## Run the shop on this machine and keep it running
	$(BIN)/sagactl dev

# Containers read these files as users of their own, also where a clone was made for one user alone.
compose-up: ## Build the image and run the shop on Kafka and PostgreSQL in containers
	@chmod -R go+rX compose observability 2>/dev/null || true
	docker compose up --build --detach --wait

# The bank and the warehouse are started again with the luck that the demonstration counts on.
compose-demo: $(INSTALLED) ## The demonstration, in the shop that compose-up runs
	SAGAPLANE_SEED=3 PAYMENT_SUCCESS_RATE=0.7 INVENTORY_SUCCESS_RATE=0.8 docker compose up --detach --wait payment inventory
	$(COMPOSED) $(BIN)/sagactl demo --here

compose-down: ## End those containers; their data stays until `docker compose --profile grafana down --volumes`
	docker compose --profile grafana down

# KIND_CLUSTER names the cluster; one that is there is used, and never deleted.
kind-up: ## Run the shop on a kind cluster: its operator, Kafka by Strimzi, PostgreSQL
	k8s/kind-up.sh

kind-demo: ## Six sagas as Kubernetes resources, in the shop that kind-up runs
	k8s/kind-demo.sh

kind-down: ## Take that shop away, and the cluster if kind-up made it
	k8s/kind-down.sh

dashboards: $(INSTALLED) ## Write the dashboards, and what the chart takes of them and of the rules
	$(BIN)/python -m observability.generate

chart: $(INSTALLED) ## Write what the chart takes from elsewhere, its README, and k8s/strimzi for whoever has no helm
	$(BIN)/python k8s/generate.py
	helm template sagaplane charts/sagaplane --namespace sagaplane --kube-version 1.34.0 \
	    --api-versions kafka.strimzi.io/v1 --show-only templates/kafka.yaml > k8s/strimzi/kafka.yaml

bench: $(INSTALLED) ## Measure how many sagas one machine carries
	$(BIN)/python -m onebox.bench

bench-long: $(INSTALLED) ## Measure also what takes an hour: the analytics over 10,000,000 events
	$(BIN)/python -m onebox.bench analytics-flat --events 10000000

bench-real: $(INSTALLED) ## Measure what one machine carries on Kafka and PostgreSQL, in containers of its own
	$(BIN)/python -m onebox.bench.real

bench-kind: $(INSTALLED) ## Measure OrderSagas on the shop that kind-up runs
	$(BIN)/python -m tests.e2e.figures

simulate: $(INSTALLED) ## Replay one simulated world: make simulate SEED=42
	$(BIN)/python -m onebox.simulation --seed $(SEED)

# Runs with the lowest supported Python, so that the locks hold the backports too. No address of any index gets into them.
# Everything is in the first; then what the images of the services and of the operator hold, and what builds both.
lock: $(INSTALLED) ## Choose versions anew and write the locks: make lock UPGRADE=--upgrade
	$(COMPILE) $(UPGRADE) --all-extras --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra kafka --extra postgres --constraint requirements.lock \
	    --output-file requirements-services.lock pyproject.toml
	$(COMPILE) --extra operator --extra kafka --constraint requirements.lock \
	    --output-file requirements-operator.lock pyproject.toml
	$(COMPILE) --only-build-deps --build-deps-for wheel --constraint requirements.lock \
	    --output-file requirements-build.lock pyproject.toml
	$(COMPILE) $(UPGRADE) --output-file requirements-judges.lock requirements-judges.in

clean: ## Remove what can be made again
	rm -rf .venv .judges .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find services operator tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
