#!/usr/bin/env bash
# Builds cyclonus, an analyser of network policies, once for each version and prints its path as the last line of standard output. Progress goes to standard error.
set -euo pipefail

exec "$(dirname "${BASH_SOURCE[0]}")/gotool.sh" cyclonus v0.5.6 github.com/mattfenwick/cyclonus/cmd/cyclonus
