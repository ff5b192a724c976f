# Every habit of this project is a target here; `make` lists them.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test sweep soak simulate corruption mutants bench image lint unit integration e2e long images lock clean

PYTHON ?= python3
BIN := .venv/bin
IMAGES := debian:trixie-slim postgres:17 postgres:15 postgres:13 postgres:18
# Python programs whose names do not say so.
SCRIPTS := $(shell grep -Is '^.!.*python3$$' -l scripts/* examples/*/*)
# The certificates that this machine trusts are those that the image's build trusts.
CA := $(firstword $(wildcard $(SSL_CERT_FILE) /etc/ssl/certs/ca-certificates.crt))
VERSION = $(shell sed -n 's/^__version__.*"\(.*\)"/\1/p' sidecar/__init__.py)
REVISION = $(shell git rev-parse HEAD 2>/dev/null || echo unknown)

help: ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' Makefile | expand -t 14

demo: image ## watch a release fail to migrate, and the database come back
	examples/demo/run

test: lint unit images image integration e2e ## everything that must hold, quickest first

lint: .venv/made ## style, import rules, types
	$(BIN)/ruff check . $(SCRIPTS)
	$(BIN)/ruff format --check . $(SCRIPTS)
	@if grep -q '^\[tool.importlinter\]' pyproject.toml; then set -x; $(BIN)/lint-imports; fi
	$(BIN)/mypy --scripts-are-modules --exclude '^tests/e2e/apps/' sidecar tests $(SCRIPTS)

unit: .venv/made ## decisions and stories, no outside world
	$(BIN)/pytest tests/unit -n 2

integration: .venv/made images image ## real PostgreSQL servers, real Docker
	@scripts/machine stores || true  # without rclone, an SFTP and an S3 server their tests are skipped
	@scripts/machine age || true  # without it nobody but migsafe opens what it encrypts
	$(BIN)/pytest tests/integration -n 2 --dist loadfile
	$(BIN)/pytest tests/sweep

e2e: .venv/made images image ## real Compose stacks with real frameworks
	$(BIN)/pytest tests/e2e -n 2 --dist loadfile -m "not long"

long: .venv/made images image ## crowds, writers, full disks, secrets, Loomio, Kubernetes: what takes minutes
	@scripts/machine image redis:8
	@scripts/machine podman || true  # without it the pods are skipped
	$(BIN)/pytest tests/e2e -n 2 --dist loadfile -m long

simulate: .venv/made ## histories drawn from seeds (SEEDS=100000), or one of them told (SEED=4711)
	$(BIN)/python scripts/simulate $(or $(SEED),--seeds $(or $(SEEDS),5000))

corruption: .venv/made images ## damaged backups: what migsafe, pg_restore, psql and age say of them
	$(BIN)/python scripts/corruption

mutants: .venv/made ## planted bugs, which the tests must find
	$(BIN)/python scripts/mutants

sweep: .venv/made images image ## kill it everywhere, an hour long (MINUTES=20, SEED=7), or once (ONLY=...)
	tests/e2e/apps/build plainsql
	$(BIN)/python -m tests.sweep --workers $(or $(WORKERS),2) --minutes $(or $(MINUTES),55) \
	  --seed $(or $(SEED),1) $(if $(LIMIT),--limit $(LIMIT)) $(if $(ONLY),--only '$(ONLY)')

soak: .venv/made images image ## backups every few seconds under random kills (MINUTES=20, SEED=7)
	$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),20) --seed $(or $(SEED),1)

bench: .venv/made images image ## how long a guarded start takes
	PATH="$(CURDIR)/$(BIN):$$PATH" scripts/bench

image: ## build migsafe:dev from this checkout
	@scripts/machine compose
	@scripts/machine image debian:trixie-slim
	DOCKER_BUILDKIT=1 docker build --tag migsafe:dev $(if $(CA),--secret id=ca$(comma)src=$(CA)) \
	  --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) .

images:
	@scripts/machine compose
	@scripts/machine image $(IMAGES)

# Without UPGRADE=--upgrade every version that still fits stays as it is.
lock: .venv/made ## resolve the dependencies of image and tests again (UPGRADE=--upgrade: the newest)
	@[ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet uv
	$(LOCK) --output-file .ci/image.lock.txt
	echo editables | $(LOCK) --output-file .ci/dev.lock.txt --group dev -  # hatchling wants it for --editable

LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
  --custom-compile-command "make lock" $(UPGRADE) pyproject.toml

clean: ## remove what the targets made here (not the Docker images)
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find sidecar tests scripts -name __pycache__ -prune -exec rm -rf {} +

.venv/made: .ci/dev.lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: Python 3.11 or newer is needed. Name one: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "make: Python's venv module is missing. Install it: sudo apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/dev.lock.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

comma := ,
