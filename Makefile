# Everything that is done with a checkout. It needs CPython >= 3.11, pip and a C++20 compiler, and makes the rest.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
INSTALL := $(PY) -m pip install -q --disable-pip-version-check -c constraints.txt
ARGS ?=

BUILD_TOOLS := scikit-build-core nanobind cmake ninja
BUILD_INPUTS := pyproject.toml constraints.txt CMakeLists.txt $(wildcard src/elman/kernels/native/*/*) $(VENV)/.packages

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-fast lint bench bench-docs sanitize docs install clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-demo ## train Elman, GRU and LSTM on text that ships with CPython, and sample (3 minutes)
	$(VENV)/bin/elman demo $(ARGS)

test: $(VENV)/.installed-dev ## the whole test suite
	$(PY) -m pytest $(ARGS)

test-fast: $(VENV)/.installed-dev ## the tests that are not marked slow, up to the first failure
	$(PY) -m pytest -x -q -m "not slow" $(ARGS)

lint: $(VENV)/.installed-dev ## ruff, mypy, import-linter
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

bench: $(VENV)/.installed-dev ## Elman beside its peers and the machine's limit (20 minutes; ARGS=--quick: one)
	$(VENV)/bin/elman bench $(ARGS)

bench-docs: $(VENV)/.installed-dev ## the whole benchmark, into docs/benchmarks.json, the chart, the page and the README
	$(VENV)/bin/elman bench --json docs/benchmarks.json $(ARGS)
	$(PY) benchmarks/publish.py

sanitize: build/sanitize-address,undefined build/sanitize-thread ## the kernels' driver under address, undefined-behaviour and thread sanitizers
	build/sanitize-address,undefined/elman_driver
	build/sanitize-thread/elman_driver

docs: $(VENV)/.installed-docs ## the documentation, into docs/_build/html
	$(PY) -m sphinx -W -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

install: $(VENV)/.installed-dev ## the package and every tool, into .venv

clean: ## remove what was built (the environment too)
	rm -rf $(VENV) build dist docs/_build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

# The environment. The stamps tell what stands in it; Python sources are used where they lie, so that only a change of
# the inputs above installs again, and then compiles no more than what changed (build/ is kept).
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Elman needs CPython >= 3.11; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; } >&2
	@for compiler in $${CXX:-c++ g++ clang++} missing; do command -v $$compiler >/dev/null && break; done; test $$compiler != missing || { \
	  echo "Elman needs a C++20 compiler (g++ or clang++); none is on PATH, and CXX names none."; exit 1; } >&2
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.build-tools: $(VENV)/.created pyproject.toml constraints.txt
	$(INSTALL) $(BUILD_TOOLS)
	@touch $@

# The list of packages, written anew only where it has changed: an editable install knows them by name.
$(VENV)/.packages: $(VENV)/.created FORCE
	@find src/elman -name __init__.py | sort >$@.new; cmp -s $@.new $@ || cp $@.new $@

# The package in editable form; without isolation, so that the build folder can be kept.
$(VENV)/.installed-demo: $(VENV)/.build-tools $(BUILD_INPUTS)
	$(INSTALL) --no-build-isolation -e ".[train,figures]"
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.build-tools $(BUILD_INPUTS)
	$(INSTALL) --no-build-isolation -e ".[dev]"
	@touch $(VENV)/.installed-demo $@

$(VENV)/.installed-docs: $(VENV)/.build-tools $(BUILD_INPUTS)
	$(INSTALL) --no-build-isolation -e ".[train,docs]"
	@touch $@

build/sanitize-%: $(VENV)/.build-tools FORCE
	$(VENV)/bin/cmake -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(VENV)/bin/ninja) -S . -B $@ -DELMAN_SANITIZE=$* -DELMAN_WERROR=ON >/dev/null
	$(VENV)/bin/cmake --build $@

.PHONY: FORCE
