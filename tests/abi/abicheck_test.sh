#!/bin/sh
# The judge is judged: an appended member passes, everything else fails.  CC SOURCE_DIR
set -u
command -v abidw >/dev/null 2>&1 || { echo "abidw is not installed (Debian package abigail-tools)"; exit 77; }
cc=$1 source=$2
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
failed=0

build() { # NAME SED-EXPRESSION-ON-abi.h
  mkdir -p "$work/$1/ome" && cp "$source"/include/ome/*.h "$work/$1/ome/"
  sed -i "$2" "$work/$1/ome/abi.h"
  "$cc" -g -shared -fPIC -I"$work/$1" "$source/tests/abi/witness.c" -o "$work/$1.so" || failed=1
}
expect() { # pass|fail NAME
  "$source/tests/abi/abicheck.sh" "$work/base.abi" "$work/$2.so" >"$work/log"
  rc=$?
  [ "$1" = pass ] && [ $rc -ne 0 ] && { echo "$2 should pass"; cat "$work/log"; failed=1; }
  [ "$1" = fail ] && [ $rc -eq 0 ] && { echo "$2 should fail"; failed=1; }
  return 0
}

build base ''
abidw "$work/base.so" >"$work/base.abi"
build appended 's|^  int32_t (\*cancelled).*|&\n  uint64_t later;|'
build inserted 's|^  uint64_t deadline_ns;.*|  uint64_t early;\n&|'
build removed '/^  const char \*trace_id;/d'
build retyped 's|^  uint64_t deadline_ns;|  int64_t deadline_ns;|'
build both 's|^  uint64_t deadline_ns;|  int64_t deadline_ns;|; s|^  int32_t (\*cancelled).*|&\n  uint64_t later;|'
expect pass base
expect pass appended
expect fail inserted
expect fail removed
expect fail retyped
expect fail both
exit $failed
