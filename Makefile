# Lockstep: `make` sets up, runs the pipeline and prints the results. `make help` lists the verbs.

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONDONTWRITEBYTECODE ?=

.DEFAULT_GOAL := repro
.PHONY: help setup repro test lint format verify bench clean

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed  ## install the pinned dependencies into .venv

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --constraint constraints.txt '.[dev]'
	@touch $@

repro: setup  ## run what has changed (the default), then show the results
	@dvc repro
	@python -m stages.pages.summary reports

test: setup  ## run all tests
	python -m pytest

lint: setup  ## check format, style and types
	ruff format --check .
	ruff check .
	mypy

format: setup  ## format the code and mend what can be mended
	ruff format .
	ruff check --fix .

verify: setup  ## prove that a clone of the commit gives the same bytes, and that stages read only what they declare
	python -m verify

bench: setup  ## measure our speed against plain scripts, as ratios
	python -m benchmarks

clean: setup  ## remove the stages' outputs and DVC's cache of them; reports stay
	dvc remove --help >/dev/null
