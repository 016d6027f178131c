# Everything runs in the Debian 13 user land that the appliance ships; `make setup` prepares it on any Debian or Ubuntu host.
SHELL := /bin/bash
.DEFAULT_GOAL := help
IN := ./image/userland run --
FORGE := ./image/userland --forge run --
PYTHON := $(IN) python3

PY := gateway image tests playbooks
SH := image/userland image/vagrant/join playbooks/roles/updates/files/root/usr/sbin/mudroom-kernel-update playbooks/roles/mudroom/files/root/usr/bin/mudroom playbooks/roles/mudroom/files/closed/close mudroom .ci/run tests/home/lab/udhcpc.sh gateway/network/record-mud-url
C := $(wildcard ebpf/*.c ebpf/include/*.h)

# In the forge, where Ansible is. pip's one download may pass a proxy that this machine trusts: its bundle goes along, hashes decide.
define in_forge
bundle=$$(mktemp /tmp/mudroom-ca-XXXXXX) && trap 'rm -f "$$bundle"' EXIT && cat /etc/ssl/certs/ca-certificates.crt >"$$bundle" && \
	PIP_CERT=$$bundle $(FORGE) env ANSIBLE_CONFIG=playbooks/ansible.cfg $(1)
endef

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "Namespaces, eBPF and images need root: sudo make demo"

.PHONY: setup
setup: ## prepare the Debian 13 user land (three minutes the first time, then nothing)
	@./image/userland setup

.PHONY: forge
forge: setup ## prepare what builds and boots the image: Ansible, QEMU, Vagrant (two minutes more the first time, then nothing)
	@./image/userland --forge setup

.PHONY: image
image: forge ## build the disk image, its lists and the Vagrant box into image/out (five minutes, again three)
	@rm -f image/out/inputs.sha256
	@$(call in_forge,ansible-playbook playbooks/image.yml)
	@python3 -m image.inputs record image/out

.PHONY: image-twice
image-twice: forge ## build the image twice from nothing and compare every byte
	@$(FORGE) bash -c 'rm -rf --one-file-system /var/cache/mudroom/base-*'
	@$(call in_forge,MUDROOM_IMAGE_OUT=$(CURDIR)/image/out/first ansible-playbook playbooks/image.yml)
	@$(FORGE) bash -c 'rm -rf --one-file-system /var/cache/mudroom/base-*'
	@$(call in_forge,MUDROOM_IMAGE_OUT=$(CURDIR)/image/out/second ansible-playbook playbooks/image.yml)
	@for file in image/out/first/*.img image/out/first/*.box image/out/first/*.json; do \
		$(FORGE) python3 -m image.compare "$$file" "image/out/second/$${file##*/}" || exit 1; done

.PHONY: provision
provision: forge ## make the machines of INVENTORY into routers, over ssh (ARGS=--check only says what would change)
	@test -n "$(INVENTORY)" || { echo "say which machines: make provision INVENTORY=playbooks/inventory/example"; exit 2; }
	@$(call in_forge,ansible-playbook playbooks/site.yml -i $(INVENTORY) $(ARGS))

.PHONY: demo
demo: setup ## start the virtual home, send all kinds of traffic, tell what crossed and what did not
	@$(PYTHON) -m tests.home.demo

.PHONY: screenshots
screenshots: setup ## take the pictures in docs/ anew, of the real pages of the virtual home in a real browser
	@$(PYTHON) -m tests.home.screenshots

.PHONY: arena
arena: setup ## let a device and its vendor smuggle a secret by every carrier; print what got across beside what was charged
	@$(PYTHON) -m tests.home.arena

.PHONY: test
test: setup lint ## everything: lint, types, unit, eBPF and virtual-home tests, then the image in virtual machines
	@reports=$$(mktemp -d /tmp/mudroom-reports-XXXXXX) && trap 'rm -rf "$$reports"' EXIT && code=0 && \
		$(MAKE) --no-print-directory -j1 -k test-unit test-home REPORTS="$$reports" || code=$$?; \
		$(PYTHON) -m tests.outcome "$$reports/test-unit.xml" "$$reports/test-home.xml" || code=$$?; exit $$code
	@$(MAKE) --no-print-directory test-vm

.PHONY: test-vm
test-vm: forge ## build the image (or reuse it where nothing changed), boot it, provision a stock Debian, try Vagrant
	@python3 -m image.inputs check image/out || $(MAKE) --no-print-directory image
	@$(FORGE) python3 -m pytest tests/vm tests/image tests/unit/units tests/unit/image tests/unit/playbooks

# What needs no home of its own runs beside each other: most of it waits. Whatever else there is below tests/, a new folder too, is
# test-home's, whose tests share the names of namespaces and run one after the other.
BESIDE := tests/fuzz tests/image tests/unit
REPORT = $(if $(REPORTS),--junitxml=$(REPORTS)/$@.xml)

.PHONY: test-unit
test-unit: setup ## the tests that need neither namespaces nor eBPF, four at a time
	@$(PYTHON) -m pytest $(BESIDE) -n 4 --dist loadfile $(REPORT)

.PHONY: test-home
test-home: setup ## the tests of eBPF and of the virtual home, one after the other
	@$(PYTHON) -m pytest tests --ignore=tests/vm $(BESIDE:%=--ignore=%) $(REPORT)

.PHONY: fuzz
fuzz: setup ## fuzz the parsers of foreign bytes, a minute each (ARGS="ijson --seconds 600" one of them for longer)
	@$(PYTHON) -m tests.fuzz $(ARGS)

.PHONY: bench
bench: setup ## measure steering and proxy against named peers, and the pages (ten minutes; docs/benchmarks.md)
	@$(PYTHON) -m tests.bench

.PHONY: bench-vm
bench-vm: forge ## measure the image: size, build, start, memory, forwarding (half an hour; docs/benchmarks.md)
	@$(call in_forge,python3 -m tests.bench.appliance)

.PHONY: lint
lint: forge ## style, types, imports, C format, shell, playbooks
	@$(IN) ruff check $(PY)
	@$(IN) ruff format --check $(PY)
	@$(IN) mypy
	@$(IN) lint-imports
	@$(IN) clang-format --dry-run --Werror $(C)
	@$(IN) shellcheck $(SH)
	@$(FORGE) yamllint -c playbooks/.yamllint --strict playbooks
	@$(FORGE) env ANSIBLE_CONFIG=playbooks/ansible.cfg ansible-lint --offline -q -c playbooks/.ansible-lint playbooks
	@$(FORGE) python3 playbooks/tools/role_specs.py --check

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
	@./image/userland --forge clean
	@./image/userland clean
