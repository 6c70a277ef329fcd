# `make help` lists what there is. Every target works first on a fresh machine: it installs what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# more than cores: many tests wait for a disk or a clock, and with three two cores are a third idle
WORKERS ?= 5
TESTS ?= tests
BENCH ?=
CHAOS ?=

export PYTHON

.PHONY: help install demo test bench transfers chaos lint format lock clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## +(.*)/  make \1\t\2/' | expand -t 18

install: $(STAMP)  ## .venv from the lock file, with headrace and headraced in .venv/bin

$(STAMP): requirements.lock pyproject.toml tools/install.sh
	tools/install.sh
	@touch $@

demo: install  ## everything at work: three directions between real servers, one endpoint lost and found again
	$(BIN)/headraced demo

test: install  ## all tests, real servers included (TESTS=… WORKERS=… to choose)
	tools/test-packages.sh
	@# tests start the commands a thousand times: bytecode for them, also where Python is told to write none by itself
	$(BIN)/python -m compileall -q daemon queue
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(TESTS)

bench: install  ## the benchmark beside s5cmd and juicefs sync; writes docs/bench.md (BENCH=--quick for a look)
	$(BIN)/python -m benchmarks.bench --date $$(date -u +%F) --output docs/bench.md $(BENCH)

transfers: install  ## 2 GiB by the public client, then the table of docs/transfers.md, beside aws s3 cp
	HEADRACE_LONG=1 $(BIN)/python -m pytest tests/acceptance/test_outside_large.py
	$(BIN)/python -m benchmarks.transfers --date $$(date -u +%F) --output docs/transfers.md

chaos: install  ## random kills and lost endpoints, everything proven after each (CHAOS="--seeds 100 --first 1")
	$(BIN)/python -m benchmarks.chaos $(CHAOS)

lint: install  ## ruff, mypy --strict, import-linter
	@status=0; for check in "ruff check ." "ruff format --check ." "mypy --strict" "lint-imports"; do \
	  echo "$$check"; $(BIN)/$$check || status=1; \
	done; exit $$status

format: install  ## ruff's fixes and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## requirements.lock from pyproject.toml, keeping what is pinned (UPGRADE=--upgrade for the newest)
	@test -x build/uv/bin/uv || { $(PYTHON) -m venv build/uv && build/uv/bin/pip install --quiet uv; }
	build/uv/bin/uv pip compile pyproject.toml --extra test --extra build --python-version 3.11 --universal \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet $(UPGRADE) \
	  --output-file requirements.lock
	@! grep -nE 'https?://' requirements.lock

clean:  ## what was built, .venv included
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
