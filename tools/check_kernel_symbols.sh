#!/usr/bin/env bash
# Looks into the object files of the kernel libraries of a build: tools/check_kernel_symbols.sh BUILD_DIR
#
# An inline function that is compiled for a newer processor and exported under its common name can become everybody's copy
# of that function. So a level may export nothing but its fill functions, neither strong nor weak, and only the levels that
# are meant to may contain their instructions.
set -euo pipefail

build=${1:?usage: tools/check_kernel_symbols.sh BUILD_DIR}
failed=0

fail() {
  echo "check_kernel_symbols: $*" >&2
  failed=1
}

objects_of() { find "$build/src/kernels/CMakeFiles/hanlin_kernels_$1.dir" -name '*.o' 2>/dev/null | sort; }

for level in scalar avx2 avx512 amx; do
  objects=$(objects_of "$level")
  if [[ -z $objects ]]; then
    fail "no objects of level $level in $build: build the target hanlin_kernels first"
    continue
  fi
  for object in $objects; do
    # Types of defined symbols in upper case are visible outside; u, v and w are weak or unique.
    strangers=$(nm -C --defined-only "$object" | grep -E '^[0-9a-f]* ?[A-TV-Zuvw] ' |
      grep -vE " T hanlin::kernels::fill_$level(_[a-z0-9_]+)?\(hanlin::kernels::KernelTable&\)$" |
      grep -vE ' (__odr_asan|__asan|DW\.ref|__sancov|\.L)' || true)
    [[ -z $strangers ]] || fail "$object exports more than fill_$level:"$'\n'"$strangers"
  done
done

# contains LEVEL yes|no PATTERN...
contains() {
  local level=$1 wanted=$2 pattern
  shift 2
  local objects
  objects=$(objects_of "$level")
  [[ -n $objects ]] || return 0
  local listing
  # shellcheck disable=SC2086
  listing=$(for object in $objects; do objdump -d --no-show-raw-insn "$object"; done | awk -F'\t' 'NF > 1 {print $2}')
  for pattern in "$@"; do
    local found=no
    if grep -qE "$pattern" <<<"$listing"; then found=yes; fi
    [[ $found == "$wanted" ]] || fail "level $level: instruction /$pattern/ found: $found, expected: $wanted"
  done
}

contains scalar no '%ymm' '%zmm' '^v[a-z]'
contains avx2 yes '^vpmaddubsw.*%ymm' '^vfmadd.*%ymm' '^vcvtph2ps'
contains avx2 no '%zmm' '%k[1-7]'
contains avx512 yes '^vpdpbusd.*%zmm' '^vfmadd.*%zmm'
contains avx512 no '%tmm' '^ldtilecfg'
contains amx yes '^ldtilecfg' '^tileloadd' '^tdpbsud' '^tilestored' '^tilerelease'
exit $failed
