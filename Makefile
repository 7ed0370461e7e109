# The same recipe for everybody: a visitor, a developer, CI. `make` alone says what there is.

PYTHON ?= python3
VENV := .venv
AWS_SIM := .aws-sim
BIN := $(VENV)/bin
# Two more than there are cores: many tests wait, for processes and for vendors that hang.
PYTEST_FLAGS ?= -n $(shell expr $$(nproc 2>/dev/null || echo 2) + 2) --dist loadfile --no-loadscope-reorder

# Some containers forbid Python to keep what it compiles; then each of the suite's many processes compiles all anew.
export PYTHONDONTWRITEBYTECODE :=

# Kept by themselves: ministack pins a botocore of its own.
MINISTACK := ministack==1.5.33 boto3==1.43.106
UV := uv==0.13.9

.DEFAULT_GOAL := help
.PHONY: help environments demo test coverage quick check types contracts compiled format docs screens images bench bench-quick bench-long aws-sim clean

help:
	@echo "make demo    see an upload reach every CDN, on this machine alone"
	@echo "make test    format, lint, types and the whole test suite"
	@echo "make coverage  which lines of core and providers the last \`make test\` left out"
	@echo "make quick   the tests that start no server and no process: about a minute"
	@echo "make check   format, lint and types alone"
	@echo "make format  let ruff format the code"
	@echo "make docs    write the generated parts of README.md and docs/ anew, and build the site in build/website"
	@echo "make screens  write what commands show anew (tests/data/screens); git diff says what changed"
	@echo "make images  take the pictures of docs/images anew, by a headless Chromium"
	@echo "make bench   measure, as ratios to floors: one table with verdicts, into docs/performance.md; ten minutes"
	@echo "make bench-quick  the same rows in a minute: noisier"
	@echo "make bench-long  soaks and other benches that take many minutes each"
	@echo "make clean   remove both environments"

environments:
	@$(MAKE) --no-print-directory --jobs=2 $(VENV)/.done $(AWS_SIM)/.done

demo: environments
	@$(BIN)/multicdn demo

test:
	@$(MAKE) --no-print-directory --jobs=2 $(AWS_SIM)/.done check compiled
	$(BIN)/python -m pytest --cov --cov-report= $(PYTEST_FLAGS)

coverage: $(VENV)/.done
	@$(BIN)/coverage report --show-missing

quick: $(VENV)/.done
	@$(BIN)/python -m pytest --quick -q $(PYTEST_FLAGS)

check: types contracts

types: $(VENV)/.done
	@echo "Checking format, lint and types ..."
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary multicdn bench providers

contracts: $(VENV)/.done
	@$(BIN)/lint-imports --no-logo >$(VENV)/lint-imports.log || { cat $(VENV)/lint-imports.log; exit 1; }

# Once, while mypy has the other core, rather than in each worker of the suite.
compiled: $(VENV)/.done
	@$(BIN)/python -m pytest --collect-only -q >/dev/null

format: $(VENV)/.done
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

docs: $(VENV)/.done
	@$(BIN)/python docs/generate.py
	@$(BIN)/python docs/website.py

screens: $(VENV)/.done
	@rm -f tests/data/screens/*.txt
	@MULTICDN_WRITE_SCREENS=1 $(BIN)/python -m pytest -q tests/cli/test_screens.py

images: environments
	@MULTICDN_WRITE_IMAGES=1 $(BIN)/python -m pytest -q tests/local/test_page.py -k pictures

bench: $(VENV)/.done $(AWS_SIM)/.done
	$(BIN)/python bench --write

bench-quick: $(VENV)/.done $(AWS_SIM)/.done
	$(BIN)/python bench --quick

# Where minutes, not milliseconds, show something: what is lost, late or stale, and what purging costs.
bench-long: $(VENV)/.done $(AWS_SIM)/.done
	$(BIN)/python bench/economy.py
	$(BIN)/python bench/hanging.py
	$(BIN)/python bench/in_time.py
	$(BIN)/python bench/isolation.py
	$(BIN)/python bench/tiers.py
	$(BIN)/python bench/proof.py
	$(BIN)/python bench/soak.py

aws-sim: $(AWS_SIM)/.done

clean:
	rm -rf $(VENV) $(AWS_SIM)

# uv installs the rest; without it pip does.
$(VENV)/.uv:
	@$(PYTHON) -c 'import sys; sys.exit("multicdn needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + "; try: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check $(UV) >$(VENV)/install.log 2>&1 || true
	@touch $@

$(VENV)/.done: pyproject.toml .ci/constraints.txt | $(VENV)/.uv
	@echo "Installing multicdn and its tools into $(VENV) (once) ..."
	@.ci/install $(BIN)/uv $(BIN)/python -c .ci/constraints.txt -e '.[dev]'
	@touch $@

$(AWS_SIM)/.done: Makefile | $(VENV)/.uv
	@echo "Installing an AWS for loopback into $(AWS_SIM) (once) ..."
	@$(BIN)/uv venv --quiet --seed --python $(PYTHON) $(AWS_SIM) 2>/dev/null || $(PYTHON) -m venv $(AWS_SIM)
	@.ci/install $(BIN)/uv $(AWS_SIM)/bin/python $(MINISTACK)
	@touch $@
