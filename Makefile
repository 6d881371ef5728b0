# Every task of the project. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo run test soak lint format bench release

# The same flags for each build, so that no task rebuilds what another has built.
# The check refuses an import of a target that Package.swift does not list as a dependency.
FLAGS := --explicit-target-dependency-import-check error
# Where a test crashes, the thread that did is shown: to unwind a thousand others takes longer than the tests.
export SWIFT_BACKTRACE := threads=crashed
DEBUG_BINARY := $(CURDIR)/.build/debug/reenvio
PYTEST := REENVIO_BIN=$(DEBUG_BINARY) .build/venv/bin/python -m pytest Tests/EndToEnd -q \
	-o cache_dir=$(CURDIR)/.build/pytest
SOURCES := $(wildcard Sources Tests Benchmarks/Sources Examples Package.swift)
SCRIPTS := $(wildcard scripts/* .ci/run Benchmarks/run Examples/*/*.sh)
SEEDS ?= 5000

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

setup: ## Install missing system libraries and the Python environment of the tests
	@scripts/setup test

demo: ## Build, then play the whole story on a scratch store: outage, resend, verified signatures
	@scripts/setup
	swift build --product reenvio $(FLAGS)
	.build/debug/reenvio demo

run: ## Build, then run the server; options in ARGS="..."
	@scripts/setup
	swift build --product reenvio $(FLAGS)
	.build/debug/reenvio serve $(ARGS)

test: ## Run every test: Swift suites, then the real binary from outside
	@scripts/setup test
	swift build --build-tests $(FLAGS)
	swift test --skip-build $(FLAGS)
	@echo '$(PYTEST)'
	@$(PYTEST) -m waits >.build/waits.log 2>&1 & \
	$(PYTEST) -m 'not waits'; others=$$?; \
	wait $$!; waits=$$?; cat .build/waits.log; exit $$((others || waits))

soak: ## Run the long tests: SEEDS (5000) simulated worlds, and the marked end-to-end tests
	@scripts/setup test
	swift build --build-tests $(FLAGS)
	REENVIO_SEEDS=$(SEEDS) swift test --skip-build $(FLAGS) --filter ReenvioSimulationTests
	REENVIO_SOAK=1 $(PYTEST) -m soak

lint: ## Check the format of the Swift sources and the syntax of the scripts
	swift format lint --strict --parallel --recursive $(SOURCES)
	@for script in $(SCRIPTS); do echo "bash -n $$script"; bash -n "$$script" || exit 1; done

format: ## Format the Swift sources in place
	swift format --in-place --parallel --recursive $(SOURCES)

bench: ## Measure the release binary from outside (docs/performance.md)
	@scripts/setup
	Benchmarks/run

release: ## Build a stripped binary and a Debian package in .build/dist; TRY=1 installs and starts it in a new Debian
	@scripts/setup
	scripts/release $(if $(TRY),test)
