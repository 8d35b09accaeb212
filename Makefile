# `make demo` and `make test` are the two commands of the README; the rest is for those who change the code.
.PHONY: install dev demo test lint lock test-faults bench clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

install: $(VENV)/.installed
dev: $(VENV)/.dev

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml requirements.lock requirements-build.lock | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock -r requirements-build.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed requirements-dev.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

demo: install
	$(BIN)/archiver demo $(ARGS)

# One process a core: the suite is bound by CPU, and every process has servers of its own.
WORKERS ?= $(shell nproc)

test: dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-faults: dev
	$(BIN)/python -m tests.faults.campaign $(ARGS)

bench: dev
	$(BIN)/python -m benchmarks $(ARGS)

# Index options and addresses stay out of the lock files: whoever installs chooses the index.
lock:
	uv pip compile pyproject.toml --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-annotate --custom-compile-command "make lock" -q -o requirements.lock
	uv pip compile --group build --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-annotate --custom-compile-command "make lock" -c requirements.lock -q -o requirements-build.lock
	uv pip compile pyproject.toml --group dev --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-annotate --custom-compile-command "make lock" -c requirements.lock -q -o requirements-dev.lock

clean:
	rm -rf $(VENV) dist build
