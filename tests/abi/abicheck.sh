#!/bin/sh
# abicheck.sh BASELINE.abi WITNESS.so: passes when members were only appended to growable structs.
#
# abidiff's own suppression for members inserted at the end also hides a changed type in the same struct (libabigail
# 2.2), so its report is judged here.
set -u
command -v abidiff >/dev/null 2>&1 || { echo "abidiff is not installed (Debian package abigail-tools)"; exit 77; }
report=$(abidiff --leaf-changes-only "$1" "$2")
[ $? -eq 0 ] && exit 0
printf '%s\n' "$report"
printf '%s\n' "$report" | awk '
  /type size changed from/ { old = $5; next }
  /data member change|data members? deletion|type size hasn|offset changed|enumerator/ { bad = 1 }
  /at offset [0-9]+ \(in bits\)/ {
    match($0, /at offset [0-9]+/)
    if (substr($0, RSTART + 10, RLENGTH - 10) + 0 < old + 0) bad = 1
  }
  /[1-9][0-9]* Removed/ { bad = 1 }
  END { exit bad }'
