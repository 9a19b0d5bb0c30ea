#!/usr/bin/env bash
# Everything a clone needs before it can build: system packages (apt), a .venv with the pinned Python packages.
# Quick when everything is there. `make setup` and, through it, every other target run this; `setup.sh test` adds what
# only tests need: system packages (a fuzzing compiler, a browser) and Python frameworks.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PACKAGES=(gcc g++ make cmake ninja-build ccache pkg-config clang-format python3-dev python3-venv
  libdeflate-dev zlib1g-dev liblzf-dev libsnappy-dev libzstd-dev liblz4-dev libbrotli-dev libhwy-dev libfmt-dev libcli11-dev nlohmann-json3-dev libroaring-dev
  libgtest-dev libgmock-dev libbenchmark-dev)
TEST_PACKAGES=(clang libclang-rt-dev chromium)
REQUIREMENTS=tools/requirements-dev.txt
TEST_REQUIREMENTS=tools/requirements-frameworks.txt
VENV=.venv
[[ ${1:-} == test ]] && PACKAGES+=("${TEST_PACKAGES[@]}")

say() { printf '[setup] %s\n' "$*" >&2; }
die() { printf '[setup] error: %s\n' "$*" >&2; exit 1; }

system_packages() {
  if [[ ${PENSTOCK_SYSTEM_PACKAGES:-} == skip ]]; then return; fi
  if ! command -v apt-get dpkg-query >/dev/null; then
    die "this system has no apt. Install what these Debian packages hold, then run again with
  PENSTOCK_SYSTEM_PACKAGES=skip: ${PACKAGES[*]}"
  fi
  local installed missing=() package
  # One call; packages that dpkg has never heard of make it fail, which is what we want to know. The architecture
  # suffix goes away in ${binary:Package} only without multi-arch, hence Package.
  installed=" $(dpkg-query -W -f '${db:Status-Status}=${Package} ' "${PACKAGES[@]}" 2>/dev/null || true)"
  for package in "${PACKAGES[@]}"; do
    [[ $installed == *" installed=$package "* ]] || missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then return; fi

  local as_root=()
  if ((EUID != 0)); then
    # Without a terminal sudo could not ask for a password: it would hang or fail without saying what for.
    if command -v sudo >/dev/null && { [[ -t 0 ]] || sudo -n true 2>/dev/null; }; then
      as_root=(sudo)
    else
      die "these system packages are missing and need root to install: ${missing[*]}
  As root: apt-get install ${missing[*]}"
    fi
  fi
  say "installing system packages: ${missing[*]}"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0)
  "${apt[@]}" update >/dev/null || say "apt-get update failed; trying with the lists there are"
  "${apt[@]}" install --no-install-recommends "${missing[@]}" >/dev/null ||
    die "apt could not install: ${missing[*]}"
}

# The first Python >= 3.10 that can make a virtual environment and has its headers.
find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3 python3.1{4,3,2,1,0}; do
    [[ -n $candidate ]] && command -v "$candidate" >/dev/null || continue
    if "$candidate" - 2>/dev/null <<'PYTHON'; then
import ensurepip, os, sys, sysconfig, venv
ok = sys.version_info >= (3, 10) and os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
sys.exit(not ok)
PYTHON
      command -v "$candidate"
      return
    fi
  done
  die "no Python >= 3.10 with venv and headers found (Debian: python3, python3-venv, python3-dev; or set PYTHON=...)"
}

python_packages() {
  local key python
  key=$(cat tools/setup.sh "$REQUIREMENTS" | sha256sum)
  # The interpreter is run, too: a .venv that was moved or whose Python was upgraded away is made again.
  if [[ $(cat $VENV/.setup-key 2>/dev/null) == "$key" ]] && $VENV/bin/python -c '' 2>/dev/null; then return; fi
  python=$(find_python)
  say "installing Python packages into $VENV ($("$python" --version))"
  $VENV/bin/python -c '' 2>/dev/null || "$python" -m venv --clear $VENV
  $VENV/bin/python -m pip install --disable-pip-version-check --no-input -q -r "$REQUIREMENTS" ||
    die "pip could not install $REQUIREMENTS (see above). It needs a package index: check the network or pip's settings"
  rm -f $VENV/.setup-test-key
  printf '%s\n' "$key" >$VENV/.setup-key
}

# Constrained to the versions above.
test_packages() {
  local key
  key=$(cat $VENV/.setup-key "$TEST_REQUIREMENTS" | sha256sum)
  if [[ $(cat $VENV/.setup-test-key 2>/dev/null) == "$key" ]]; then return; fi
  say "installing the frameworks that tests use into $VENV"
  $VENV/bin/python -m pip install --disable-pip-version-check --no-input -q -r "$TEST_REQUIREMENTS" -c "$REQUIREMENTS" ||
    die "pip could not install $TEST_REQUIREMENTS (see above)"
  printf '%s\n' "$key" >$VENV/.setup-test-key
}

# Two makes at once must not install at once: the lock is on the project's folder.
exec 9<.
flock 9
system_packages
python_packages
if [[ ${1:-} == test ]]; then test_packages; fi
