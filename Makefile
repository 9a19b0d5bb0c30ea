# Penstock: `make demo` and `make test` do everything from a fresh clone on Debian 12 with git, gcc and Python >= 3.10.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PY := .venv/bin/python
JOBS ?= $(shell nproc)
# Debug information names the build folder; without these ccache would never share objects between folders.
export CCACHE_NOHASHDIR := 1
export CCACHE_BASEDIR := $(CURDIR)
# The Python with h5py that tests write fixtures with.
export PENSTOCK_PYTHON ?= $(CURDIR)/$(PY)
export CTEST_PARALLEL_LEVEL ?= $(JOBS)

# make demo DATA="a.h5ad b.h5ad" LABEL=cell_type
DATA ?=
LABEL ?=
# make demo FORMAT=parquet: the Tahoe-shaped set as Parquet lists
FORMAT ?=
ARGS ?=
# make fuzz FUZZ_SECONDS=600 TARGETS="hdf5 anndata": seconds a target, which targets (all)
FUZZ_SECONDS ?= 180
TARGETS ?=

.PHONY: help setup setup-test build package demo test check bench peers test-peers learning leak-demo regress docs lint format clean \
        build-release build-asan build-tsan test-cpp test-python test-asan test-tsan test-fuzz fuzz distclean

help: ## This text
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## System packages (apt) and the .venv
	@tools/setup.sh

build: package build-release ## The core, its tests and benchmarks (build/release) and the Python package (.venv)

setup-test: setup # what only tests need: clang, a browser, Python frameworks
	@tools/setup.sh test

demo: package ## Train on a Tahoe-shaped set (FORMAT=parquet), or on yours: DATA="a.h5ad b.h5ad" LABEL=cell_type
	@$(PY) examples/demo.py $(if $(FORMAT),--format $(FORMAT)) $(if $(DATA),--data $(DATA)) $(if $(LABEL),--label '$(LABEL)') $(ARGS)

test: setup-test ## Everything: lint, C++ and Python tests, sanitizers (about an hour on 2 cores, if nothing is cached)
	@PENSTOCK_FRAMEWORKS=required tools/run_steps.sh lint docs test-cpp test-python test-peers test-asan test-tsan test-fuzz

check: setup ## The fast part: lint, C++ and Python tests that are not slow (< 5 minutes)
	@FAST=1 tools/run_steps.sh lint test-cpp test-python

bench: package build-release ## Measure what the README claims; ARGS="--only csr4096,dense64" or "--quick"
	@$(PY) benchmarks/bench.py $(ARGS)

peers: package build-release ## Measure Penstock beside other loaders, each in its own environment; ARGS=--quick, --sweep, --resume
	@$(PY) benchmarks/peers/peers.py $(ARGS)

learning: package ## Linear probes by order of the rows: does shuffling in blocks cost learning? (10 minutes)
	@$(PY) benchmarks/learning/run.py $(ARGS)

regress: package build-release ## Is the working tree slower than a commit? Fails only when sure; ARGS="--base HEAD~3"
	@$(PY) benchmarks/regress/run.py $(ARGS)

leak-demo: package ## Resident memory over reads of Parquet: pyarrow 21, newest pyarrow, Penstock (a few minutes)
	@$(PY) benchmarks/leak/run.py $(ARGS)

docs: package ## The pages of docs/ as HTML, in build/docs; warnings are errors
	@$(PY) -m sphinx -b html -W --keep-going -n -q docs build/docs
	@echo 'the pages: build/docs/index.html'

lint: setup ## Formatting, types, layers: changes nothing
	@$(CPP_FILES) | xargs -0 -r clang-format --dry-run -Werror
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) tools/check_layers.py

format: setup ## Format C++ and Python in place
	@$(CPP_FILES) | xargs -0 -r clang-format -i
	@$(PY) -m ruff check -q --fix . || true
	@$(PY) -m ruff format .

CPP_FILES := find include src python tests benchmarks fuzz examples tools -name '*.h' -print0 -o -name '*.cc' -print0

# --- builds ---

# The sanitizers come with clang, which compiles instrumented code in two thirds of the time GCC takes. The fuzz targets
# are in the asan build: they want the same instrumentation, and one build of everything is cheaper than two.
build-asan build-tsan: setup-test
build-release build-asan build-tsan: build-%: setup
	@mkdir -p build; cmake --preset $* >build/$*.log 2>&1 || { cat build/$*.log; exit 1; }
	@cmake --build --preset $* -j $(JOBS)

# The flags are those of build/release, so that ccache compiles each file of the core once for both.
# The wheel goes into the .venv again when something it is made of changed: sources, or the set of their names.
PACKAGE_FILES := $(shell find include src python tools/cmake CMakeLists.txt pyproject.toml -type f \
	-not -name '*_test.cc' -not -path '*/__pycache__/*' 2>/dev/null | LC_ALL=C sort)
PACKAGE_NAMES := $(firstword $(shell echo '$(PACKAGE_FILES)' | sha256sum))
PACKAGE_STAMP := .venv/package-$(PACKAGE_NAMES)

package: setup
	@$(MAKE) --no-print-directory $(PACKAGE_STAMP)

$(PACKAGE_STAMP): $(PACKAGE_FILES) .venv/.setup-key
	@echo '[build] penstock, into .venv'
	@CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) CXX=$${CXX:-c++} SKBUILD_CMAKE_DEFINE=PENSTOCK_WERROR=ON $(PY) -m pip install --disable-pip-version-check --no-input -q \
	  --no-build-isolation --no-deps --force-reinstall .
	@rm -f .venv/package-*; touch $@

# --- tests ---

# FAST=1 leaves out what is labelled slow. Labels: unit conformance corrupt fault determinism slow perf.
CTEST_EXCLUDE := ^(perf$(if $(FAST),|slow))$$
CTEST_SANITIZED := ^(perf|slow)$$

test-cpp: build-release
	@ctest --test-dir build/release --output-on-failure --no-tests=error -LE '$(CTEST_EXCLUDE)'

# Two files of tests at a time: most of them wait for processes that they start. What fails is run again alone, and the
# last lines name it whatever comes of that: a test that failed once is a fault that somebody has to look into.
test-python: package build-release
	@$(PY) -m pytest tests/python -n 2 --dist loadfile $(if $(FAST),-m 'not slow') || { outcome=$$?; \
	  (( outcome == 1 )) || exit $$outcome; \
	  printf '\n===== what failed, again, one at a time =====\n'; \
	  failed=$$($(PY) -m pytest tests/python -q --last-failed --collect-only | grep ::); \
	  $(PY) -m pytest tests/python --last-failed; \
	  printf 'FAILED ONCE, passed alone; why is to be found out:\n%s\n' "$$failed"; }

test-peers: package build-release # the comparison with other loaders still runs; tiny data, judges nothing
	@$(PY) benchmarks/peers/peers.py --quick

test-asan: build-asan ## C++ tests under the address and undefined-behaviour sanitizers
	@ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 \
	  ctest --test-dir build/asan --output-on-failure --no-tests=error -LE '$(CTEST_SANITIZED)'

test-tsan: build-tsan ## C++ tests under the thread sanitizer
	@TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
	  ctest --test-dir build/tsan --output-on-failure --no-tests=error -LE '$(CTEST_SANITIZED)'

test-fuzz: build-asan ## Each fuzz target for some seconds, the same inputs every time
	@$(PY) fuzz/run.py --fixed --jobs $(JOBS)

fuzz: build-asan ## Explore with each fuzz target; FUZZ_SECONDS=180 a target, TARGETS="hdf5 anndata"
	@$(PY) fuzz/run.py --seconds $(FUZZ_SECONDS) --jobs $(JOBS) $(TARGETS)

clean: ## Remove what was built; keeps the .venv and data/ (make distclean removes these, too)
	@rm -rf build demo-output bench-output .ruff_cache .mypy_cache .pytest_cache .hypothesis lightning_logs
	@rm -f .venv/package-*
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

distclean: clean
	@rm -rf .venv data
