# The same commands on a laptop and in CI. A fresh machine needs Python 3.11 or newer (with venv) and make.
#
#   make run      a tour of this repository by the embedded model: no key, no network once it is set up
#   make test     all tests        make check    format, lint, types
#   make test-ng  the sandbox's tests with the other engine
#   make bench    speed, beside its floors        make soak    hours of crashes
#
# Set-up is done in steps that leave a stamp: the second time costs nothing.

PYTHON ?= python3
VENV   := .venv
NG     := .venv-ng
BIN    := $(VENV)/bin
AGENTS := .coding-agents
PIP    := -m pip install -qq --disable-pip-version-check
ARGS   ?=

# What the second engine has to pass as well: everything that runs scripts.
NG_TESTS := tests/unit/sandbox tests/conformance tests/jail tests/hostile/test_hostile_scripts.py \
            tests/hostile/test_hostile_library.py

.PHONY: run test test-ng check bench soak setup model coding-agents wheel clean help
.DEFAULT_GOAL := help

help:
	@sed -n '3,6s/^#//p' Makefile

run: model
	@$(BIN)/pawl run repo-tour --backend local --allow files --yes $(ARGS)

test: setup model
	@$(BIN)/python -m pytest -q --require-model -n auto $(ARGS)

test-ng: setup $(NG)/.stamp
	@$(BIN)/python tests/support/same_tests.py $(BIN)/python $(NG)/bin/python $(wildcard $(NG_TESTS))
	@$(NG)/bin/python -m pytest -q -n auto $(wildcard $(NG_TESTS)) $(ARGS)

check: setup
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted; run: $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary

bench: setup
	@$(BIN)/python -m benchmarks $(ARGS)

soak: setup model
	@$(BIN)/python -m pytest -q --soak -m soak --timeout=0 $(ARGS)

setup: $(VENV)/.stamp-dev

model: $(VENV)/.stamp-run
	@$(BIN)/pawl model pull >/dev/null

# Real coding agents for tests/contract. Without npm their tests are skipped, which is said here and in the summary.
coding-agents:
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(AGENTS)/.stamp; \
	  else echo "No npm: the tests that drive real coding agents will be skipped. Install Node.js 20 or newer for them."; fi

wheel: $(VENV)/.stamp-dev
	@$(BIN)/python -m pip wheel -qq --disable-pip-version-check --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) $(NG) $(AGENTS) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Pawl needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V 2>&1). Choose one: make PYTHON=python3.12 …"; exit 2; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "No virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; exit 2; }
	@touch $@

$(VENV)/.stamp-run: pyproject.toml | $(VENV)/.stamp-venv
	@echo "Installing Pawl and the embedded model's runtime"
	@$(BIN)/python $(PIP) --editable '.[local]'
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml | $(VENV)/.stamp-venv
	@echo "Installing Pawl with what its tests need"
	@$(BIN)/python $(PIP) --editable '.[local,providers,acp,mcp,dev]'
	@touch $@ $(VENV)/.stamp-run

# quickjs and quickjs-ng install the same module: one environment cannot hold both.
$(NG)/.stamp: pyproject.toml | $(VENV)/.stamp-venv
	@echo "Making $(NG), with quickjs-ng"
	@$(PYTHON) -m venv $(NG)
	@$(NG)/bin/python $(PIP) --editable '.[providers,dev]'
	@$(NG)/bin/python -m pip uninstall -qq --disable-pip-version-check --yes quickjs quickjs-ng
	@$(NG)/bin/python $(PIP) 'quickjs-ng>=0.17'
	@touch $@

# The lock that npm would write names its registry: versions are pinned in package.json instead.
$(AGENTS)/.stamp: tests/coding_agents/package.json
	@echo "Installing coding agents into $(AGENTS)"
	@mkdir -p $(AGENTS)
	@cp tests/coding_agents/package.json $(AGENTS)/
	@npm install --prefix $(AGENTS) --no-package-lock --no-audit --no-fund --loglevel error </dev/null
	@touch $@
