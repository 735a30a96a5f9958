.PHONY: demo test nightly lint bench docs install browser postgresql zsh cluster slurm ray nncodec

PYTHON ?= python3
BIN := .venv/bin
JOBS ?= 2
ROOT := $(shell test "$$(id -u)" = 0 || echo sudo -n)
DEBIAN := timeout 600 $(ROOT) env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends --yes

demo: .venv/installed
	$(BIN)/convarium run sweep=demo
	$(BIN)/convarium compare sweep=demo

test: .venv/installed browser postgresql zsh cluster slurm ray
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

nightly: .venv/installed  # the tests that are too heavy for every run
	$(BIN)/python -m pytest -n $(JOBS) -m nightly

lint: .venv/installed
	$(BIN)/ruff check --fix . && $(BIN)/ruff format . && $(BIN)/mypy

bench: .venv/installed
	for file in benchmarks/*.py; do $(BIN)/python $$file || exit 1; done

docs: .venv/installed  # the site in outputs/site, which opens from the disk
	$(BIN)/mkdocs build --strict

install: .venv/installed

# What the report's tests open it with; where it can't be installed they are skipped.
browser:
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || $(DEBIAN) chromium chromium-driver >/dev/null 2>&1 \
	|| { timeout 120 $(ROOT) apt-get -qq update && $(DEBIAN) chromium chromium-driver; } >/dev/null 2>&1 \
	|| echo "no chromium could be installed: the tests that open a report in a browser are skipped"

# What the tests of tracking start a private cluster of; where it can't be installed they are skipped.
postgresql:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || $(DEBIAN) postgresql >/dev/null 2>&1 \
	|| { timeout 120 $(ROOT) apt-get -qq update && $(DEBIAN) postgresql; } >/dev/null 2>&1 \
	|| echo "no PostgreSQL could be installed: the tests that write to one are skipped"

# What the tests of completion type into; where it can't be installed they are skipped.
zsh:
	@command -v zsh >/dev/null || $(DEBIAN) zsh >/dev/null 2>&1 \
	|| { timeout 120 $(ROOT) apt-get -qq update && $(DEBIAN) zsh; } >/dev/null 2>&1 \
	|| echo "no zsh could be installed: the tests that complete in it are skipped"

# What the tests of several hosts make network disks and wrong clocks of; where it can't be installed they are skipped.
cluster:
	@command -v bindfs >/dev/null && command -v faketime >/dev/null && command -v fuse2fs >/dev/null || $(DEBIAN) bindfs faketime fuse2fs >/dev/null 2>&1 \
	|| { timeout 120 $(ROOT) apt-get -qq update && $(DEBIAN) bindfs faketime fuse2fs; } >/dev/null 2>&1 \
	|| echo "no bindfs, faketime and fuse2fs could be installed: the tests of several hosts are skipped"

# What the tests of Slurm start a private one of; where it can't be installed they are skipped.
SLURM_PACKAGES := slurmctld slurmd slurm-client munge
slurm:
	@command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v sbatch >/dev/null && command -v munged >/dev/null || $(DEBIAN) $(SLURM_PACKAGES) >/dev/null 2>&1 \
	|| { timeout 120 $(ROOT) apt-get -qq update && $(DEBIAN) $(SLURM_PACKAGES); } >/dev/null 2>&1 \
	|| echo "no Slurm could be installed: the tests of workers that are its jobs are skipped"

# What the tests of Ray run on; where it can't be installed they are skipped. The launcher asks for packages that only its
# `ray_aws` uses, and for older ones than ours.
ray: .venv/installed
	@$(BIN)/python -m pip show --quiet ray hydra-ray-launcher 2>/dev/null \
	|| { $(BIN)/python -m pip install --quiet --constraint constraints.txt ray \
	&& $(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps hydra-ray-launcher; } \
	|| echo "no Ray could be installed: the tests of workers that it starts are skipped"

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Convarium needs Python 3.11 or newer: apt-get install python3"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "python3 -m venv is missing: apt-get install python3-venv"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

nncodec: .venv-nncodec/installed  # the ISO coder, a control: an environment of its own, since it pins numpy below 2

.venv-nncodec/installed:
	@command -v g++ >/dev/null || { echo "nncodec is compiled: apt-get install g++ python3-dev"; exit 2; }
	test -x .venv-nncodec/bin/python || $(PYTHON) -m venv .venv-nncodec
	.venv-nncodec/bin/python -m pip install --quiet torch==2.14.1 torchvision==0.29.1
	.venv-nncodec/bin/python -m pip install --quiet nncodec==2.1.3
	touch $@
