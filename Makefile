# NetScope. `make` alone lists the targets; all of them install what they need first.
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
PYTHON := .venv/bin/python
DEMO_SECONDS ?=
ARGS ?=
FUZZ_RUNS ?= 1000000
TESTS ?= tests
KERNEL ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-develop install uninstall demo test test-kernels check format bench bench-table fuzz torture lock

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what running needs: distribution packages (root, once) and .venv with the locked Python packages
	@tools/keep-owner tools/setup run

setup-develop: ## the same for the checks, the tests and the benchmarks
	@tools/keep-owner tools/setup develop

demo: ## watch a Kafka worker call an HTTP API, live (root; DEMO_SECONDS=n ends it, ARGS="--json" or others)
	@test "$$(id -u)" -eq 0 || { echo "demo: reading from the kernel needs root: sudo make demo" >&2; exit 1; }
	@tools/keep-owner tools/setup demo
	@tools/keep-owner $(PYTHON) demo/run.py $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS)) -- $(ARGS)

install: ## put `collector` on root's PATH, with its service, completion and manual (root)
	@tools/keep-owner packaging/install

uninstall: ## take all of that away again (root)
	@packaging/uninstall

test: check ## everything that CI runs: the checks, then all tests (as root the kernel's, too; TESTS=path for some)
	@tools/keep-owner tools/test $(TESTS)

check: setup-develop ## format, lint, types, import rules, spelling, shell and C style
	@tools/check

format: setup-develop ## apply the formatters to Python and C
	$(PYTHON) -m ruff check --fix-only --quiet .
	$(PYTHON) -m ruff format --quiet .
	.venv/bin/clang-format -i bpf/*.c bpf/*.h

test-kernels: setup-develop ## traffic, kernel tests and costs on every rung of Debian's kernels, emulated (root; KERNEL=6.1 for one; all: 3 h)
	@tools/keep-owner $(PYTHON) -m tests.vm.prove $(KERNEL)
	@tools/keep-owner $(PYTHON) -m tests.vm.suite $(KERNEL)
	@tools/keep-owner $(PYTHON) -m tests.vm.cost $(KERNEL)
	@tools/keep-owner $(PYTHON) -m tests.vm.hosts $(KERNEL)
	@$(if $(KERNEL),,tools/keep-owner $(PYTHON) -m tests.vm.debian)

bench: setup-develop ## measure, and write docs/reference/bench/ (root)
	@tools/keep-owner tools/bench

bench-table: ## rebuild the merged results and the table from the figures that are there
	@$(PYTHON) tools/bench_table.py

fuzz: setup-develop ## run every fuzz target for FUZZ_RUNS inputs (1,000,000)
	@tools/keep-owner tools/fuzz $(FUZZ_RUNS)

torture: setup-develop ## the archive's campaigns at full size: 1,000 kills, twice 20 minutes of outage, 10,000 mutations, 1,000,000 segments (root; 90 min)
	@NETSCOPE_FULL=1 SEGMENTS=1000000 tools/keep-owner tools/test -s --timeout=7200 tests/integration/audit tests/property/collector/test_audit_spool.py

lock: setup-develop ## pin the newest versions that pyproject.toml allows, with hashes
	@tools/keep-owner tools/lock
