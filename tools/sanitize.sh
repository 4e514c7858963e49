#!/usr/bin/env bash
# Build with the address and undefined-behaviour sanitizers, and run the parity tests and the fuzzer under them; or with
# the thread sanitizer, and run the tests of threads and stress_threads.py:
#   tools/sanitize.sh [SECONDS]
#   SANITIZER=thread tools/sanitize.sh [SECONDS]
# SECONDS (by default 60) are those of the fuzzer on each instruction set that the CPU has, or of the stress. PYTHON and CXX name other
# programs: g++ takes a minute and more for a file of kernels, clang++ ten seconds, so that one is taken where it is found.
# The Python environment needs what the tests and an editable installation need. Nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
python=${PYTHON:-python3}
compiler=${CXX:-$(command -v clang++ || command -v g++)}
sanitizer=${SANITIZER:-address,undefined}
build=build/sanitize-$sanitizer
site=$PWD/$build/site

# The interpreter is not built with the sanitizers, so their libraries have to be loaded before it, as shared ones.
link='' runtimes='libasan.so libubsan.so' clang=asan isas=()
if [ "$sanitizer" = thread ]; then
  # OpenMP's library is not built with it either, so its barriers would go unseen. Threads do the same for every instruction set.
  runtimes=libtsan.so clang=tsan isas=(-DFASTNN_ISAS=generic -DFASTNN_OPENMP=OFF)
fi
if "$compiler" --version | grep -q clang; then
  link=-shared-libsan runtimes=libclang_rt.$clang-$(uname -m).so
fi

cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DFASTNN_OPTIMISATION=-O1 -DCMAKE_CXX_COMPILER="$compiler" \
  -DPython_EXECUTABLE="$(command -v "$python")" \
  -DCMAKE_CXX_FLAGS="-fsanitize=$sanitizer -fno-omit-frame-pointer -g1" \
  -DCMAKE_MODULE_LINKER_FLAGS="$link" "${isas[@]}"
cmake --build "$build"
rm -rf "$site"
mkdir -p "$site"
cp -r src/fastnn "$site"
rm -f "$site"/fastnn/*.so
cmake --install "$build" --prefix "$site"

# CPython keeps memory to the end on purpose. Tests ask for more memory than there is, and expect to be told.
export PYTHONPATH="$site" FASTNN_REQUIRE_NATIVE=1
LD_PRELOAD=$(for name in $runtimes; do "$compiler" -print-file-name="$name"; done | xargs)
export LD_PRELOAD
log=$PWD/$build/faults
rm -f "$log".*
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:log_path=$log
export UBSAN_OPTIONS=print_stacktrace=1:log_path=$log
# Children of several threads are what is to be tested.
export TSAN_OPTIONS=die_after_fork=0:log_path=$log
# pytest and the fuzzer would keep to themselves what a process that dies has printed.
trap 'cat "$log".* 2> /dev/null && exit 1' EXIT

# Memory of dead arrays must not be given out again, or writing behind one would go unseen.
run() {
  "$python" -c "import sys, fastnn, pytest; fastnn.set_cache_limit(0); sys.exit(pytest.main(sys.argv[1:]))" "$@"
}
if [ "$sanitizer" = thread ]; then
  export OPENBLAS_NUM_THREADS=1  # NumPy's library is not built with the sanitizer
  # The test left out limits the address space.
  run -q tests/test_threads.py tests/test_threads_at_once.py tests/test_thread_pool.py --deselect tests/test_thread_pool.py::test_threads_that_cannot_be_had
  run -q tests/test_parity.py -k "same_bits"
  "$python" tools/stress_threads.py "$seconds"
  exit
fi
# The test left out limits the address space, of which the sanitizer takes terabytes.
run -q --deselect tests/test_pool_kernels.py::test_tables_are_no_larger_than_the_image \
  tests/test_parity.py tests/test_conv_paths.py tests/test_pool_kernels.py tests/test_pool_indices.py tests/test_norm_kernels.py \
  tests/test_conv_winograd.py tests/test_large_results.py tests/test_plans.py
for isa in $("$python" -c "from fastnn import _core; print(*_core.usable_isas())"); do
  echo "fuzzing $isa"
  "$python" tools/fuzz.py "$seconds" --isa "$isa" --no-cache
done
