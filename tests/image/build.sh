#!/usr/bin/env bash
# Builds both images without a container registry, and prints the paths of their
# two archives: the job's, then the sandbox's. Arguments go to buildah.
#
# CLEARML_CLEANUP_CLUSTER  the folder of the cluster.sh that builds them, on a base of its own
# IMAGE                    their name, without the tag; default: the one that the chart names
# PIP_CONFIG_FILE          pip's own variable: the build's package index, where it is another
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cluster=${CLEARML_CLEANUP_CLUSTER:-../shared/cluster}/cluster.sh
repository=$(sed -n 's/^Repository = "\(.*\)"$/\1/p' pyproject.toml)
image=${IMAGE:-ghcr.io/${repository#https://github.com/}}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
arguments=(--build-arg "VERSION=$version" --build-arg "SOURCE=$repository" --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)")
if [ -f "${PIP_CONFIG_FILE:-}" ]; then
  arguments+=(--secret "id=pip,src=$PIP_CONFIG_FILE")
fi

"$cluster" build-image "$image:$version" . --target job "${arguments[@]}" "$@"
"$cluster" build-image "$image:$version-sandbox" . --target sandbox "${arguments[@]}" "$@"
