#!/usr/bin/env bash
# The acceptance test of the bed's enforcer of network policies: upstream's own tests of NetworkPolicy, from the Kubernetes that the bed is built of, on a node.
#
# Takes root, a quarter of an hour, and about five minutes more the first time. Not part of the test run. What is passed to this script goes to the tests, e.g.
# --ginkgo.focus=... The report stays in the cache; its path is the last line of standard output.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
cache=${AEGIS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aegis}/acceptance
bed=$(./build.sh)
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
built=$cache/$version
scratch=$(mktemp -d)

line='' server=''
clean_up() {
  # The end of its standard input is the end of the bed, which is waited for.
  [[ -z $line ]] || exec {line}>&-
  [[ -z $server ]] || wait "$server" || true
  rm -rf "$scratch"
}
trap clean_up EXIT

if [[ ! -x $built/agnhost ]]; then
  mkdir -p "$built"
  # In a copy of the module: the tests need more modules than the bed, which its own files are not to name.
  cp go.mod go.sum "$scratch"
  export GOWORK=off CGO_ENABLED=0
  echo "aegis acceptance: building the tests of Kubernetes $version ..." >&2
  go -C "$scratch" test -c -mod=mod -trimpath -o "$built/e2e.test" k8s.io/kubernetes/test/e2e >&2
  go -C "$scratch" build -mod=mod -trimpath -o "$built/agnhost" k8s.io/kubernetes/test/images/agnhost >&2
fi
# The image under the very name that the tests ask for; others of that name are for tests of upgrades and of registries.
image=$("$built/e2e.test" --list-images 2>/dev/null | grep '/e2e-test-images/agnhost:' | sort -V | tail -n 1)
"$bed" pack --user 0 "$image" "$scratch/agnhost.tar" "$built/agnhost"

mkfifo "$scratch/line"
"$bed" up --node --within 5m <"$scratch/line" >"$scratch/ready" &
server=$!
exec {line}>"$scratch/line"
until [[ -s $scratch/ready ]]; do
  kill -0 "$server" 2>/dev/null || { server='' line=''; echo "aegis acceptance: the node did not start" >&2; exit 1; }
  sleep 0.2
done
folder=$(sed -n 's/.*"dir":"\([^"]*\)".*/\1/p' "$scratch/ready")
"$bed" load --dir "$folder" "$scratch/agnhost.tar" >&2

report=$built/report-$(date -u +%Y%m%dT%H%M%SZ)
status=0
# SCTP is in few kernels. The legacy tests ask the same again in another way.
"$built/e2e.test" --kubeconfig "$folder/kubeconfig/admin.yaml" --provider=skeleton --num-nodes=1 --disable-log-dump --ginkgo.no-color \
  --ginkgo.focus='Netpol' --ginkgo.skip='SCTPConnectivity|NetworkPolicyLegacy' --ginkgo.timeout=2h "$@" >"$report.log" 2>&1 || status=$?
grep -E '^(Ran [0-9]+ of|(SUCCESS|FAIL)!)' "$report.log" || true
grep -E '^ *\[FAIL\]' "$report.log" || true
echo "$report.log"
exit "$status"
