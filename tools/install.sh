#!/usr/bin/env bash
# Builds .venv from requirements.lock and puts headrace and headraced into it. PYTHON names the interpreter to build on.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

fail() {
    printf 'make install: %s\n' "$*" >&2
    exit 1
}

command -v "$python" >/dev/null || fail "$python is not there. Install Python 3.11 or later, or name one: make install PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old. Headrace needs Python 3.11 or later: make install PYTHON=/path/to/python3"

# Debian keeps venv and ensurepip in a package of their own
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        fail "$python lacks the venv module. On Debian and Ubuntu: sudo apt-get install python3-venv"
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
fi

[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip
# only wheels: building a source distribution would fetch build requirements that no hash pins
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes -r requirements.lock
# the build backend is in the lock, so nothing is fetched here
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
# here, and not by the first who runs it: others may not write beside it, and would compile it anew at every start
.venv/bin/python -m compileall -q daemon queue
