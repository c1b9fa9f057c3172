#!/bin/sh
# Prepares the ERP once (Python environment and base database, cached outside the source tree)
# and prints the folder that holds them as the last line of its output. Progress goes to stderr.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${AEGIS_PYTHON:-python3}

missing() {
    echo "erp: $1" >&2
    echo "erp: install it with one of: apt-get install python3 python3-venv | dnf install python3 | brew install python3" >&2
    exit 69 # EX_UNAVAILABLE
}

command -v "$python" >/dev/null 2>&1 || missing "python3 (3.11 or newer) is needed and was not found"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || missing "Python 3.11 or newer is needed, $("$python" --version 2>&1) was found"
"$python" -c 'import venv, ensurepip, sqlite3' 2>/dev/null \
    || missing "the Python modules venv, ensurepip and sqlite3 are needed, $("$python" --version 2>&1) lacks one of them"
exec "$python" "$here/prepare.py"
