# Lockstep: `make` sets up, runs the pipeline and prints the results; `make help` lists the verbs.

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := repro
.PHONY: help setup init repro params test lint format verify preflight recipe gates runs sheet bench clean

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed  ## install the pinned dependencies into .venv

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Lockstep needs Python 3.11 or newer; make PYTHON=…")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt '.[dev]'
	@touch $@

repro: setup  ## run what has changed (the default), then show the results
	@.venv/bin/dvc repro
	@.venv/bin/python -m lockstep.reporting.terminal_summary reports

init: setup  ## set params.yaml up for your data: make init DATA=path/to/file.csv
	@.venv/bin/python -m lockstep.init $(DATA)

params: setup  ## print every parameter with its value and documentation
	@.venv/bin/python -m lockstep.cli.params_reference

test: setup  ## run all tests
	.venv/bin/python -m pytest

lint: setup  ## check format, style and types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

format: setup  ## format the code and mend what can be mended
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

verify: setup  ## prove that a clone of the commit gives the same bytes, from what its stages declare
	.venv/bin/python -m lockstep.verify.reproduction

preflight: setup  ## tell what training will need of this machine: memory, disk, time
	.venv/bin/python -m lockstep.preflight

recipe: setup  ## merge recipes/NAME.yaml into params.yaml: make recipe NAME=qwen2.5-7b-qlora
	@.venv/bin/python -m lockstep.recipe $(NAME)

gates: setup  ## compare with an earlier commit and fail where a gate is not kept: make gates REVISION=main
	@.venv/bin/python -m lockstep.review.commit_comparison $(REVISION)

runs: setup  ## sum up the experiments that have run: learning curves, folds, losses: make runs NUM=5 (commits)
	@.venv/bin/python -m lockstep.review.run_summary $(if $(NUM),--num $(NUM))

sheet: setup  ## draw a blind sheet of answers for people to rate, into build/sheet
	@.venv/bin/python -m lockstep.human.rating_sheet data/predicted build/sheet

bench: setup  ## compare our speed with TRL, lm-eval, datasketch and a plain loop, as ratios
	.venv/bin/python -m benchmarks.scoring
	.venv/bin/python -m benchmarks.training
	.venv/bin/python -m benchmarks.corpus

clean:  ## remove the stages' outputs from data/ (DVC's cache keeps them: dvc checkout) and checkpoints
	git clean -fdXq data .scratch
