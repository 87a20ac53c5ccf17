# Every target sets up what it needs: `make train` works straight after `git clone`.
PYTHON ?= python3
BIN := .venv/bin
RUN ?= outputs
PROJECT ?= tandem

.PHONY: setup train test check format bench soak screenshots report sync leet dashboard agent lock clean help

help: ## this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

setup: .venv/.done ## install the pinned packages into .venv

.venv/.done: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Tandem needs Python 3.11 or newer, this is %d.%d: make setup PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements.lock '.[dev]'
	@touch $@

train: setup ## train the two-layer net on the diabetes data
	$(BIN)/python -m src.train

test: setup ## the tests, offline and on CPU
	$(BIN)/python -m pytest

check: setup ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup ## rewrite the code as `make check` wants it
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

report: setup ## the report of RUN, a run's or a sweep's folder; of all in outputs/runs unless told
	$(BIN)/python -m src.report "$(if $(filter-out outputs,$(RUN)),$(RUN),outputs/runs)"

bench: setup ## measure the claims about speed
	$(BIN)/python -m tests.benchmarks

soak: setup ## the long campaigns: many kills, many trials
	$(BIN)/python -m pytest -m soak

screenshots: setup ## the README's pictures of a report, in .github/images (needs chromium and chromedriver)
	$(BIN)/python -m tests.report.screenshots

sync: setup ## upload the W&B runs in RUN that are not uploaded yet; RUN=outputs unless told
	$(BIN)/python -m src.sync "$(RUN)"

leet: setup ## look at the runs in RUN in W&B's terminal viewer; RUN=outputs unless told
	$(BIN)/python -m src.leet "$(RUN)"

dashboard: setup ## save a W&B workspace of the sweeps: make dashboard PROJECT=tandem [ENTITY=...] [SWEEP=outputs/sweeps/<sweep>]
	$(BIN)/python -m src.dashboard project=$(PROJECT) $(if $(ENTITY),entity=$(ENTITY)) $(if $(SWEEP),"sweep=$(SWEEP)")

agent: setup ## train what a W&B sweep asks for: make agent SWEEP=<entity>/<project>/<id>
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/wandb agent "$(SWEEP)"

lock: setup ## pin what pyproject.toml asks for, for every platform
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --universal --python-version 3.11 --no-annotate --no-header --no-emit-index-url \
		--extra dev --quiet pyproject.toml -o requirements.lock

clean: ## remove what was installed and cached; outputs/ stays
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache
