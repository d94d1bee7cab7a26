#!/usr/bin/env bash
# Installs what Hanlin needs to build and run on Debian 12 and Ubuntu 24.04. Does nothing when all is there.
#   tools/setup.sh           to build and run
#   tools/setup.sh --tests   also the Python environment .venv for the end-to-end tests
#   tools/setup.sh --ci      also clang 19: the second compiler, sanitizers, fuzzing
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
. tools/lib.sh

want_tests=0 want_ci=0
for arg in "$@"; do
  case $arg in
    --tests) want_tests=1 ;;
    --ci) want_tests=1 want_ci=1 ;;
    *) fail "tools/setup.sh: unknown option $arg" "Known: --tests, --ci." ;;
  esac
done

packages=(g++ cmake ninja-build ccache ca-certificates git python3 python3-venv python3-pip
  libspdlog-dev libfmt-dev nlohmann-json3-dev libcli11-dev libedit-dev libtomlplusplus-dev libssl-dev
  prometheus-cpp-dev zlib1g-dev libicu-dev libseccomp-dev libvalijson-dev bubblewrap libsqlite3-dev libpq-dev libgtest-dev)
[ "$want_tests" = 1 ] && packages+=(curl postgresql)
[ "$want_ci" = 1 ] && packages+=(clang-19 lld-19 libclang-rt-19-dev)

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
known() { [ -n "$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^  Candidate: \((none)\)\{0,1\}//p')" ]; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "installing packages needs root" "Run as root, or install sudo, or install by hand: ${missing[*]}"
  fi
}
apt() {
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null
}

# Debian 12 calls a Boost that is new enough libboost1.81-dev; where that name does not exist, the plain one is newer.
find_missing() {
  missing=()
  local package
  for package in "${packages[@]}"; do installed "$package" || missing+=("$package"); done
  if ! installed libboost1.81-dev && ! { installed libboost-dev && boost_is_new_enough; }; then
    if known libboost1.81-dev; then missing+=(libboost1.81-dev); else missing+=(libboost-dev); fi
  fi
}
boost_is_new_enough() {
  local version
  version=$(sed -n 's/^#define BOOST_VERSION \([0-9]*\).*/\1/p' /usr/include/boost/version.hpp 2>/dev/null)
  [ "${version:-0}" -ge 108100 ]
}

install_missing() {
  apt install --no-install-recommends -y "${missing[@]}" >build/setup-apt.log 2>&1
}

mkdir -p build
if command -v apt-get >/dev/null; then
  find_missing
  if [ ${#missing[@]} -gt 0 ]; then
    all_known=1
    for package in "${missing[@]}"; do known "$package" || all_known=0; done
    step "installing ${missing[*]}"
    if [ "$all_known" = 0 ] || ! install_missing; then
      step "updating the package lists"
      apt update >build/setup-apt.log 2>&1 || warn "apt-get update reported a problem (build/setup-apt.log); trying all the same"
      find_missing
      install_missing || {
        sleep 5
        install_missing || {
          tail -n 20 build/setup-apt.log >&2
          fail "installing ${missing[*]}" "The lines above are apt's; check the network and 'apt-get install ${missing[*]}'."
        }
      }
    fi
    done_line "packages installed"
  fi
else
  for tool in g++ cmake ninja ccache python3; do
    command -v "$tool" >/dev/null ||
      fail "this system has no apt-get and no $tool" "Install by hand what corresponds to: ${packages[*]} libboost1.81-dev"
  done
fi

if [ "$want_tests" = 1 ] && [ -f tests/requirements.txt ]; then
  stamp=.venv/requirements.sha256
  wanted=$(sha256sum tests/requirements.txt | cut -d' ' -f1)
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || ! .venv/bin/python -c '' 2>/dev/null; then
    step "making the Python environment .venv for the end-to-end tests"
    rm -rf .venv
    python3 -m venv .venv || fail "making .venv" "Check that python3-venv is installed for this python3."
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-compile --retries 5 -r tests/requirements.txt >&2 ||
      fail "installing tests/requirements.txt into .venv" "Check the network; then run again."
    echo "$wanted" >"$stamp"
    done_line ".venv ready"
  fi
fi
