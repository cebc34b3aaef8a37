# Lockstep: `make` sets up, runs the pipeline and prints the results; `make help` lists the commands.

PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.DEFAULT_GOAL := repro
.PHONY: help setup repro doctor init preview-data recipe params preview preflight models sweep crossval curve seeds bases workers runs logs review lock sheet export serve abtest drift harvest verify starter test lint format bench clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/installed  ## install the pinned dependencies into .venv

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Lockstep needs Python 3.11 or newer; make PYTHON=…")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --constraint constraints.txt '.[dev]'
	@touch $@

repro: setup  ## run the stages whose inputs changed and print the results (the default)
	@.venv/bin/dvc repro
	@.venv/bin/python -m lockstep.review.terminal_summary reports

# Before a run: data, model, values

doctor:  ## say what is wrong with this set-up (Python, packages, GPU, disk, cache, remote, lock), and the remedies
	@$(PYTHON) -m lockstep.doctor

init: setup  ## set params.yaml up for your data: make init DATA=path/to/file.csv
	@.venv/bin/python -m lockstep.init $(if $(DATA),"$$DATA")

preview-data: setup  ## show the first rows of each source as prepare reads them, and what cleaning changed: make preview-data SOURCE=file.csv NUMBER=10
	@.venv/bin/python -m lockstep.data_preview data/raw $(if $(SOURCE),"$$SOURCE") $(if $(NUMBER),--number "$$NUMBER")

recipe: setup  ## write the values of recipes/NAME.yaml into params.yaml: make recipe NAME=qwen2.5-7b-qlora
	@.venv/bin/python -m lockstep.recipe $(if $(NAME),"$$NAME")

params: setup  ## print every parameter with its value and documentation
	@.venv/bin/python -m lockstep.cli.params_reference

preview: setup  ## show the first training records as the model reads them, with the learnt tokens marked
	@.venv/bin/python -m lockstep.preview data/base data/augmented/train.jsonl --number 3

preflight: setup  ## print the memory, disk and time that training will need here
	.venv/bin/python -m lockstep.preflight

# Experiments: each sweep queues its runs, starts workers, and ends in a table and a page; the same
# command again continues it. Options of all: SEEDS=3, GPUS=0,1 (or WORKERS=2 on the CPU), SUITE=task, QUEUE=1

SWEEP = @.venv/bin/python -m lockstep.sweeps
SWEEP_OPTIONS = $(if $(SEEDS),--seeds "$$SEEDS") $(if $(GPUS),--gpus "$$GPUS") $(if $(WORKERS),--workers "$$WORKERS") $(if $(SUITE),--suite "$$SUITE") $(if $(QUEUE),--queue-only)

sweep: setup  ## run all combinations of values: make sweep GRID="train.learning_rate=1e-4,2e-4 train.adapter.r=8,16"
	$(SWEEP) grid $(SWEEP_OPTIONS) -- "$$GRID"

crossval: setup  ## run k-fold cross-validation: make crossval FOLDS=5
	$(SWEEP) crossval $(SWEEP_OPTIONS) $(if $(FOLDS),"$$FOLDS")

curve: setup  ## run a learning curve over shares of the training records: make curve FRACTIONS=0.1,0.3,1
	$(SWEEP) curve $(SWEEP_OPTIONS) $(if $(FRACTIONS),"$$FRACTIONS")

seeds: setup  ## run the same setting with several seeds: make seeds N=5
	$(SWEEP) seeds $(SWEEP_OPTIONS) $(if $(N),"$$N")

bases: setup  ## tune several bases, to find the smallest that is good enough: make bases MODELS="starter path/to/model owner/name@revision"
	$(SWEEP) bases $(SWEEP_OPTIONS) -- "$$MODELS"

workers: setup  ## run the queue, one worker per device: make workers GPUS=0,1,2,3 (or N=2 on the CPU)
	$(SWEEP) workers $(if $(GPUS),--gpus "$$GPUS") $(if $(N),--number "$$N")

runs: setup  ## show the results of all experiments on this commit again: make runs NUM=5 (number of commits)
	$(SWEEP) runs $(if $(NUM),--num "$$NUM") $(if $(SUITE),--suite "$$SUITE")

logs: setup  ## show what an experiment printed, its error first: make logs NAME=…
	$(SWEEP) logs -- "$$NAME"

# After a run: decide

review: setup  ## decide whether this branch ships, compared with another; fail if a gate is not met: make review BASE=origin/main (JSON=1, OUT=file)
	@.venv/bin/python -m lockstep.review $(if $(BASE),"$$BASE") $(if $(JSON),--json) $(if $(OUT),--out "$$OUT")

lock: setup  ## prove that dvc.lock matches dvc.yaml, params, code and data; needs no cache and no remote
	@.venv/bin/python -m lockstep.review.lock_status

sheet: setup  ## draw answers for people to rate, without the names of the variants, into build/sheet
	@.venv/bin/python -m lockstep.human.rating_sheet data/predicted build/sheet

export: setup  ## list the files of a form with their sizes: make export TO=folder (or ollama, hub) FROM=merged OUT=… REPO=owner/name; GO=1 does it
	@.venv/bin/python -m lockstep.publishing $(if $(TO),"$$TO") $(if $(FROM),--source "$$FROM") $(if $(OUT),--out "$$OUT") $(if $(REPO),--repository "$$REPO") $(if $(filter 0,$(PRIVATE)),--public) $(if $(GO),--go)

serve: setup  ## serve the tuned model and the base by OpenAI's HTTP API, with a chat page: make serve PORT=8000
	@.venv/bin/python -m lockstep.serving $(if $(PORT),--port $(PORT))

abtest: setup  ## plan an A/B test of two served models, or show its results: make abtest PLAN=docs/abtest.yaml (LOG=folder of the log, END=time up to which it is complete, JSON=1)
	@.venv/bin/python -m lockstep.abtests $(if $(LOG),--log "$$LOG") $(if $(END),--end "$$END") $(if $(JSON),--json) $(if $(PLAN),"$$PLAN")

drift: setup  ## compare the logged requests with the training records: make drift LOG=folder OUT=page.html DAYS=7 (FAIL=1: exit code on an alarm)
	@.venv/bin/python -m lockstep.drift $(if $(LOG),--log "$$LOG") $(if $(OUT),--out "$$OUT") $(if $(DAYS),--days "$$DAYS") $(if $(FAIL),--fail)

harvest: setup  ## turn logged requests and corrections into a source for prepare: make harvest LOG=folder OUT=build/harvest-1 (REVIEWED=folder, ACCEPT=1, LOW_SCORE=2, TASK=name)
	@.venv/bin/python -m lockstep.harvest data/raw data/prepared $(if $(LOG),--log "$$LOG") $(if $(OUT),--out "$$OUT") $(if $(REVIEWED),--reviewed "$$REVIEWED") $(if $(ACCEPT),--accept) $(if $(LOW_SCORE),--low-score "$$LOW_SCORE") $(if $(TASK),--task "$$TASK")

verify: setup  ## prove that a clone of the commit gives the same bytes and uses only what its stages declare
	.venv/bin/python -m lockstep.verify.reproduction

# For work on the code

test: setup  ## run all tests
	.venv/bin/python -m pytest

lint: setup  ## check format, style and types
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

format: setup  ## format the code and fix what can be fixed automatically
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

models: setup  ## run the folders of 38 model families through the stages and write docs/models.md
	.venv/bin/python -m lockstep.verify.model_families

bench: setup  ## compare the speed with TRL, lm-eval, datasketch and a plain loop, and measure all forms of a model, the report and the server
	.venv/bin/python -m benchmarks.scoring
	.venv/bin/python -m benchmarks.training
	.venv/bin/python -m benchmarks.corpus
	.venv/bin/python -m benchmarks.decoding
	.venv/bin/python -m benchmarks.merging
	.venv/bin/python -m benchmarks.report
	.venv/bin/python -m benchmarks.serving

starter: setup  ## pre-train the starter model again, about 35 minutes, and compare its bytes with the committed ones
	@echo "starter: pre-training takes about 35 minutes on 2 cores"
	@cd data/starter/pretraining && ../../../.venv/bin/dvc repro --force
	@if [ -z "$$(git status --porcelain -- data/starter/model data/starter/log.csv)" ]; \
	then echo "starter: the bytes of the model and of its log are the committed ones"; \
	else echo "starter: the bytes differ from the committed ones (git checkout -- data/starter/model data/starter/log.csv restores them)"; fi

clean:  ## remove outputs (`dvc checkout` restores them), checkpoints, cached replies and downloaded models
	git clean -fdXq data .scratch
