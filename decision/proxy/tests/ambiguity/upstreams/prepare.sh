#!/bin/sh
# Checks for the servers that come from Debian, makes the Python environment of those that come from PyPI (once, cached
# outside the source tree), and prints its folder as the last line of its output. Progress goes to stderr.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${AEGIS_PYTHON:-python3}
PATH=$PATH:/usr/sbin:/sbin

missing=
for command in nginx apache2 haproxy setpriv flock; do
    command -v "$command" >/dev/null || missing="$missing $command"
done
if [ -n "$missing" ]; then
    echo "upstreams: missing:$missing" >&2
    echo "upstreams: Debian: apt-get install nginx-light apache2-bin haproxy util-linux" >&2
    exit 69 # EX_UNAVAILABLE
fi
"$python" -c 'import venv, ensurepip' 2>/dev/null || {
    echo "upstreams: $python with the modules venv and ensurepip is needed; Debian: apt-get install python3-venv" >&2
    exit 69
}

root=${AEGIS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aegis}/upstreams
key=$({ cat "$here/requirements.txt"; "$python" -VV; uname -m; } | sha256sum | cut -c1-20)
target=$root/$key
mkdir -p "$root"
exec 9>"$target.lock"
flock 9
if [ ! -e "$target/complete" ]; then
    echo "upstreams: installing servers into a Python environment (usually 10 to 30 s) ..." >&2
    rm -rf "$target"
    "$python" -m venv "$target" >&2
    "$target/bin/python" -m pip install --disable-pip-version-check --no-input --no-deps --quiet \
        -r "$here/requirements.txt" >&2
    touch "$target/complete"
fi
echo "$target"
