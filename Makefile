# Every task of this repository. `make` alone prints them; each sets up what it needs by itself.

.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
# Where it is set, each tool that imports Tidings would compile all of it again.
export PYTHONDONTWRITEBYTECODE :=

# Which Python makes the environment; empty means: the first that is new enough and was built with optimization.
PYTHON ?=
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INSTALLED := $(VENV)/.installed
DATA ?= data
PORT ?= 8080
# More arguments for the tool behind a target, as in: make test ARGS="-k retry"
ARGS ?=
# How many processes run tests, each with servers and a PostgreSQL of its own; tests wait more than they work, so more than
# there are cores. `make test WORKERS=0` runs them one by one, in this process.
WORKERS ?=
PROCESSES := 6
PARALLEL = -n $(or $(WORKERS),$(PROCESSES)) --dist worksteal
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock"

.PHONY: help
help: ## Print this help
	@echo "make <target>, where <target> is one of:"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml requirements-dev.lock tools/setup.sh
	@tools/setup.sh "$(VENV)" requirements-dev.lock $(PYTHON)
	@touch $@ $(INSTALLED)

$(INSTALLED): pyproject.toml requirements.lock tools/setup.sh
	@tools/setup.sh "$(VENV)" requirements.lock $(PYTHON)
	@touch $@

.PHONY: install
install: $(INSTALLED) ## Make .venv with what running Tidings takes; leaves .venv/bin/tidings (PYTHON=... chooses the interpreter)

.PHONY: setup
setup: $(READY) ## The same with everything that tests and checks take

.PHONY: demo
demo: $(INSTALLED) ## Play the main job in a restaurant: an API, orders and signed webhooks; the morning after, links that pull, push and mail
	@$(BIN)/python examples/demo.py $(ARGS)

.PHONY: serve
serve: $(INSTALLED) ## Run a server on DATA (data) and PORT (8080)
	@$(BIN)/tidings serve --data "$(DATA)" --port "$(PORT)" $(ARGS)

.PHONY: test
test: $(READY) ## Run the tests, PostgreSQL included; EXAMPLES=all adds the slowest variants and all examples
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

.PHONY: image
image: $(READY) ## Build the image of deploy/Dockerfile on a bare Debian and run it, where buildah and debootstrap are installed
	@$(BIN)/python tools/try_image.py $(ARGS)

.PHONY: lint
lint: $(READY) ## Format, lint, types, import contracts, dead code, the generated docs and client: what needs no test
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/vulture
	$(BIN)/python tools/make_docs.py --check
	$(BIN)/python tools/make_dashboard.py --check
	$(BIN)/python tools/make_client.py --check

.PHONY: check
check: PROCESSES := 4
# mypy is one process beside many: unless tests give way to it, it ends long after them, with a processor idle.
check: $(READY) ## lint, and beside it the fast tests, the shape among them; about a minute
	@$(MAKE) lint >$(VENV)/lint.log 2>&1 & lint=$$!; \
	nice -n 10 $(BIN)/python -m pytest -q -m "not slow" $(PARALLEL) $(ARGS); tests=$$?; \
	wait $$lint; lint=$$?; cat $(VENV)/lint.log; exit $$((tests + lint))

.PHONY: bench
bench: $(READY) ## Measure every figure that is promised, beside a reference of the same run
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: format
format: $(READY) ## Put the code in its one format, and mend what the linter can mend
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

.PHONY: docs
docs: $(READY) ## Write docs/reference and the dashboard of deploy/ from the code's own tables
	@$(BIN)/python tools/make_docs.py
	@$(BIN)/python tools/make_dashboard.py

.PHONY: pictures
pictures: $(READY) ## Make the pictures of the documents from real runs (those of pages need Chromium)
	@$(BIN)/python tools/make_pictures.py $(ARGS)
	@$(BIN)/python tools/make_console_pictures.py

.PHONY: client
client: $(READY) ## Write the sync client from the async one
	@$(BIN)/python tools/make_client.py

.PHONY: lock
lock: $(READY) ## Choose dependency versions anew and write the locks, with hashes
	$(COMPILE) --upgrade --extra postgres pyproject.toml -o requirements.lock
	$(COMPILE) --upgrade --extra dev --extra postgres --constraint requirements.lock pyproject.toml -o requirements-dev.lock
	$(COMPILE) --upgrade tests/openapi/requirements.in -o tests/openapi/requirements.lock
	$(COMPILE) --upgrade tests/deploy/chart/requirements.in -o tests/deploy/chart/requirements.lock
	$(COMPILE) --upgrade tests/mcp/requirements.in -o tests/mcp/requirements.lock
	$(COMPILE) --upgrade tests/oracles/requirements.in -o tests/oracles/requirements.lock
	$(COMPILE) --upgrade tests/peers/requirements.in -o tests/peers/requirements.lock
	$(COMPILE) --upgrade tests/svix/judges/requirements.in -o tests/svix/judges/requirements.lock

.PHONY: build
build: $(READY) ## Build the wheel into dist/
	@rm -rf dist
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist

.PHONY: clean
clean: ## Remove the environment and everything that was built
	rm -rf "$(VENV)" dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
