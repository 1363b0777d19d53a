#!/bin/sh
# The README's first command, run exactly, and everything that it promises.
set -eu
cd "$OME_HOME"
kubectl="kubectl --kubeconfig .ome/kubeconfig"
trap './dev down' EXIT

fail() { echo "quickstart: $*" >&2; tail -n 40 .ome/ome.log >&2 || true; exit 1; }

./dev down
./dev up --detach

$kubectl get basemodels,clusterbasemodels,inferenceservices,pods -A
$kubectl get inferenceservice smollm2 -o jsonpath='{.status.url}' | grep -x 'http://smollm2.default.localhost:8080' ||
  fail "the service has no URL"

url=http://smollm2.default.localhost:8080/v1/chat/completions
ask='{"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 16, "stream": '
whole=$(curl -sS --fail --noproxy '*' "$url" -d "${ask}false}")
echo "$whole" | grep -q '"role":"assistant","content":"[^"]' || fail "no text in $whole"
streamed=$(curl -sSN --fail --noproxy '*' "$url" -d "${ask}true}")
[ "$(echo "$streamed" | grep -c '^data: {')" -ge 3 ] || fail "not streamed: $streamed"
echo "$streamed" | grep -q '^data: \[DONE\]' || fail "the stream has no end"

# What is kept says that the service is Ready: nobody is told so before it is again.
./dev down
./dev up --detach
curl -sS --fail --noproxy '*' "$url" -d "${ask}false}" >/dev/null || fail "a second start says Ready too early"

pod=$($kubectl get pods -l app=smollm2-engine -o jsonpath='{.items[0].metadata.name}')
$kubectl logs "$pod" | grep -q . || fail "no log"
engine=$(pgrep -f 'llama_server.py --model' | head -n 1)
[ -n "$engine" ] || fail "no engine process"
$kubectl delete inferenceservice smollm2
timeout 30 tail --pid="$engine" -f /dev/null || fail "the engine outlives its service"

[ -n "$(find .ome/store -name '*.gguf')" ] || fail "no model file"
$kubectl delete clusterbasemodel smollm2-135m-instruct
[ -z "$(find .ome/store -name '*.gguf')" ] || fail "the model's files outlive it"

./dev down
! pgrep -f "$OME_HOME/build/bin/ome" || fail "a process is left"
echo "quickstart: all true"
