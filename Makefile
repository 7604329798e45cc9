# Every target does its own set-up in .venv; nothing outside this folder is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# UV_TORCH_BACKEND (cpu, cu126, auto ...) is uv's; it passes through from the environment.
export NO_ALBUMENTATIONS_UPDATE := 1
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
PYTEST := $(BIN)/python -m pytest
# The markers of the slow tests; a target for each.
SLOW := slow_index slow_geometry slow_training slow_prefect slow_runs slow_docs
SLOW_TARGETS := $(subst _,-,$(SLOW:%=test-%))
QUICK := $(SLOW:%=and not %)
QUICK := $(wordlist 2,99,$(QUICK))

.PHONY: help setup demo test gpu-check check docs format test-pythons clean constraints $(SLOW_TARGETS)

help:
	@echo "make demo           a full run on a phantom, the same as 'lsdc run-local --folds 4'"
	@echo "make test           the tests; about 11 minutes on two cores"
	@echo "make gpu-check      tests and speed of training on this machine's GPU; 8 minutes"
	@echo "make check          ruff, mypy, import contracts and dependencies"
	@echo "make docs           the documentation site, in build/docs"
	@echo "make test-slow-docs run the commands of the documentation and of the README"
	@echo "make format         let ruff rewrite the layout"
	@echo "make test-pythons   the quick tests on Python 3.12 and 3.13, if installed"
	@echo "make clean          remove the virtual environment and caches"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --compile-bytecode --editable '.[dev]'
	touch $(READY)

demo: setup
	$(BIN)/lsdc run-local --folds 4

test: setup
	$(PYTEST) --numprocesses 2 --no-loadscope-reorder -m "$(QUICK)"

# The tests of pools mostly wait, so run three at once. They are in two folders; collecting the
# others takes a minute.
test-slow-prefect: processes = --numprocesses 3 --no-loadscope-reorder tests/cli tests/flows
test-slow-training test-slow-runs: processes = --numprocesses 2 --no-loadscope-reorder
$(SLOW_TARGETS): setup
	$(PYTEST) $(processes) -m $(subst -,_,$(patsubst test-%,%,$@)); code=$$?; test $$code -eq 5 || exit $$code

# With PYTHON's own packages if it has torch: a machine with a GPU may have no network.
gpu-check:
	@if $(PYTHON) -c "import torch, lsdc" 2>/dev/null; then python=$(PYTHON); \
	else $(MAKE) setup && python=$(BIN)/python; fi; $$python benchmarks/gpu_check.py --full

# Every warning is an error: dead links and anchors, pages that no index lists.
docs: setup
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env -c docs . build/docs

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks
	$(BIN)/lint-imports
	$(BIN)/deptry lsdc flows tasks deployments tests benchmarks

format: setup
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

# pyenv's shim starts only a chosen version, so also look into pyenv's folder of versions.
test-pythons: setup
	@for version in 3.12 3.13; do \
	  python=; \
	  for found in "$$(command -v python$$version)" $${PYENV_ROOT:-$$HOME/.pyenv}/versions/$$version.*/bin/python \
	      "$$($(BIN)/uv python find --no-python-downloads --system $$version 2>/dev/null)"; do \
	    if "$$found" --version >/dev/null 2>&1; then python=$$found; break; fi; \
	  done; \
	  if [ -n "$$python" ]; then \
	    echo "== $$python"; \
	    $(BIN)/uv venv --quiet --allow-existing --python "$$python" .venv-$$version && \
	    $(BIN)/uv pip install --quiet --python .venv-$$version/bin/python --constraint constraints.txt --compile-bytecode --editable '.[dev]' && \
	    .venv-$$version/bin/python -m pytest -m "$(QUICK)" --ignore tests/flows || exit 1; \
	  else \
	    echo "== python$$version: not found, skipped"; \
	  fi; \
	done

clean:
	rm -rf $(VENV) .venv-3.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info

# Take the newest versions that fit together; run the tests before committing the result.
constraints: setup
	{ echo "# Versions that were tested together; made by 'make constraints'."; \
	  $(BIN)/uv pip freeze --quiet --python $(BIN)/python | grep '^uv=='; \
	  $(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	    --no-annotate --no-header --quiet --upgrade; } > .constraints.new
	mv .constraints.new constraints.txt
