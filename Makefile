# `make quickstart` and `make test` need Python >= 3.11, make and a network; nothing else.
PYTHON ?= python3
VENV ?= .venv
WORKDIR ?= runs/quickstart
BIN := $(VENV)/bin
SOURCES := lmjax experiments tests

.PHONY: quickstart test torture parity lint format clean

quickstart: $(VENV)/.installed
	$(BIN)/lmjax study --study=experiments/quickstart.py --workdir=$(WORKDIR)

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --ignore=tests/parity

# All of what `make test` samples; ends in a scorecard, kept in runs/torture/ or LMJAX_SCORECARD.
torture: $(VENV)/.test
	LMJAX_TORTURE=full $(BIN)/python -m pytest -n auto tests/torture \
		tests/checks/test_resume_points.py tests/training/test_health.py

# PyTorch's CPU build is smaller: name its index in PIP_EXTRA_INDEX_URL where pip would take another.
parity: $(VENV)/.parity
	$(BIN)/python -m pytest -n auto tests/parity

lint: $(VENV)/.dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean:
	rm -rf $(VENV) .cache

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lmjax needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/.parity: $(VENV)/.test
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[parity]'
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@
