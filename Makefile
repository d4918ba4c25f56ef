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

# For the programs the tests start.
export MILLSTREAM_CONSUMER := $(CARGO_TARGET_DIR)/release/millstream-consumer
export MILLSTREAM_AIRFLOW := $(CURDIR)/$(AIRFLOW_VENV)/bin/airflow

# Where a company's proxy has its own certificate authority, it stands in the system's store.
export UV_SYSTEM_CERTS := 1

# Maturin and Cargo must agree on the interpreter, or the binding is built anew each time one follows the other.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python

.PHONY: help demo up down status env cql topics psql logs dev airflow-env tools build wheel lock \
        test test-tools test-lint test-rust test-devstack test-python test-e2e test-kill lint lint-quick format bench clean distclean

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ See it run
demo: ## The whole pipeline on this machine, each number checked; ONCE=1 stops everything at the end
	@PYTHONPATH=python $(PYTHON) -m demo

up: ## Start Kafka, Cassandra, PostgreSQL and the schema registry, with the pipeline's topics
	@PYTHONPATH=python $(PYTHON) -m millstream.devstack up --topics

down: ## Stop what `up` started (data stays in .devstack)
	@PYTHONPATH=python $(PYTHON) -m millstream.devstack down

status: ## One table of the servers
	@PYTHONPATH=python $(PYTHON) -m millstream.devstack status

env: ## Their addresses: eval "$(make env)"
	@PYTHONPATH=python $(PYTHON) -m millstream.devstack env

cql: $(VENV)/.synced ## Ask Cassandra: make cql Q="SELECT ..."
	@PYTHONPATH=python $(BIN)/python -m millstream.devstack cql $(if $(Q),"$$Q")

topics: $(VENV)/.synced ## Topics with record counts, consumer groups with lag
	@PYTHONPATH=python $(BIN)/python -m millstream.devstack topics

psql: $(VENV)/.synced ## Ask PostgreSQL: make psql Q="SELECT ..."
	@PYTHONPATH=python $(BIN)/python -m millstream.devstack psql $(if $(Q),"$$Q")

logs: ## A server's output: make logs S=kafka
	@PYTHONPATH=python $(PYTHON) -m millstream.devstack logs $(or $(S),kafka)

export Q

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
	for name in bootstrap dev airflow; do \
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

lint-quick: $(VENV)/.synced ## What of it takes seconds: formatting and Python
	cargo fmt --all --check
	$(BIN)/ruff check $(PYTHON_SOURCES)
	$(BIN)/ruff format --check $(PYTHON_SOURCES)
	$(BIN)/mypy

test-lint: lint-quick ## Formatting, lints, types, arrows between crates
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

bench: dev build build-probe ## Measurements against the rivals: lines `RATIO name value`
	MILLSTREAM_RAW_PROBE=$(CARGO_TARGET_DIR)/release/raw_probe $(STACK) .ci/bench

##@ Clean
clean: ## Remove what was built or cached here (not the environments, not the servers' data)
	rm -rf dist .pytest_cache .mypy_cache .ruff_cache .hypothesis target
	find python dags -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## Remove the environments and the servers' data too
	@PYTHONPATH=python $(PYTHON) -m millstream.devstack down --purge
	rm -rf $(VENV) $(AIRFLOW_VENV)
