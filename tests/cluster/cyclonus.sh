#!/usr/bin/env bash
# Builds cyclonus, an analyser of network policies, once for each version and prints its path as the last line of standard output. Progress goes to standard error.
#
# Built from its Go module: nothing but the module proxy is asked, and its checksum database says that it is the source that everybody gets. The binary lies
# in the same cache as the test bed's; wiping it is always safe.
set -euo pipefail

version=v0.5.6
cache=${AEGIS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aegis}/tools


fail() {
  echo "aegis cyclonus: $*" >&2
  exit 1
}

command -v go >/dev/null || fail "'go' was not found: cyclonus $version is built from source; get Go from https://go.dev/dl/"
command -v flock >/dev/null || fail "'flock' was not found: install util-linux."

# What decides about the binary: this script (flags, version) and the compiler.
state=$({ go env GOVERSION GOOS GOARCH; cat "${BASH_SOURCE[0]}"; } | sha256sum | cut -c 1-16)
folder=$cache/cyclonus-$version-$state

if [[ ! -x $folder/cyclonus ]]; then
  mkdir -p "$cache"
  # One builds, the others wait for it; the kernel drops the lock with the process.
  exec 9>"$cache/cyclonus-$version-$state.lock"
  flock --nonblock 9 || { echo "aegis cyclonus: waiting for another build of it ..." >&2; flock 9; }
  if [[ ! -x $folder/cyclonus ]]; then
    temporary=$(mktemp -d "$cache/.cyclonus-XXXXXX")
    trap 'rm -rf "$temporary"' EXIT
    began=$SECONDS
    echo "aegis cyclonus: building cyclonus $version from its Go module (about a minute the first time on 2 cores) ..." >&2
    GOWORK=off GOFLAGS= CGO_ENABLED=0 GOBIN=$temporary nice \
      go install -trimpath -ldflags "-s -w" "github.com/mattfenwick/cyclonus/cmd/cyclonus@$version" >&2 9>&- ||
      fail "the build failed (see above)"
    chmod 755 "$temporary"
    # Moved whole, so that a folder of this name always holds a finished build.
    rm -rf "$folder"
    mv -T "$temporary" "$folder"
    echo "aegis cyclonus: built in $((SECONDS - began)) s" >&2
  fi
fi
echo "$folder/cyclonus"
