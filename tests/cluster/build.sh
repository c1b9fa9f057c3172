#!/usr/bin/env bash
# Builds the test bed's binary, and beside it what a node runs, once for each state of its sources and prints its path as the last line of standard output.
# Progress goes to standard error.
#
# The binary lies in a cache outside the work tree, so that it outlives a fresh clone and `cargo clean`. Wiping the cache is always safe.
set -euo pipefail

wanted_go=1.26
kubernetes=k8s.io/kubernetes
cd "$(dirname "${BASH_SOURCE[0]}")"

fail() {
  echo "aegis test bed: $*" >&2
  exit 1
}

# Reported before anything else is done.
check_tools() {
  local how="Go $wanted_go or newer is needed to build the Kubernetes of the test bed: get it from https://go.dev/dl/ and put its bin folder on PATH."
  command -v go >/dev/null || fail "'go' was not found. $how"
  # A newer toolchain that Go would fetch by itself counts, hence the question inside this module.
  local version
  version=$(go env GOVERSION 2>&1) || fail "'go env' failed: $version. $how"
  [[ "$(printf '%s\n' "go$wanted_go" "$version" | sort -V | head -n 1)" == "go$wanted_go" ]] || fail "'go' is $version. $how"
  command -v flock >/dev/null || fail "'flock' was not found: install util-linux."
  echo "$version"
}

# The version stamps: without them the server calls itself v0.0.0-master, and clients that ask for its version believe it.
link_flags() {
  local version=$1 flags="-s -w" package
  local parts
  IFS=. read -r -a parts <<<"${version#v}"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $package.gitVersion=$version -X $package.gitMajor=${parts[0]} -X $package.gitMinor=${parts[1]} -X $package.gitCommit= -X $package.gitTreeState=clean"
  done
  echo "$flags"
}

# What an interrupted build leaves: its compiler, the ticker that says that it is still at work, and a half-made folder.
compiler='' ticker='' temporary=''
clean_up() {
  [[ -z $compiler ]] || kill "$compiler" 2>/dev/null || true
  [[ -z $ticker ]] || kill "$ticker" 2>/dev/null || true
  [[ -z $temporary ]] || rm -rf "$temporary"
}
trap clean_up EXIT

# Runs a build in the background so that an interrupted one can be ended, and says now and then that it is still at work.
compile() {
  local what=$1 began=$SECONDS status=0
  shift
  echo "aegis test bed: building $what ..." >&2
  GOWORK=off CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath -buildvcs=false" go build "$@" >&2 &
  compiler=$!
  (
    # The pause is a child, so that ending the ticker ends it too: it would hold the caller's pipes open.
    trap 'kill "$pause"; exit' TERM
    while :; do
      sleep 20 &
      pause=$!
      wait "$pause"
      echo "aegis test bed: still building, $((SECONDS - began)) s"
    done
  ) >&2 &
  ticker=$!
  wait "$compiler" || status=$?
  kill "$ticker"
  compiler='' ticker=''
  [[ $status == 0 ]] || fail "the build failed (see above)"
  echo "aegis test bed: built in $((SECONDS - began)) s" >&2
}

# Kubernetes, cluster DNS (a module of its own: it wants another version of Kubernetes' client), and the images that a node cannot do without.
build_all() {
  local folder=$1 version
  version=$(go list -m -f '{{.Version}}' "$kubernetes")
  compile "Kubernetes $version from its Go modules (about 5 minutes the first time on 2 cores)" -ldflags "$(link_flags "$version")" -o "$folder/aegis-testbed" .
  compile "cluster DNS (a minute and a half the first time)" -C dns -ldflags "-s -w" -o "$folder/coredns" .
  compile "the pause image" -ldflags "-s -w" -o "$folder/pause" ./pause
  ln -s aegis-testbed "$folder/kubectl"
  "$folder/aegis-testbed" pack aegis.test/coredns:1 "$folder/coredns.tar" "$folder/coredns"
  "$folder/aegis-testbed" pack aegis.test/pause:1 "$folder/pause.tar" "$folder/pause"
}

go_version=$(check_tools)
cache=${AEGIS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aegis}/testbed
state=$({ echo "$go_version"; sha256sum build.sh go.mod go.sum ./*.go ./*.yaml pause/*.go dns/go.mod dns/go.sum dns/*.go; } | sha256sum | cut -c 1-16)
folder=$cache/$state
binary=$folder/aegis-testbed

if [[ ! -x $binary ]]; then
  mkdir -p "$cache"
  # One builds, the others wait for it; the kernel drops the lock with the process.
  exec 9>"$cache/$state.lock"
  flock --nonblock 9 || { echo "aegis test bed: waiting for another build of it ..." >&2; flock 9; }
  if [[ ! -x $binary ]]; then
    temporary=$(mktemp -d "$cache/.building-XXXXXX")
    build_all "$temporary" 9>&-
    chmod 755 "$temporary"
    # Moved whole, so that a folder of this name always holds a finished build.
    rm -rf "$folder"
    mv -T "$temporary" "$folder"
  fi
fi
# What no checkout has used for a month goes; each is 250 MB.
touch "$folder"
find "$cache" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} +
echo "$binary"
