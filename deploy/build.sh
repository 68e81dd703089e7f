#!/usr/bin/env bash
# Configures and builds one CMake preset: deploy/build.sh PRESET [TARGET...]. Needs deploy/setup.sh.
set -euo pipefail
readonly root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
readonly preset=${1:?usage: deploy/build.sh PRESET [TARGET...]}
shift

# Compiled files are shared between clones, wherever those lie.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1
export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
if command -v mold >/dev/null; then export LDFLAGS="${LDFLAGS:-} -fuse-ld=mold"; fi

cd "$root"
cmake --preset "$preset"
cmake --build "build/$preset" --parallel "$(nproc)" ${1+--target "$@"}
