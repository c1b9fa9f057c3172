#!/usr/bin/env bash
# gotool.sh PROGRAM VERSION PACKAGE [LINKER FLAGS]: builds a Go program once for each version and prints its path as the last line of standard output. Progress
# goes to standard error.
#
# Built from its Go module: nothing but the module proxy is asked, and its checksum database says that it is the source that everybody gets. The binary lies
# in the same cache as the test bed's; wiping it is always safe.
set -euo pipefail

program=$1 version=$2 package=$3 link=${4:-}
cache=${AEGIS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aegis}/tools

fail() {
  echo "aegis $program: $*" >&2
  exit 1
}

command -v go >/dev/null || fail "'go' was not found: $program $version is built from source; get Go from https://go.dev/dl/"
command -v flock >/dev/null || fail "'flock' was not found: install util-linux."

# What decides about the binary: this script, what it is asked for, and the compiler.
state=$({ go env GOVERSION GOOS GOARCH; echo "$@"; cat "${BASH_SOURCE[0]}"; } | sha256sum | cut -c 1-16)
name=$program-$version-$state
folder=$cache/$name

if [[ ! -x $folder/$program ]]; then
  mkdir -p "$cache"
  # One builds, the others wait for it; the kernel drops the lock with the process.
  exec 9>"$cache/$name.lock"
  flock --nonblock 9 || { echo "aegis $program: waiting for another build of it ..." >&2; flock 9; }
  if [[ ! -x $folder/$program ]]; then
    temporary=$(mktemp -d "$cache/.$program-XXXXXX")
    trap 'rm -rf "$temporary"' EXIT
    began=$SECONDS
    echo "aegis $program: building $program $version from its Go module (a minute or two the first time on 2 cores) ..." >&2
    GOWORK=off GOFLAGS= CGO_ENABLED=0 GOBIN=$temporary nice \
      go install -trimpath -ldflags "-s -w $link" "$package@$version" >&2 9>&- ||
      fail "the build failed (see above)"
    chmod 755 "$temporary"
    # Moved whole, so that a folder of this name always holds a finished build.
    rm -rf "$folder"
    mv -T "$temporary" "$folder"
    echo "aegis $program: built in $((SECONDS - began)) s" >&2
  fi
fi
# What no checkout has used for a month goes.
touch "$folder"
find "$cache" -mindepth 1 -maxdepth 1 -name "*$program-v*" -mtime +30 -exec rm -rf {} +
echo "$folder/$program"
