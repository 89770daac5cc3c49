#!/usr/bin/env bash
# Builds the tests of the cpu backend for 64-bit ARM and runs them under qemu-user: the NEON kernels against their slow
# twins. Needs the packages g++-aarch64-linux-gnu, qemu-user and googletest. Arguments go to the test program.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=build/arm
cmake -S tests/arm -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE=-O2 -DCMAKE_SYSTEM_NAME=Linux \
  -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
  -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)" >/dev/null
cmake --build "$build" --target backend_test
exec qemu-aarch64 -cpu max "$build/backend_test" "$@"
