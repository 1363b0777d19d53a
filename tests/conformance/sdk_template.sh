#!/bin/sh
# Builds the SDK's template as a stranger would: against an installed ome, outside of the tree.
#   sdk_template.sh CMAKE BUILD_DIR CC
set -eu
cmake=$1 build=$2 cc=$3
work=$(mktemp -d)
web=
trap '[ -z "$web" ] || { kill "$web"; wait "$web"; }; rm -rf "$work"' EXIT
chmod 755 "$work" # the loader trusts no folder that others may write
umask 022

fail() { echo "sdk_template: $*" >&2; exit 1; }

"$cmake" --install "$build" --prefix "$work/ome" >"$work/install.log" 2>&1 || { cat "$work/install.log"; exit 1; }
ome=$work/ome/bin/ome
cp -R "$work/ome/share/ome-sdk/template" "$work/template"

# With the CMake package.
"$cmake" -S "$work/template" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/ome" -DCMAKE_C_COMPILER="$cc" >"$work/log" 2>&1 &&
  "$cmake" --build "$work/build" >>"$work/log" 2>&1 || { cat "$work/log"; fail "the template does not build"; }
plugin=$work/build/storage-filelist.so

scorer=$work/build/scorer-prefer.so

# With pkg-config alone.
export PKG_CONFIG_PATH="$work/ome/lib/pkgconfig:$(echo "$work"/ome/lib/*/pkgconfig)"
pc() { pkg-config --define-variable=prefix="$work/ome" "$@" ome-sdk; }
by_hand() { # SOURCE OUT
  # shellcheck disable=SC2046
  "$cc" -std=c99 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror -shared -fPIC -fvisibility=hidden $(pc --cflags) \
    "$work/template/$1" -o "$work/$2" -DPLUGIN_VERSION='"0.1"' -Wl,-z,defs,-z,now \
    -Wl,--version-script="$(pc --variable=exports_map)" || fail "$1 does not build with pkg-config"
}
by_hand filelist.c by-hand.so
by_hand prefer.c scorer-by-hand.so

for so in "$plugin" "$work/by-hand.so" "$scorer" "$work/scorer-by-hand.so"; do
  "$ome" plugin check "$so" || fail "$so does not pass"
done

# The host takes it, with settings, and names what is wrong with them.
conf() { printf 'plugins: [{ file: "%s", required: true, settings: { filelist: %s } }]\n' build/storage-filelist.so "$1" >"$work/plugins.conf"; }
conf '{ base_url: "https://models.example.com" }'
"$ome" plugin list -p "$work/plugins.conf" -o json >"$work/list" || fail "plugin list"
grep -q '"state": *"loaded"' "$work/list" || fail "not loaded: $(cat "$work/list")"
grep -q '"kind": *"ome.storage/1"' "$work/list" || fail "no factory: $(cat "$work/list")"
conf '{}'
if "$ome" plugin list -p "$work/plugins.conf" >/dev/null 2>"$work/err"; then fail "base_url is required"; fi
grep -q 'base_url' "$work/err" || fail "the error does not name base_url: $(cat "$work/err")"

# Its storage suite, by the one command that docs/plugin-guide.md gives, on files that a web server has: more than are fetched
# at once, in folders, empty ones, and one of many ranges.
site=$work/site/acme/model
for i in $(seq 60); do
  mkdir -p "$site/part-$((i % 7))"
  head -c $((i % 13 * 1000)) /dev/urandom >"$site/part-$((i % 7))/file $i.bin"
done
head -c 12582913 /dev/urandom >"$site/model.safetensors"
(cd "$site" && find . -type f -print0 | xargs -0 sha256sum) >"$work/SHA256SUMS"
while read -r sum path; do
  printf '%s %s %s\n' "$sum" "$(stat -c %s "$site/$path")" "${path#./}"
done <"$work/SHA256SUMS" >"$site/files.txt"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
nginx=$(command -v nginx || echo /usr/sbin/nginx)
[ -x "$nginx" ] || fail "nginx is missing; ./dev test installs it"
cat >"$work/nginx.conf" <<CONF
daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx.log;
events { }
http {
  access_log off; client_body_temp_path $work/a; proxy_temp_path $work/b; fastcgi_temp_path $work/c; uwsgi_temp_path $work/d;
  scgi_temp_path $work/e;
  server { listen 127.0.0.1:$port; root $work/site; }
}
CONF
"$nginx" -c "$work/nginx.conf" -p "$work" 2>"$work/nginx.err" &
web=$!
timeout 20 sh -c 'until curl -sfo /dev/null "$1"; do sleep 0.05; done' sh "http://127.0.0.1:$port/acme/model/files.txt" ||
  { cat "$work/nginx.err"; fail "nginx does not answer"; }
conf "{ base_url: \"http://127.0.0.1:$port\" }"
"$ome" plugin check "$plugin" -p "$work/plugins.conf" --storage filelist://acme/model \
  --expect "$work/SHA256SUMS" >"$work/suite" || { cat "$work/suite"; fail "the template does not pass the storage suite"; }
for check in list stable complete bytes ranges hostile missing cancelled deadline parallel; do
  grep -q "^pass  *$check " "$work/suite" || { cat "$work/suite"; fail "$check was not asked for"; }
done
printf 'not the file' >"$site/part-1/file 1.bin"
if "$ome" plugin check "$plugin" -p "$work/plugins.conf" --storage filelist://acme/model \
  --expect "$work/SHA256SUMS" >"$work/suite" 2>&1; then fail "another file than listed passes"; fi
grep -q '^FAIL  *bytes ' "$work/suite" || { cat "$work/suite"; fail "bytes that are others are not found"; }

# The scorer changes a choice where plugins.conf names it, and nowhere else.
manifests=$(dirname "$0")/../../manifests
choice() { # [OPTIONS]
  "$ome" explain -f "$manifests/models" -f "$manifests/runtimes" --model llama-3-1-8b-instruct -o json "$@" >"$work/choice" ||
    fail "explain"
  sed -n 's/^ *"runtime": *"\([^"]*\)".*/\1/p' "$work/choice" | head -n 1
}
prefer() {
  printf 'path: [ ome/lib/ome/plugins ]\nplugins: [{ file: "%s", required: true, settings: { prefer: %s } }]\n' \
    build/scorer-prefer.so "$1" >"$work/plugins.conf"
}
[ "$(choice)" = sglang-small ] || fail "without it the choice is $(choice)"
prefer '{ prefix: "vllm-" }'
[ "$(choice --plugins "$work/plugins.conf")" = vllm-small ] || fail "with it the choice is $(choice --plugins "$work/plugins.conf")"
grep -q '"reason": *"the site prefers this engine"' "$work/choice" || fail "its reason is not told: $(cat "$work/choice")"
grep -q '"points": *1000' "$work/choice" || fail "its points are not told"
prefer '{ prefix: "vllm-", points: 1 }'
[ "$(choice --plugins "$work/plugins.conf")" = sglang-small ] || fail "one point is not enough"
[ "$(choice)" = sglang-small ] || fail "without it the choice is another than before"

# The installed ome finds its own plugins without any plugins.conf.
"$ome" plugin list -o json | grep -q '"state": *"loaded"' || fail "the installed plugins are not found"

# Completion and the manual page came along, from the tables of --help.
grep -q 'plugin) words=.*--uri' "$work/ome/share/bash-completion/completions/ome" || fail "no bash completion"
grep -q '^.SS ome plugin' "$work/ome/share/man/man1/ome.1" || fail "no manual page"
