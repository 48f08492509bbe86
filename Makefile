# SPDX-License-Identifier: Apache-2.0
# From a fresh clone: `make demo` trains an arm and runs it, `make test` runs the tests.

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
PYTEST = AMENT_PREFIX_PATH=$(CURDIR)/.venv $(BIN)/python -m pytest

export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST

.PHONY: demo test lint types coverage docs bench-env clean

demo: .venv/run.stamp
	$(BIN)/rl-control demo $(ARGS)

# First all that may run beside each other, then what judges milliseconds, by itself. pytest ends
# with 5 where ARGS leave a stage no test; that is a failure when they leave none to both.
test: .venv/test.stamp
	@$(PYTEST) -n 2 --dist loadgroup $(ARGS) $(COVER) -m 'not alone'; beside=$$?; \
	$(PYTEST) $(ARGS) $(COVER_ON) -n 0 -m alone; alone=$$?; \
	case $$beside,$$alone in \
	    0,0|0,5|5,0) ;; \
	    5,5) echo 'no test is called so: ARGS=$(ARGS)' >&2; exit 5 ;; \
	    *) echo "ended with $$beside beside each other, $$alone alone" >&2; exit 1 ;; \
	esac

lint: .venv/test.stamp
	$(BIN)/ruff check .

types: .venv/test.stamp
	$(BIN)/mypy

coverage: .venv/test.stamp
	$(BIN)/python -m pip install --quiet pytest-cov==7.1.0
	$(MAKE) test COVER='--cov=rl_control --cov-report=' \
	    COVER_ON='--cov=rl_control --cov-append --cov-report=term-missing:skip-covered'

.venv/run.stamp: requirements.txt setup.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv/test.stamp: .venv/run.stamp requirements-test.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-test.txt
	touch $@

docs: .venv-docs/run.stamp
	.venv-docs/bin/sphinx-build --fail-on-warning --quiet docs docs/_build

.venv-docs/run.stamp: requirements-docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --requirement requirements-docs.txt
	touch $@

bench-env: .venv-bench/run.stamp

.venv-bench/run.stamp: requirements-bench.txt setup.py
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --requirement requirements-bench.txt
	.venv-bench/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf .venv .venv-bench .venv-docs docs/_build build install log *.egg-info
