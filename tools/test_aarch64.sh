#!/usr/bin/env bash
# Build the extension for 64-bit Arm and compare it with the NumPy backend, on a processor that QEMU emulates:
#
#   tools/test_aarch64.sh [FOLDER] [options of tools/check_parity.py]
#
# FOLDER (build/aarch64) keeps what is made, so that a second run begins where it can. All functions are compared, with a
# few samples each, which takes some minutes; --only NAME takes those with NAME in their names, --samples N more samples.
#
# For Debian and its like. Needs qemu-user, a cross compiler (g++-aarch64-linux-gnu, or another one in CXX), dpkg-deb, and
# a Python of the version that the distribution has, with what builds fastnn (the README says what). Arm's Python comes
# from the distribution and NumPy from PyPI; they are unpacked into FOLDER, and nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=build/aarch64
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
  folder=$1
  shift
fi
mkdir -p "$folder"
folder=$(realpath "$folder")
root=$folder/root python=${PYTHON:-python3}
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')

if [ ! -e "$root/unpacked" ]; then
  mkdir -p "$root" "$folder/apt/state/lists/partial" "$folder/apt/cache/archives/partial"
  : > "$folder/apt/status"
  apt=(apt-get -qq -y -o Dir::State="$folder/apt/state" -o Dir::State::status="$folder/apt/status"
       -o Dir::Cache="$folder/apt/cache" -o Debug::NoLocking=1 -o APT::Architecture=arm64 -o APT::Architectures=arm64)
  "${apt[@]}" update
  "${apt[@]}" --no-install-recommends --download-only install python3-minimal libpython3-stdlib libstdc++6
  for package in "$folder"/apt/cache/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
  touch "$root/unpacked"
fi
if [ ! -e "$root/usr/bin/python$version" ]; then
  echo "test_aarch64: the distribution's Python is $(ls "$root"/usr/bin | grep -E '^python3\.[0-9]+$'), this is $version" >&2
  exit 2
fi
if [ ! -e "$folder/site" ]; then
  "$python" -m pip install --quiet --target "$folder/site" --only-binary :all: --python-version "$version" \
    --platform manylinux2014_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_28_aarch64 'numpy>=2' pytest
fi

# The headers of this Python serve: both processors are little-endian and have the same sizes of C's types.
cmake -S . -B "$folder/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE="$(command -v "$python")" \
  -DCMAKE_CXX_COMPILER="${CXX:-aarch64-linux-gnu-g++}" -DFASTNN_OPENMP=OFF > "$folder/cmake.log"
cmake --build "$folder/build"
python3 tools/check_symbols.py "$folder/build"
rm -rf "$folder/package"
mkdir -p "$folder/package/tools"
cp -r src tests "$folder/package"
cp tools/check_parity.py "$folder/package/tools"
find "$folder/package" -name '*.so' -delete
cp "$folder"/build/_core*.so "$folder/package/src/fastnn/_core.so"  # a name that Python takes on every processor

exec env PYTHONPATH="$folder/package/src:$folder/site" PYTHONDONTWRITEBYTECODE=1 FASTNN_REQUIRE_NATIVE=1 OMP_NUM_THREADS=2 \
  qemu-aarch64 -L "$root" "$root/usr/bin/python$version" "$folder/package/tools/check_parity.py" "$@"
