#!/usr/bin/env bash
# Builds what run.sh needs and what takes minutes: the test cluster's programs, both images, and Go tools. It starts nothing, and run.sh
# builds only what is missing. `.ci/run` runs it beside the checks and tests, which wait often enough.
#
# It needs Go in the PATH or in .venv/bin, and reads run.sh's variables. With a KUBECONFIG there is nothing to build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cluster=${CLEARML_CLEANUP_CLUSTER:-../shared/cluster}/cluster.sh
if [ -n "${KUBECONFIG:-}" ] || [ ! -x "$cluster" ]; then
  exit 0
fi
command -v go >/dev/null || PATH=$PWD/.venv/bin:$PATH
"$cluster" build
IMAGE=${CLEARML_CLEANUP_E2E_IMAGE:-} tests/image/build.sh >/dev/null
make --no-print-directory tools .venv/kube-state-metrics
