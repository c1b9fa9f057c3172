#!/usr/bin/env bash
# Builds Helm once for each version and prints its path as the last line of standard output. Progress goes to standard error.
#
# Built from its Go module: nothing but the module proxy is asked, and its checksum database says that it is the source that everybody gets. The binary lies
# in the same cache as the test bed's; wiping it is always safe.
set -euo pipefail

version=v4.3.1
cache=${AEGIS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aegis}/tools

fail() {
  echo "aegis helm: $*" >&2
  exit 1
}

command -v go >/dev/null || fail "'go' was not found: Helm $version is built from source; get Go from https://go.dev/dl/"
command -v flock >/dev/null || fail "'flock' was not found: install util-linux."

# What decides about the binary: this script (flags, version) and the compiler.
state=$({ go env GOVERSION GOOS GOARCH; cat "${BASH_SOURCE[0]}"; } | sha256sum | cut -c 1-16)
folder=$cache/helm-$version-$state

if [[ ! -x $folder/helm ]]; then
  mkdir -p "$cache"
  # One builds, the others wait for it; the kernel drops the lock with the process.
  exec 9>"$cache/helm-$version-$state.lock"
  flock --nonblock 9 || { echo "aegis helm: waiting for another build of it ..." >&2; flock 9; }
  if [[ ! -x $folder/helm ]]; then
    temporary=$(mktemp -d "$cache/.helm-XXXXXX")
    trap 'rm -rf "$temporary"' EXIT
    began=$SECONDS
    echo "aegis helm: building Helm $version from its Go module (about 2 minutes the first time on 2 cores) ..." >&2
    # Without the stamp it calls itself v4.3. What it takes for the version of Kubernetes comes from the module list in the binary.
    GOWORK=off GOFLAGS= CGO_ENABLED=0 GOBIN=$temporary nice \
      go install -trimpath -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$version" "helm.sh/helm/v4/cmd/helm@$version" >&2 9>&- ||
      fail "the build failed (see above)"
    chmod 755 "$temporary"
    # Moved whole, so that a folder of this name always holds a finished build.
    rm -rf "$folder"
    mv -T "$temporary" "$folder"
    echo "aegis helm: built in $((SECONDS - began)) s" >&2
  fi
fi
# What no checkout has used for a month goes.
touch "$folder"
find "$cache" -mindepth 1 -maxdepth 1 -name '*helm-v*' -mtime +30 -exec rm -rf {} +
echo "$folder/helm"
