# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

# Threads that wait must sleep, not spin: on two cores a spinning pool halves the speed of both.
export OMP_WAIT_POLICY := PASSIVE

VENV := .venv
BIN := $(VENV)/bin
# The first Python from 3.11 on that can make an environment; the tested version is asked first.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python; do \
    $$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
    && { echo $$p; break; }; done)
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -qq -c constraints.txt

# Test workers of `make check`; one core each.
JOBS ?= 2
FAST := not slow and not gpu and not e2e
REST := (e2e or gpu) and not slow
PYTEST := $(BIN)/python -m pytest

DEMO_PLAN := plans/kimi-vl-laptop.yaml
DEMO := runs/demo
DEMO_DATA := runs/demo-data

.PHONY: help setup demo test check test-all bench tree docs golden clean

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1\t\2/p' Makefile | expand -t 18

# --- environment: one venv, one stamp for each set of extras, so that nothing is installed twice

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 with venv found; say make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo-installed: $(BIN)/python pyproject.toml constraints.txt
	@echo 'installing into $(VENV); takes about a minute'
	$(PIP_INSTALL) -e '.[simulate,train,demo]'
	@touch $@

$(VENV)/.dev-installed: $(BIN)/python pyproject.toml constraints.txt
	@echo 'installing into $(VENV); takes about a minute'
	$(PIP_INSTALL) -e '.[simulate,train,demo,dev]'
	@touch $@ $(VENV)/.demo-installed

setup: $(VENV)/.dev-installed  ## environment with everything the tests need

# --- the demo: runs/demo belongs to it, as the marker in it says, and is made anew each time

demo: $(VENV)/.demo-installed  ## plan, check, simulate, train and audit on a laptop (minutes)
	@if [ -e $(DEMO) ] && [ ! -e $(DEMO)/.made-by-make-demo ]; then \
	    echo "$(DEMO) exists and was not made by make demo; move it away" >&2; exit 1; fi
	rm -rf -- $(DEMO)
	@mkdir -p $(DEMO) && touch $(DEMO)/.made-by-make-demo
	$(BIN)/python -m curriculum.data.demo $(DEMO_DATA)
	$(BIN)/curriculum plan $(DEMO_PLAN) -o $(DEMO)/plan.lock.json
	$(BIN)/curriculum check $(DEMO_PLAN)
	$(BIN)/curriculum simulate $(DEMO_PLAN) --out $(DEMO)/timeline.parquet --plot $(DEMO)/timeline.png
	$(BIN)/curriculum train $(DEMO_PLAN) --data $(DEMO_DATA) --run $(DEMO)/run
	$(BIN)/curriculum audit $(DEMO)/run
	@cp $(DEMO)/run/summary.json $(DEMO)/summary.json
	@echo "made: $(DEMO)/{summary.json,plan.lock.json,timeline.parquet,timeline.png,run/}"

# --- tests

check: setup  ## format, lint, types, fast tests and doctests (before every commit)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) -n $(JOBS) --doctest-modules -m "$(FAST)" src tests

test: check  ## set-up, make check and the rest of the suite but the slow: what CI runs
	$(PYTEST) -m "$(REST)"

test-all: test  ## make test and the slow
	HYPOTHESIS_PROFILE=deep $(PYTEST) -m slow

bench: setup  ## every benchmark but gpu*.py and cpu.py, each printing ratios
	@for file in benchmarks/*.py; do case $$file in */gpu*|*/cpu.py) continue;; esac; \
	    echo "== $$file"; $(BIN)/python $$file; done

tree: setup  ## print the tree of src/ with its captions, to paste into the README
	@$(BIN)/python tests/test_readme.py

docs: $(VENV)/.dev-installed  ## write the reference, the rules, the tables of errors and the tutorial anew
	$(BIN)/curriculum schema --format markdown > docs/reference.md
	$(BIN)/curriculum explain --format markdown > docs/rules.md
	for page in test_docs test_write_a_plan test_diff_page; do \
	    PYTHONPATH=tests NO_COLOR=1 COLUMNS=100 $(BIN)/python tests/$$page.py; done

golden: $(VENV)/.dev-installed  ## write the golden locks of plans/ anew
	rm -f tests/golden/*.lock.json
	for plan in plans/*.yaml; do \
	    $(BIN)/curriculum plan $$plan -o tests/golden/$$(basename $$plan .yaml).lock.json > /dev/null; done

clean:  ## remove the environment, the caches and the demo's run (asks nothing)
	rm -rf -- $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
	@if [ -e $(DEMO)/.made-by-make-demo ]; then rm -rf -- $(DEMO); fi
