# `make help` lists the targets. Every target sets up what it needs.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The seconds of each phase, printed at the end by the make that a person called.
PHASES := $(VENV)/.phases
begin = if [ $(MAKELEVEL) = 0 ]; then rm -f $(PHASES); fi
timed = @echo '$(2)'; SECONDS=0; $(2) && printf '%5d s  %s\n' $$SECONDS '$(1)' >> $(PHASES)
end = if [ $(MAKELEVEL) = 0 ]; then echo; cat $(PHASES); fi

.DEFAULT_GOAL := help
.PHONY: help demo test programs flux-build wheels check fuzz format crds docs playground lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: $(STAMP) ## the story on a real local cluster: delivered, broken, rolled back, fixed
	@$(BIN)/python -m playground demo

test: $(STAMP) ## all tests, the real-cluster ones included
	@$(begin)
	$(call timed,programs of the cluster,$(BIN)/python -m playground build cluster flux-build)
	@REQUIRE_PROGRAMS=1 $(MAKE) --no-print-directory -j2 programs check # side by side
	$(call timed,tests on the real cluster and slow ones,REQUIRE_PROGRAMS=1 $(BIN)/pytest -v -n auto --dist loadfile --no-loadscope-reorder -m "e2e or slow" tests)
	@$(end)

programs: $(STAMP)
	$(call timed,programs of the monitoring tools,$(BIN)/python -m playground build monitoring flux-operator)

flux-build: $(STAMP) ## the program that builds manifests, for this machine
	@$(BIN)/python -m playground build flux-build

check: $(STAMP) ## lint, types, import rules and the fast tests
	@$(begin)
	$(call timed,program that builds manifests,$(BIN)/python -m playground build flux-build)
	$(call timed,format,$(BIN)/ruff format --check .)
	$(call timed,lint,$(BIN)/ruff check .)
	$(call timed,types,$(BIN)/mypy)
	$(call timed,import rules,$(BIN)/lint-imports --no-cache)
	$(call timed,fast tests,$(BIN)/pytest -q -n 2 -m "not e2e and not slow" tests)
	@$(end)

fuzz: $(STAMP) ## the parsers of what is hostile, each for TIME=60 seconds, or one: TARGET=status
	$(BIN)/python -m tests.fuzz.program --seconds $(or $(TIME),60) $(TARGET)

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

crds: $(STAMP) ## write the CRD from the models
	$(BIN)/python -m reconciliation_contract.api.crd > crds/reconciliationcontracts.yaml

docs: $(STAMP) ## write docs/reference from the code
	$(BIN)/python docs/generate.py

wheels: $(STAMP) ## a wheel for each platform in dist/, with its program that builds manifests
	@$(BIN)/python -m playground wheels

playground: $(STAMP) ## a local cluster with Flux, kept running until Ctrl-C
	@$(BIN)/python -m playground up

lock: $(STAMP) ## pin the requirements anew, with hashes
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --all-extras pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 --all-extras --group dev pyproject.toml -o requirements/dev.txt

clean: ## remove the virtual environment and caches of this folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis dist

$(STAMP): requirements/dev.txt pyproject.toml
	@echo "Setting up $(VENV) from requirements/dev.txt ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
