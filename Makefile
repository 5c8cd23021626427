# Everything runs from a fresh clone on Debian with Python >= 3.11.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= stratum-data

.PHONY: serve test check bench bench-tiering sim clean

serve: $(VENV)/.installed
	@exec $(BIN)/stratum serve --data $(DATA) $(ARGS)

test: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest $(ARGS)

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-bench
	$(BIN)/python -m bench.erasure
	$(BIN)/python -m bench.engine reads
	$(BIN)/python -m bench.engine decisions
	$(BIN)/python -m bench.compare
	$(if $(TRACES),$(MAKE) bench-tiering)

# TRACES is a directory of Parquet or CSV files, as `stratum simulate` takes them.
bench-tiering: $(VENV)/.installed-test
	$(BIN)/python -m bench.tiering $(TRACES)

# SEED=7 replays one history with faults, SEEDS=100 plays the first hundred.
SEEDS ?= 5000
sim: $(VENV)/.installed-test
	$(BIN)/python -m tests.simulation.simulate $(if $(SEED),--seed $(SEED),--count $(SEEDS))

# Debian splits venv out of its Python; where it is missing and we may, we install it.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Stratum needs Python 3.11 or newer; $(PYTHON) is older" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	        apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); \
	    else \
	        echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 2; \
	    fi; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --only-binary :all: --constraint constraints.txt setuptools
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary \
	    --no-build-isolation --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary \
	    --no-build-isolation --constraint constraints.txt --editable '.[test]'
	@touch $@

# Other servers to compare with.
$(VENV)/.installed-bench: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --prefer-binary \
	    --no-build-isolation --constraint constraints.txt --editable '.[test,bench]'
	@touch $@

clean:
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache
