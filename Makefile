# make demo    set up and run the whole loop on the shipped images
# make test    set up and run the tests, on up to four cores at once
# make quick   set up and run lint and the tests that take under a minute on two cores
# make check   set up and run what needs no running: format, lint, types, layers, language
# make bench   the short benchmarks
# PYTHON=python3.13 chooses the interpreter; any from 3.11 on.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# constraints.txt holds the versions that the tests last passed with; pyproject.toml says what is allowed.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test quick check bench clean

demo: $(VENV)/.installed
	$(BIN)/shotdex demo --out demo-out

test: $(VENV)/.developed
	$(BIN)/python -m pytest -n auto --maxprocesses=4 --dist loadfile --no-loadscope-reorder

QUICK := tests/analysis/stats tests/analysis/metrics tests/analysis/prompts tests/cli/test_help.py tests/media/tables \
	tests/store/test_ids.py tests/store/test_views.py tests/test_language.py

quick: $(VENV)/.developed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(QUICK)

check: $(VENV)/.developed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -p shotdex
	PYTHONPATH=typings $(BIN)/lint-imports
	$(BIN)/python -m pytest -q -n 0 tests/test_language.py

bench: $(VENV)/.developed
	test -f demo-out/store/catalog.duckdb || $(BIN)/shotdex demo --out demo-out
	$(BIN)/python benchmarks/evaluation.py demo-out/store names words
	$(BIN)/python benchmarks/first_answer.py
	$(BIN)/python benchmarks/repeated_search.py
	$(BIN)/python benchmarks/indexing.py --small
	$(BIN)/python benchmarks/search.py --rows 100000
	$(BIN)/python benchmarks/classify.py --small
	$(BIN)/python benchmarks/growth.py --rows 100000

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "shotdex needs Python 3.11 or newer; choose one: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "installing shotdex and what it needs into $(VENV); torch is large, so this takes some minutes the first time"
	$(INSTALL) --editable .
	touch $@

$(VENV)/.developed: $(VENV)/.installed
	$(INSTALL) --editable '.[dev]'
# For the tests of torchvision:NAME. Not among the other packages, where a build that does not fit torch breaks
# transformers; where it cannot be had at all, these tests skip.
	-$(INSTALL) --no-deps --upgrade --target $(VENV)/torchvision torchvision
	touch $@

clean:
	rm -rf $(VENV) demo-out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
