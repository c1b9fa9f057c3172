#!/usr/bin/env bash
# Builds Helm once for each version and prints its path as the last line of standard output. Progress goes to standard error.
set -euo pipefail

version=v4.3.1
# Without the stamp it calls itself v4.3. What it takes for the version of Kubernetes comes from the module list in the binary.
exec "$(dirname "${BASH_SOURCE[0]}")/gotool.sh" helm "$version" helm.sh/helm/v4/cmd/helm "-X helm.sh/helm/v4/internal/version.version=$version"
