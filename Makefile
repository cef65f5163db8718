# The commands of this repository, the same for developers and CI. `make` lists them.
# All of them work in a fresh clone: they need Python 3.11 or newer and make, and install everything else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
OTHER_VENV = build/venv-$(shell $(PYTHON) -c "import platform; print(platform.python_version())")
PIP_INSTALL := bin/pip install --quiet --disable-pip-version-check --no-compile

.DEFAULT_GOAL := help
.PHONY: help install tools check test test-fast test-python test-kubernetes test-image-python demo demo-down recording dashboard bench bench-large soak generate docs docs-check docs-serve build image-test sbom lock release clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## install what requirements.lock pins, and this checkout, into .venv

define CHECK_PYTHON
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "$(PYTHON) is $$($(PYTHON) --version 2>&1 | head -1), but Python 3.11 or newer is needed:" \
		"name one with 'make $(or $(MAKECMDGOALS),install) PYTHON=python3.12'." >&2; exit 1; }
endef

define MAKE_VENV
$(PYTHON) -m venv $(@D) || { \
	echo "$(PYTHON) cannot create a virtual environment; on Debian, install the package python3-venv." >&2; exit 1; }
$(@D)/$(PIP_INSTALL) --require-hashes -r requirements.lock
$(@D)/$(PIP_INSTALL) --no-build-isolation --no-deps --editable operator/kvsecrets --editable .
endef

$(INSTALLED): requirements.lock pyproject.toml operator/kvsecrets/pyproject.toml
	$(CHECK_PYTHON)
	$(MAKE_VENV)
	@touch $@

build/venv-%/installed: requirements.lock pyproject.toml operator/kvsecrets/pyproject.toml
	$(MAKE_VENV)
	@touch $@

tools: install ## build etcd, kube-apiserver and others for the tests and the demo: minutes the first time, then cached
	$(BIN)/python -m tests.controlplane build

check: install ## linters, type checkers, import contracts, and whether generated files are up to date
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/hadolint Dockerfile
	$(BIN)/zizmor --quiet --offline --persona auditor .github
	$(BIN)/vaultsync crds --check crds
	$(BIN)/vaultsync crds --check charts/vaultsync/files/crds

PYTEST := $(BIN)/pytest $(if $(CI),--hypothesis-profile=ci)

# Unit tests mostly compute, and all others mostly wait: they run side by side, in four parts. Those of faults and takeovers
# start many operators and API servers of their own: they come after those of one operator, which would lose its Lease on a
# machine that is too busy.
FAULTS := tests/faults tests/e2e/takeover
test: install ## all tests (they build the tools they need); some of them: make test ARGS='tests/unit -k paging'
ifdef ARGS
	$(PYTEST) $(ARGS)
else
	@mkdir -p build
	@$(PYTEST) -p no:cacheprovider -m "not cluster" tests/unit >build/test-unit.log 2>&1 & unit=$$!; \
	$(PYTEST) -p no:cacheprovider -m "not cluster" --ignore=tests/unit >build/test.log 2>&1 & others=$$!; \
	{ failed=0; $(PYTEST) -p no:cacheprovider -m cluster tests/e2e $(FAULTS:%=--ignore=%) || failed=1; \
	$(PYTEST) -p no:cacheprovider -m cluster $(FAULTS) || failed=1; exit $$failed; } >build/test-e2e.log 2>&1 & e2e=$$!; \
	failed=0; $(PYTEST) -m cluster --ignore=tests/e2e $(FAULTS:%=--ignore=%) || failed=1; \
	wait $$unit || failed=1; cat build/test-unit.log; \
	wait $$others || failed=1; cat build/test.log; \
	wait $$e2e || failed=1; cat build/test-e2e.log; exit $$failed
endif

# Two processes, for two cores; each with fewer random examples.
FAST := $(BIN)/pytest -q -p no:cacheprovider -m "not cluster and not slow" --hypothesis-profile=fast

test-fast: install ## the quick tests, for use between commits: no cluster, no build, at most a minute
	@mkdir -p build
	@$(FAST) tests/unit/kvsecrets tests/contract >build/test-fast.log 2>&1 & library=$$!; \
	failed=0; $(FAST) tests/unit/vaultsync tests/unit/bench || failed=1; \
	wait $$library || failed=1; cat build/test-fast.log; exit $$failed

# What another Python can change: how the code runs, and where recursion, memory, TLS and the event loop have their bounds.
# Tools of developers are the same on each, and the many random examples are those of `test`.
OTHER := -p no:cacheprovider --hypothesis-profile=$(if $(CI),ci-)fast \
	$(or $(ARGS),tests/attacks tests/contract tests/integration tests/unit)
test-python: ## the tests of the code that need no cluster, on another interpreter: make test-python PYTHON=python3.13
	$(CHECK_PYTHON)
	@$(MAKE) --no-print-directory $(OTHER_VENV)/installed
	$(OTHER_VENV)/bin/pytest -m "not cluster" $(OTHER)

# What another API server can change: schemas, validation rules and admission policies, watches, applies, rights, tokens.
test-kubernetes: install ## the tests that talk to a cluster, on another Kubernetes: make test-kubernetes KUBERNETES=1.30
	CONTROLPLANE_KUBERNETES=$(KUBERNETES) $(PYTEST) -p no:cacheprovider -m cluster \
		$(or $(ARGS),tests/integration tests/attacks tests/e2e/scenarios tests/e2e/test_chart.py tests/e2e/test_chart_upgrades.py)

# The API server's rights, namespaces and rates are the same with each Python.
NOT_OF_PYTHON := $(foreach about,grants_on_a_cluster load_on_a_cluster namespaces operator_token,--ignore=tests/attacks/test_$(about).py)
test-image-python: install ## the same and the attacks on Debian's Python with the image's packages; needs root and debootstrap
	$(BIN)/python -m tests.e2e.image test -m "not cluster or attack" $(NOT_OF_PYTHON) $(OTHER)

demo: install ## run the operator against a real API server and an emulated vault; KEEP=1 leaves them running
	KEEP=$(KEEP) $(BIN)/python -m demo

demo-down: install ## stop what `make demo KEEP=1` left running
	$(BIN)/python -m demo down

recording: install ## run the demo and draw docs/demo.svg and docs/kubectl.svg from its terminal; ARGS=--again draws the last run
	$(BIN)/python -m demo.recording $(ARGS)

dashboard: install tools ## draw docs/dashboard.svg from ten minutes of a running operator; ARGS=--again reuses the last data
	$(BIN)/python -m demo.dashboard $(ARGS)

bench: install tools ## measure the numbers in bench/README.md
	$(BIN)/python -m bench

bench-large: install tools ## measure 10,000 VaultSecrets and a vault of 25,000 secrets; ARGS=--write puts them there
	failed=0; $(BIN)/python -m bench operator --large $(ARGS) || failed=1; \
	$(BIN)/python -m bench searches $(ARGS) || failed=1; exit $$failed

soak: install tools ## break everything for 30 minutes, or MINUTES=5, and check each write; SEED=7 repeats a schedule
	$(BIN)/python -m tests.faults.soak --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED))

generate: install ## write generated files: CRDs, the chart's table of values, its dashboard, golden renders, attacks, reference
	$(BIN)/vaultsync crds --write crds
	$(BIN)/vaultsync crds --write charts/vaultsync/files/crds
	$(BIN)/python -m tests.chart
	$(BIN)/python -m tests.attacks
	$(BIN)/python -m website

MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs
docs: install ## build the documentation as a site in build/site; a broken link, or a page without a place, fails
	$(MKDOCS) build --strict

docs-check: docs ## open each page of the site in Chromium, which has to be installed: links, search, width, other hosts
	$(BIN)/python -m website.browser

docs-serve: install ## serve the site at http://127.0.0.1:8000, and build it again when a page changes
	$(MKDOCS) serve

build: install ## build the wheels and source distributions of vaultsync and kvsecrets in dist/
	$(BIN)/hatchling build
	cd operator/kvsecrets && ../../$(BIN)/hatchling build --directory ../../dist

image-test: install tools ## build and run the image without a container engine; needs root, buildah and debootstrap
	$(BIN)/pytest --timeout=1200 tests/e2e/image/built.py $(ARGS)

sbom: install ## write the packages of the image's Python environment as CycloneDX to dist/vaultsync.cdx.json
	rm -rf build/sbom
	mkdir -p dist
	$(BIN)/uv venv --quiet build/sbom
	$(BIN)/uv pip install --quiet --python build/sbom --constraint requirements-image.lock '.[tracing]'
	$(BIN)/cyclonedx-py environment --output-reproducible --validate --pyproject pyproject.toml \
		--output-file dist/vaultsync.cdx.json build/sbom/bin/python

LOCK = $(BIN)/uv pip compile pyproject.toml --no-emit-package kvsecrets --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate

lock: install ## pin the newest versions that pyproject.toml allows, with hashes
	$(LOCK) --upgrade --all-extras --group dev -o requirements.lock
	$(LOCK) --constraint requirements.lock --extra tracing --group build -o requirements-image.lock

release: install ## write a version everywhere, as docs/releasing.md describes: make release VERSION=0.2.0
	$(BIN)/python -m tests.release set $(VERSION)
	@$(MAKE) --no-print-directory generate

clean: ## remove .venv, build, dist and the tools' caches in this checkout
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
