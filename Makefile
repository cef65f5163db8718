# The verbs of this repository, the same here and in CI. `make` alone lists them.
# All of them work from a fresh clone: they need Python 3.11 or newer and make, and install the rest into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.DEFAULT_GOAL := help
.PHONY: help install tools check test demo demo-down dashboard bench generate build image-test sbom lock clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## install what requirements.lock pins, and this checkout, into .venv

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), but Python 3.11 or newer is needed:" \
			"name one with 'make $(or $(MAKECMDGOALS),install) PYTHON=python3.12'." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) cannot make a virtual environment; Debian has that part in the package python3-venv." >&2; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

tools: install ## build etcd, kube-apiserver, … for the tests and the demo: minutes the first time, then cached
	$(BIN)/python -m tests.controlplane build

check: install ## everything that reads the code without running it, and that generated files are fresh
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/hadolint Dockerfile
	$(BIN)/vaultsync crds --check crds
	$(BIN)/vaultsync crds --check charts/vaultsync/files/crds

test: install ## all tests (they build the tools they need); some of them: make test ARGS='tests/unit -k paging'
	$(BIN)/pytest $(if $(CI),--hypothesis-profile=ci) $(ARGS)

demo: install tools ## show the operator at work on real parts; KEEP=1 leaves them running
	KEEP=$(KEEP) $(BIN)/python -m demo

demo-down: install ## end what `make demo KEEP=1` left running
	$(BIN)/python -m demo down

dashboard: install tools ## draw docs/dashboard.svg from ten minutes of a real operator; ARGS=--again draws the last ones
	$(BIN)/python -m demo.dashboard $(ARGS)

bench: install tools ## measure what bench/README.md claims
	$(BIN)/python -m bench

generate: install ## write the files that are made from others: CRDs, the chart's table of values, its dashboard, golden renders
	$(BIN)/vaultsync crds --write crds
	$(BIN)/vaultsync crds --write charts/vaultsync/files/crds
	$(BIN)/python -m tests.chart

build: install ## make the wheel and the source distribution in dist/
	$(BIN)/hatchling build

image-test: install tools ## build the image and run it, without a container engine; needs root, buildah and debootstrap
	$(BIN)/pytest --timeout=1200 tests/e2e/image/built.py $(ARGS)

sbom: install ## list what is in the image's Python environment, as CycloneDX, in dist/vaultsync.cdx.json
	rm -rf build/sbom
	mkdir -p dist
	$(BIN)/uv venv --quiet build/sbom
	$(BIN)/uv pip install --quiet --python build/sbom --constraint requirements-image.lock '.[operator,tracing]'
	$(BIN)/cyclonedx-py environment --output-reproducible --validate --pyproject pyproject.toml \
		--output-file dist/vaultsync.cdx.json build/sbom/bin/python

LOCK = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate

lock: install ## pin the newest versions that pyproject.toml allows, with hashes
	$(LOCK) --upgrade --all-extras --group dev -o requirements.lock
	$(LOCK) --constraint requirements.lock --extra operator --extra tracing --group build -o requirements-image.lock

clean: ## remove .venv, dist and the tools' caches in this checkout
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
