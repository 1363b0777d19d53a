#!/bin/sh
# The kit finds each fault, with the check that is meant for it, and nothing in the plugin without one.
#   kit_test.sh OME FOLDER
set -u
ome=$1 folder=$2 failed=0

expect() { # NAME CHECK DETAIL
  said=$("$ome" plugin check "$folder/$1.so" 2>/dev/null) && { echo "$1: not found"; failed=1; return; }
  printf '%s\n' "$said" | grep -q "^FAIL  *$2 .*$3" && return
  printf '%s: want %s to fail with "%s":\n%s\n' "$1" "$2" "$3" "$said"
  failed=1
}

"$ome" plugin check "$folder/none.so" >/dev/null || { echo "finds a fault where there is none"; failed=1; }
expect print lifecycle "printed to stdout or stderr: hello"
expect files lifecycle "files open"
expect leak lifecycle "bytes behind"
expect crash exact-structs "signal 11"
expect exit exact-structs "ended the process"
expect slow deadline "ms to notice"
expect string exact-structs ""
expect clock same-bytes "same bytes"
expect race parallel "threads"
expect silent exact-structs "did not fill its error"
expect sink failing-sinks "pass it on"
expect status exact-structs "observe() "
expect key keys "name is not of the form"
expect descriptor descriptor "license"
expect thread side-effects "starts a thread"
expect environment side-effects "environment"
expect export exports "another_symbol"
exit $failed
