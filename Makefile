# `make help` lists the targets. `make test` is what CI runs, word for word.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
# Parts share the Cargo target folder and the two cores it is made for; nothing is won by running them at once.
.NOTPARALLEL:

# One build for everything that is tested here, kept between clones where the user's cache can be written to.
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/millstream
ifndef CARGO_TARGET_DIR
  CARGO_TARGET_DIR := $(shell mkdir -p '$(CACHE)' 2>/dev/null && test -w '$(CACHE)' && echo '$(CACHE)/target' || echo '$(CURDIR)/target')
endif
export CARGO_TARGET_DIR

# The locks are made for 3.11 and newer; 3.11 is what CI has.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
AIRFLOW_VENV := .venv-airflow
BIN := $(VENV)/bin
LOCKS := python/requirements
LOCK_DATE := 2026-11-14
STACK := .ci/with-stack
# The binding is left out where test programs are linked: it is a Python extension, and pytest is its test.
RUST_TESTED := --workspace --exclude millstream-python
PYTHON_SOURCES := $(wildcard python dags)
DOCKERFILES := spark-replacement/Dockerfile airflow/Dockerfile

# For the programs the tests start.
export MILLSTREAM_CONSUMER := $(CARGO_TARGET_DIR)/release/millstream-consumer
export MILLSTREAM_AIRFLOW := $(CURDIR)/$(AIRFLOW_VENV)/bin/airflow

# Where a company's proxy has its own certificate authority, it stands in the system's store.
export UV_SYSTEM_CERTS := 1

# Maturin and Cargo must agree on the interpreter, or the binding is built anew each time one follows the other.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python

# Targets on servers mean those that run: `which` names them, and says it, or what to do where there are none.
DEVSTACK := PYTHONPATH=python $(PYTHON) -m millstream.devstack
COMPOSE := PYTHONPATH=python $(PYTHON) -m compose
on_servers = way=$$($(COMPOSE) which $@) && { [ -z "$$way" ] || $(MAKE) --no-print-directory "$$way-$@"; }
# A pipe is no terminal, and Docker must be told so.
TERMINAL = $$([ -t 0 ] && [ -t 1 ] || echo --no-TTY)
export Q

.PHONY: help demo up down status env cql topics psql logs reset images dev airflow-env tools build wheel lock \
        test test-tools test-lint test-rust test-devstack test-python test-e2e test-kill images-test lint lint-quick format bench clean distclean

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ See it run
demo: ## The whole pipeline on this machine, each number checked; ONCE=1 stops everything at the end
	@PYTHONPATH=python $(PYTHON) -m demo

##@ Servers, on this machine without Docker, or in containers: VIA=compose. After `up` each target finds which it is
up: ## Kafka, Cassandra, PostgreSQL and the schema registry, with topics; VIA=compose: everything, Airflow too
	@$(on_servers)

down: ## Stop what `up` started; data stays
	@$(on_servers)

status: ## One table: service, health, version, address
	@$(on_servers)

env: ## Their addresses: eval "$(make env)"
	@$(on_servers)

cql: ## Ask Cassandra: make cql Q="SELECT ..."
	@$(on_servers)

topics: ## Topics with record counts, consumer groups with lag
	@$(on_servers)

psql: ## Ask PostgreSQL: make psql Q="SELECT ..."
	@$(on_servers)

logs: ## A server's output: make logs S=kafka
	@$(on_servers)

reset: ## Stop everything and delete its data; asks first, YES=1 answers
	@$(on_servers)

images: ## The images of the containers, from this tree
	MILLSTREAM_REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) \
	MILLSTREAM_VERSION=$$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml) docker compose --profile '*' build

.PHONY: devstack-up devstack-down devstack-status devstack-env devstack-cql devstack-topics devstack-psql devstack-logs \
        devstack-reset compose-up compose-down compose-status compose-env compose-cql compose-topics compose-psql \
        compose-logs compose-reset
devstack-up:
	@$(DEVSTACK) up --topics

devstack-down:
	@$(DEVSTACK) down

devstack-status devstack-env:
	@$(DEVSTACK) $(patsubst devstack-%,%,$@)

# These ask with clients of the development environment.
devstack-cql devstack-psql: $(VENV)/.synced
	@PYTHONPATH=python $(BIN)/python -m millstream.devstack $(patsubst devstack-%,%,$@) $(if $(Q),"$$Q")

devstack-topics: $(VENV)/.synced
	@PYTHONPATH=python $(BIN)/python -m millstream.devstack topics

devstack-logs:
	@$(DEVSTACK) logs $(patsubst schema-registry,registry,$(or $(S),kafka))

devstack-reset:
	@$(COMPOSE) confirm devstack
	@$(DEVSTACK) down --purge

compose-up:
	@$(COMPOSE) preflight
	docker compose up --detach --wait --wait-timeout 900 || { $(COMPOSE) status; exit 1; }
	@$(COMPOSE) status

compose-down:
	docker compose --profile '*' down --remove-orphans

compose-status compose-env:
	@$(COMPOSE) $(patsubst compose-%,%,$@)

compose-cql:
	@docker compose exec $(TERMINAL) cassandra cqlsh $(if $(Q),-e "$$Q")

compose-topics: $(VENV)/.synced
	@PYTHONPATH=python $(BIN)/python -m compose topics

compose-psql:
	@docker compose exec $(TERMINAL) postgres psql -U millstream -d millstream $(if $(Q),-c "$$Q")

compose-logs:
	@docker compose --profile '*' logs --tail 50 $(patsubst registry,schema-registry,$(or $(S),kafka))

compose-reset:
	@$(COMPOSE) confirm compose
	docker compose --profile '*' down --volumes --remove-orphans

##@ Develop
dev: $(VENV)/.synced ## The development environment: .venv from the locks, with the wheel built in
	$(BIN)/maturin develop --release --locked --uv

airflow-env: $(AIRFLOW_VENV)/.synced wheel ## Airflow in an environment of its own, with the wheel
	@VIRTUAL_ENV=$(AIRFLOW_VENV) $(BIN)/uv pip install -q --no-deps --reinstall dist/*.whl

wheel: $(VENV)/.synced ## The wheel, in dist/
	@rm -rf dist
	$(BIN)/maturin build --release --locked --out dist

build: ## The consumer, optimised
	cargo build --release --locked -p millstream-consumer

# Consumers that break a delivery promise on purpose: what the kill test must find. All are built under one name, so
# each is put aside, and the sound one is built after them.
.PHONY: build-faulty
build-faulty:
	for fault in commit-before-acknowledgement offsets-past-hole; do \
	  cargo build --release --locked -p millstream-consumer --features fault-$$fault; \
	  cp -f $(MILLSTREAM_CONSUMER) $(MILLSTREAM_CONSUMER)-$$fault; \
	done

# Cargo gives a bench's program a name with a hash in it; the message format says which.
.PHONY: build-probe
build-probe:
	@built=$$(cargo build --release --locked -p millstream-consumer --bench raw_probe --message-format json-render-diagnostics \
	  | sed -n 's/.*"target":{"kind":\["bench"\].*"name":"raw_probe".*"executable":"\([^"]*\)".*/\1/p'); \
	cp -f "$$built" '$(CARGO_TARGET_DIR)/release/raw_probe'

lint: test-lint ## Formatting, lints, types, and which crate may see which

format: $(VENV)/.synced ## Format Rust and Python
	cargo fmt --all
	$(BIN)/ruff check --fix $(PYTHON_SOURCES)
	$(BIN)/ruff format $(PYTHON_SOURCES)

lock: $(VENV)/.synced ## Make the Python locks anew, from packages published before LOCK_DATE
	for name in bootstrap build dev airflow; do \
	  $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade \
	    --exclude-newer $(LOCK_DATE) --quiet --output-file $(LOCKS)/$$name.txt $(LOCKS)/$$name.in; \
	done

$(VENV)/.synced: $(LOCKS)/bootstrap.txt $(LOCKS)/dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is needed: apt-get install -y python3 python3-venv"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r $(LOCKS)/bootstrap.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r $(LOCKS)/dev.txt
	@touch $@

$(AIRFLOW_VENV)/.synced: $(VENV)/.synced $(LOCKS)/airflow.txt
	$(PYTHON) -m venv --clear $(AIRFLOW_VENV)
	VIRTUAL_ENV=$(AIRFLOW_VENV) $(BIN)/uv pip install --quiet --require-hashes -r $(LOCKS)/airflow.txt
	@touch $@

##@ Test
test: ## Everything CI runs: tools, environments, build and all the parts below, with how long each took
	@.ci/test

test-tools: ## Install what is missing (as root on Debian), else say how
	@.ci/install-tools

lint-quick: $(VENV)/.synced ## What of it takes seconds: formatting, Python, Dockerfiles
	cargo fmt --all --check
	$(BIN)/ruff check $(PYTHON_SOURCES)
	$(BIN)/ruff format --check $(PYTHON_SOURCES)
	$(BIN)/mypy
	$(BIN)/hadolint $(DOCKERFILES)

test-lint: lint-quick ## Formatting, lints, types, arrows between crates, compose files
	.ci/check-compose
	cargo clippy --release --locked --workspace --all-targets --test live -- -D warnings
	.ci/check-arrows

test-rust: ## Rust tests, those on real servers among them
	cargo test --release --locked $(RUST_TESTED)
	$(STACK) cargo test --release --locked $(RUST_TESTED) --test live

test-devstack: $(VENV)/.synced ## The local servers themselves
	PYTHONPATH=python $(BIN)/pytest python/tests/devstack

test-python: dev ## Python tests, those on real servers among them
	$(STACK) $(BIN)/pytest python/tests --ignore=python/tests/e2e --ignore=python/tests/kill

test-e2e: dev airflow-env build ## From the API through Airflow and Kafka to Cassandra's rows
	$(STACK) $(BIN)/pytest python/tests/e2e

test-kill: $(VENV)/.synced build-faulty build ## The consumer killed at random moments: nothing lost, nothing doubled
	MILLSTREAM_CONSUMER_COMMIT_BEFORE_ACKNOWLEDGEMENT=$(MILLSTREAM_CONSUMER)-commit-before-acknowledgement \
	MILLSTREAM_CONSUMER_OFFSETS_PAST_HOLE=$(MILLSTREAM_CONSUMER)-offsets-past-hole \
	PYTHONPATH=python $(STACK) $(BIN)/pytest python/tests/kill

images-test: $(VENV)/.synced ## The containers on a real Docker engine, each claim about them checked; not part of `test`
	@PYTHONPATH=python $(BIN)/python -m tests.images

bench: dev build build-probe ## Measurements against the rivals: lines `RATIO name value`
	MILLSTREAM_RAW_PROBE=$(CARGO_TARGET_DIR)/release/raw_probe $(STACK) .ci/bench

##@ Clean
clean: ## Remove what was built or cached here (not the environments, not the servers' data)
	rm -rf dist .pytest_cache .mypy_cache .ruff_cache .hypothesis target
	find python dags -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## Remove the environments and the servers' data too
	@PYTHONPATH=python $(PYTHON) -m millstream.devstack down --purge
	rm -rf $(VENV) $(AIRFLOW_VENV)
