# Two commands on a fresh machine: `make demo` and `make test`. Everything lives in .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
DEMO   := demo-report

.PHONY: demo test test-long check format setup web postgres clean

demo: $(VENV)/.base
	$(BIN)/nereus discover examples/alzheimer_csf/proteome.csv.gz --samples examples/alzheimer_csf/samples.csv \
	  --question "Which proteins mark biochemical Alzheimer's disease?" --out $(DEMO) --yes
	@echo
	@echo "Open $(DEMO)/report.html in a browser. Check every number: $(BIN)/nereus verify $(DEMO)"

test: $(VENV)/.dev
	$(BIN)/ruff format --check nereus tests benchmarks scripts
	$(BIN)/ruff check nereus tests benchmarks scripts
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist worksteal

# What takes minutes: a browser, servers that are killed, whole runs behind a server, a real model. Before a release, and by who changes them.
test-long: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m long

format: $(VENV)/.dev
	$(BIN)/ruff format nereus tests benchmarks scripts
	$(BIN)/ruff check --fix nereus tests benchmarks scripts

setup: $(VENV)/.dev

# The web page: built from web/ into nereus/api/web, which ships. Users need no Node; whoever changes the page does.
web:
	cd web && npm ci --no-audit --no-fund && npm run build

# A PostgreSQL of one's own in .postgres (docs/memory.md); PORT=5434 for another port.
PORT ?= 5433
postgres: $(VENV)/.dev
	$(BIN)/python scripts/local_postgres.py serve .postgres --port $(PORT)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Nereus needs Python 3.11 or newer; name one with: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --progress-bar off -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --progress-bar off -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.base

clean:
	rm -rf $(VENV) $(DEMO) .mypy_cache .ruff_cache
