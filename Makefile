# Everything runs in the Debian 13 user land that the appliance ships; `make setup` prepares it on any Debian or Ubuntu host.
SHELL := /bin/bash
.DEFAULT_GOAL := help
IN := ./image/userland run --
PYTHON := $(IN) python3

PY := gateway image tests
SH := image/userland image/vagrant/join mudroom .ci/run tests/home/lab/udhcpc.sh gateway/network/record-mud-url
C := $(wildcard ebpf/*.c ebpf/include/*.h)

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "Namespaces and eBPF need root: sudo make demo"

.PHONY: setup
setup: ## prepare the Debian 13 user land (three minutes the first time, then nothing)
	@./image/userland setup

.PHONY: demo
demo: setup ## start the virtual home, send all kinds of traffic, tell what crossed and what did not
	@$(PYTHON) -m tests.home.demo

.PHONY: test
test: setup lint ## everything: lint, types, unit, eBPF and virtual-home tests
	@$(PYTHON) -m pytest tests

.PHONY: test-unit
test-unit: setup ## the tests that need neither namespaces nor eBPF
	@$(PYTHON) -m pytest tests/unit

.PHONY: bench
bench: setup ## measure steering and proxy against named peers (ten minutes; docs/benchmarks.md)
	@$(PYTHON) -m tests.bench

.PHONY: lint
lint: setup ## style, types, imports, C format, shell
	@$(IN) ruff check $(PY)
	@$(IN) ruff format --check $(PY)
	@$(IN) mypy
	@$(IN) lint-imports
	@$(IN) clang-format --dry-run --Werror $(C)
	@$(IN) shellcheck $(SH)

.PHONY: format
format: setup ## rewrite Python and C in the house style
	@$(IN) ruff check --fix $(PY)
	@$(IN) ruff format $(PY)
	@$(IN) clang-format -i $(C)

.PHONY: lock
lock: ## renew requirements*.lock (needs uv; versions follow pyproject.toml)
	@uv pip compile pyproject.toml --python-version 3.13 --python-platform x86_64-manylinux_2_40 --upgrade \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -q -o requirements.lock
	@uv pip compile --group dev -c requirements.lock --python-version 3.13 --python-platform x86_64-manylinux_2_40 --upgrade \
		--generate-hashes --no-emit-index-url --no-header --no-annotate -q -o requirements-dev.lock

.PHONY: flash
flash: ## write the newest image to a disk, and prove it: sudo make flash DEV=/dev/sdX (IMAGE=… another one, FORCE=1 built-in disks)
	@python3 -m image.flash $(DEV) $(if $(IMAGE),--image $(IMAGE)) $(if $(FORCE),--force)

.PHONY: lab-up
lab-up: setup ## start the virtual home and leave it running (/run/mudroom-lab/home.json describes it)
	@$(PYTHON) -m tests.home.lab up

.PHONY: lab-down
lab-down: ## stop the virtual home and remove all that it made
	@$(PYTHON) -m tests.home.lab down
	@rmdir /run/mudroom-lab /var/lib/mudroom-lab 2>/dev/null || true

.PHONY: shell
shell: setup ## a shell in the user land (in the virtual home: ip netns exec mudroom-device-1 bash)
	@$(IN) bash -i

.PHONY: clean
clean: ## remove the prepared user land from the cache
	@./image/userland clean
