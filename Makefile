# Every target needs Python >= 3.11 only; `make envtest` needs Go >= 1.26 as well.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)

.DEFAULT_GOAL := help
.PHONY: help install sandbox test proof lint format envtest faults outcomes mutation bench clean

help: ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

install: $(VENV)/.installed ## Install the locked dependencies into .venv

$(VENV)/.installed: pyproject.toml uv.lock
	@command -v uv >/dev/null 2>&1 || test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/pip install --quiet "uv>=0.9,<1"; }
	$(UV) sync --frozen --quiet --inexact
	@touch $@

sandbox: install ## Show the whole story on this machine: no cluster, no network
	@$(BIN)/maildomain-controller sandbox

test: install ## Run all tests; the end-to-end layer where `make envtest` has built the API server
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder

proof: install ## Play 20,000 steps of generated worlds, or MDC_PROOF_STEPS; the number of rights that were lost by accident
	MDC_PROOF_STEPS=$${MDC_PROOF_STEPS:-20000} $(BIN)/pytest tests/proofs -k nobody_loses

lint: install ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

envtest: install ## Build a real API server and etcd once; the last line is the folder for KUBEBUILDER_ASSETS
	@$(BIN)/python tests/envtest/build.py

faults: install ## Write docs/faults.md anew from what the end-to-end tests see
	MDC_WRITE_TABLES=1 $(BIN)/pytest tests/e2e/test_faults.py

outcomes: install ## Write docs/outcomes.md anew from what the tests of planning see
	MDC_WRITE_TABLES=1 $(BIN)/pytest tests/unit/planning/test_outcomes.py

mutation: install ## Break what decides about rights, one expression at a time; MUTANTS="controller.planning.guard*" chooses
	$(UV) sync --frozen --quiet --inexact --group mutation
	$(BIN)/python tests/mutate.py run $(MUTANTS)
	@$(BIN)/mutmut results

bench: install ## Measure speed as ratios against a baseline in the same run
	$(BIN)/python -m bench

clean: ## Remove what the other targets made
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
