# Shared by run, test, tools/setup.sh and .ci/run (sourced, bash): progress lines, errors, compiler cache.
# Progress goes to stderr, in colour when that is a terminal.

if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
  c_bold=$'\e[1m' c_red=$'\e[31m' c_green=$'\e[32m' c_yellow=$'\e[33m' c_off=$'\e[0m'
else
  c_bold='' c_red='' c_green='' c_yellow='' c_off=''
fi

step() { printf '%s==> %s%s\n' "$c_bold" "$*" "$c_off" >&2; }
done_line() { printf '%s    %s%s\n' "$c_green" "$*" "$c_off" >&2; }
warn() { printf '%swarning: %s%s\n' "$c_yellow" "$*" "$c_off" >&2; }
# fail WHAT HINT: the one line that says what failed and what to do; leaves the script.
fail() {
  printf '%sfailed: %s. %s%s\n' "$c_red" "$1" "${2:-}" "$c_off" >&2
  exit 1
}

# Objects are shared between build directories and between clones of the repository.
export CCACHE_MAXSIZE="${CCACHE_MAXSIZE:-5G}" CCACHE_BASEDIR="${CCACHE_BASEDIR:-$root}" CCACHE_NOHASHDIR=1

# configure PRESET [cmake options…]: configures build/PRESET, showing CMake's output only when it fails.
configure() {
  local preset=$1 log=build/$1-configure.log
  shift
  mkdir -p build
  step "configuring build/$preset"
  cmake --preset "$preset" "$@" >"$log" 2>&1 || {
    cat "$log" >&2
    fail "configuring build/$preset" "The lines above name what is missing; delete build/$preset and try again."
  }
}

# build PRESET [target…]: builds the targets (default: all) of build/PRESET.
build() {
  local preset=$1 args=()
  shift
  [ $# -gt 0 ] && args=(--target "$@")
  step "building ${*:-everything} in build/$preset"
  cmake --build "build/$preset" -j "$jobs" "${args[@]}" >&2 ||
    fail "building build/$preset" "The compiler's message stands above."
}

jobs=${HANLIN_JOBS:-$(nproc)}
