#!/usr/bin/env python3
"""Writes runtimes/*.yaml: ClusterServingRuntimes that cover the catalogue of models by ranges instead of one for a model.

usage: runtimes.py [--check]     --check: write nothing, fail when a manifest is not what is said here

runtimes/architectures.tsv says which engine serves which architecture.  The shapes below say how many devices hold
how many parameters; each engine is written once a shape.  docs/selection.md explains the choice among them.
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

# Devices of 80 GB or more, which the shapes are computed for, and smaller ones.
LARGE = ["h100-80g", "a100-80g", "h20-96g", "h200-141g", "b200-180g", "gb200-186g", "rtx-pro-6000-96g"]
SMALL = ["l4-24g", "a10-24g", "l40s-48g", "a100-40g"]
FP8 = ["h100-80g", "h20-96g", "h200-141g", "b200-180g", "gb200-186g", "rtx-pro-6000-96g"]

# shape: devices a node, nodes, parameters from and to, quantizations, accelerator classes.  Two bytes a parameter
# without quantization, one with eight bits, half with four; a tenth and the cache of keys and values on top.
SHAPES = {
    "small": (1, 1, "1M", "9B", [""], SMALL + LARGE),
    "1gpu": (1, 1, "9B", "34B", [""], LARGE),
    "4gpu": (4, 1, "34B", "120B", [""], LARGE),
    "8gpu": (8, 1, "120B", "250B", [""], LARGE),
    "2x8gpu": (8, 2, "250B", "600B", [""], LARGE),
    "fp8-1gpu": (1, 1, "1M", "60B", ["fp8", "fbgemm_fp8"], FP8),
    "fp8-4gpu": (4, 1, "60B", "250B", ["fp8", "fbgemm_fp8"], FP8),
    "fp8-8gpu": (8, 1, "250B", "560B", ["fp8", "fbgemm_fp8"], FP8),
    "fp8-2x8gpu": (8, 2, "560B", "1.1T", ["fp8", "fbgemm_fp8"], FP8),
    "4bit-1gpu": (1, 1, "1M", "130B", ["mxfp4", "int4", "awq", "gptq"], LARGE),
}

# Both of OME's vocabularies: what the catalogue says, and what older models say.
GENERATES = "TEXT_TO_TEXT,TEXT_GENERATION,CHAT,TEXT_SUMMARIZATION,VISION,IMAGE_TEXT_TO_TEXT,AUDIO_TO_TEXT,TEXT_TO_AUDIO,IMAGE_TEXT_TO_AUDIO,VIDEO_TEXT_TO_AUDIO," \
            "AUDIO_TO_AUDIO"
IMAGES = {
    "sglang": "docker.io/lmsysorg/sglang:v0.5.5.post3-cu129-amd64",
    "sglang-diffusion": "docker.io/lmsysorg/sglang:v0.5.5.post3-cu129-amd64",
    "sglang-diffusers": "docker.io/lmsysorg/sglang:v0.5.9-cu129-amd64",  # knows --backend diffusers
    "vllm": "docker.io/vllm/vllm-openai:v0.11.0",
    "vllm-nixl": "docker.io/vllm/vllm-openai:v0.14.0",  # has the libraries that carry caches
    "vllm-router": "docker.io/vllm/vllm-router:nightly-20260710-b93cbcb",
    "trtllm": "nvcr.io/nvidia/tensorrt-llm/release:1.0.0",
    "llamacpp-cuda": "ghcr.io/ggml-org/llama.cpp:server-cuda",
    "llamacpp-cpu": "ghcr.io/ggml-org/llama.cpp:server",
    "tei": "ghcr.io/huggingface/text-embeddings-inference:1.8",
}


def yaml(value, indent=0):
    """Block YAML with every string that could be taken for something else in quotes."""
    pad = " " * indent
    if isinstance(value, dict):
        lines = []
        for key, v in value.items():
            if isinstance(v, (dict, list)) and v:
                lines.append(f"{pad}{key}:\n{yaml(v, indent + 2)}")
            else:
                lines.append(f"{pad}{key}: {yaml(v)}")
        return "\n".join(lines)
    if isinstance(value, list) and value:
        lines = []
        for v in value:
            text = yaml(v, indent + 2)
            lines.append(f"{pad}- {text.lstrip()}" if isinstance(v, (dict, list)) else f"{pad}- {yaml(v)}")
        return "\n".join(lines)
    if isinstance(value, str):
        plain = value and value[0].isalpha() and all(c.isalnum() or c in "-_./" for c in value)
        return value if plain and value not in ("true", "false", "null", "yes", "no", "on", "off") else json.dumps(value)
    return json.dumps(value)


# ---- parts of pods ---------------------------------------------------------------------------------------------------


def resources(gpus, cpu, memory):
    wanted = {"cpu": str(cpu), "memory": memory}
    if gpus:
        wanted["nvidia.com/gpu"] = str(gpus)
    return {"requests": dict(wanted), "limits": dict(wanted)}


def probes(path, start_minutes):
    def probe(**times):
        return {"httpGet": {"path": path, "port": 8080}, **times}
    return {"startupProbe": probe(periodSeconds=10, failureThreshold=start_minutes * 6, timeoutSeconds=10),
            "readinessProbe": probe(periodSeconds=10, failureThreshold=3, timeoutSeconds=10),
            "livenessProbe": probe(periodSeconds=30, failureThreshold=5, timeoutSeconds=30)}


def runner(image, command, gpus, shm=True, env=(), path="/health", start_minutes=30, port=True, rdma=False):
    out = {"name": "ome-container", "image": image}
    if port:
        out["ports"] = [{"containerPort": 8080, "name": "http1", "protocol": "TCP"}]
    out["command"] = command
    if env:
        out["env"] = list(env)
    if shm:
        out["volumeMounts"] = [{"mountPath": "/dev/shm", "name": "dshm"}]
    if rdma:
        out["volumeMounts"].append({"mountPath": "/dev/infiniband", "name": "infiniband"})
        out["securityContext"] = {"capabilities": {"add": ["IPC_LOCK"]}}
    out["resources"] = resources(gpus, 8 * max(gpus, 1), f"{64 * max(gpus, 1)}Gi")
    if port:
        out.update(probes(path, start_minutes))
    return out


def pod(run, gpus=1, rdma=False):
    out = {}
    if gpus:
        out["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    if rdma:
        out.update(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet")
    if any(m["name"] == "dshm" for m in run.get("volumeMounts", ())):
        out["volumes"] = [{"name": "dshm", "emptyDir": {"medium": "Memory"}}]
    if rdma:
        out["volumes"].append({"name": "infiniband", "hostPath": {"path": "/dev/infiniband"}})
    out["runner"] = run
    return out


def engine(leader, worker=None, nodes=1, annotations=()):
    out = {"annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080",
                           "prometheus.io/path": "/metrics", **dict(annotations)}}
    if worker is None:
        out.update(leader)
    else:
        out["leader"] = leader
        out["worker"] = {"size": nodes - 1, **worker}
    return out


# What starts a router; the two have most options in common.
ROUTERS = {
    "sglang": ("sglang", ["python3", "-m", "sglang_router.launch_router"]),
    "vllm": ("vllm-router", ["vllm-router", "--prometheus-host", "0.0.0.0"]),
}


def router_env():
    def of(name, path):
        return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
    return [of("NAMESPACE", "metadata.namespace"),
            of("INFERENCESERVICE_NAME", "metadata.labels['ome.io/inferenceservice']")]


def router(kind, policy, selectors):
    image, start = ROUTERS[kind]
    command = [*start, "--host", "0.0.0.0", "--port", "8080", *policy,
               "--service-discovery", "--service-discovery-namespace", "$(NAMESPACE)", "--service-discovery-port",
               "8080", *selectors]
    run = {"name": "router", "image": IMAGES[image],
           "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}], "command": command,
           "env": router_env(),
           "resources": resources(0, 2, "4Gi"), **probes("/readiness", 5)}
    return {"runner": run}


def selector(option, component, leaders):
    """Labels as words of their own: older routers take a word with several for one label.  Of a group only the
    leader takes requests."""
    labels = [f"component={component}", "ome.io/inferenceservice=$(INFERENCESERVICE_NAME)"]
    return [option, *labels, *(["leaderworkerset.sigs.k8s.io/worker-index=0"] if leaders else [])]


def plain_router(nodes):
    return "sglang", ["--policy", "cache_aware"], selector("--selector", "engine", nodes > 1)


def pd_router(nodes, kind="sglang"):
    mode, policy = {"sglang": ("--pd-disaggregation", ["--policy", "power_of_two"]),
                    "vllm": ("--vllm-pd-disaggregation", ["--prefill-policy", "cache_aware", "--decode-policy",
                                                          "round_robin"])}[kind]
    return kind, policy, [mode, *selector("--prefill-selector", "engine", nodes > 1),
                          *selector("--decode-selector", "decoder", nodes > 1)]


# ---- engines ---------------------------------------------------------------------------------------------------------


def sglang(gpus, nodes, more=()):
    command = ["python3", "-m", "sglang.launch_server", "--host", "0.0.0.0", "--port", "8080", "--enable-metrics",
               "--trust-remote-code", "--model-path", "$(MODEL_PATH)"]
    if nodes == 1:
        return engine(pod(runner(IMAGES["sglang"], command + ["--tp-size", str(gpus), *more], gpus)))
    command += ["--tp-size", "$(PARALLELISM_SIZE)", "--dist-init-addr", "$(LWS_LEADER_ADDRESS):5757", "--nnodes",
                "$(LWS_GROUP_SIZE)", "--node-rank", "$(LWS_WORKER_INDEX)", *more]
    leader = pod(runner(IMAGES["sglang"], command, gpus, start_minutes=90))
    return engine(leader, pod(runner(IMAGES["sglang"], command, gpus, port=False)), nodes)


RAY = "bash /vllm-workspace/examples/online_serving/multi-node-serving.sh"


def vllm(gpus, nodes, more=()):
    serve = ["vllm", "serve", "$(MODEL_PATH)", "--host", "0.0.0.0", "--port", "8080", "--trust-remote-code"]
    if nodes == 1:
        return engine(pod(runner(IMAGES["vllm"], serve + ["--tensor-parallel-size", str(gpus), *more], gpus)))
    serve += ["--tensor-parallel-size", str(gpus), "--pipeline-parallel-size", str(nodes), *more]
    leader = ["sh", "-c", f"{RAY} leader --ray_cluster_size=$(LWS_GROUP_SIZE) && exec {' '.join(serve)}"]
    worker = ["sh", "-c", f"{RAY} worker --ray_address=$(LWS_LEADER_ADDRESS)"]
    return engine(pod(runner(IMAGES["vllm"], leader, gpus, start_minutes=90)),
                  pod(runner(IMAGES["vllm"], worker, gpus, port=False)), nodes)


def trtllm(gpus, _nodes, more=()):
    command = ["trtllm-serve", "$(MODEL_PATH)", "--host", "0.0.0.0", "--port", "8080", "--backend", "pytorch",
               "--tp_size", str(gpus), "--trust_remote_code", *more]
    return engine(pod(runner(IMAGES["trtllm"], command, gpus)))


# TensorRT-LLM's processes on several nodes are one world of MPI's, which mpirun starts over SSH: workers run its server,
# and the key is in Secret trtllm-ssh (kubernetes.io/ssh-auth) of the service's namespace.
SSH_PORT = 2222
SSH_SETUP = "; ".join([
    "set -e", "command -v sshd >/dev/null || { apt-get update -qq && apt-get install -qq -y openssh-server; }",
    "mkdir -p -m 700 ~/.ssh /run/sshd", "install -m 600 /etc/trtllm-ssh/ssh-privatekey ~/.ssh/key",
    "ssh-keygen -y -f ~/.ssh/key >~/.ssh/authorized_keys"])
SSH = f"-i ~/.ssh/key -p {SSH_PORT} -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR"


def trtllm_group(gpus, nodes):
    """Tensor parallel on a node, pipeline parallel over them; the leader waits for its workers' SSH."""
    serve = ("trtllm-llmapi-launch trtllm-serve \"$MODEL_PATH\" --host 0.0.0.0 --port 8080 --backend pytorch "
             f"--tp_size {gpus} --pp_size {nodes} --trust_remote_code")
    lead = "; ".join([
        SSH_SETUP, f"hosts=$LWS_LEADER_ADDRESS:{gpus}",
        "for i in $(seq $((LWS_GROUP_SIZE - 1))); do host=${LWS_LEADER_ADDRESS%%.*}-$i.${LWS_LEADER_ADDRESS#*.}; "
        f"until ssh {SSH} \"$host\" true; do sleep 2; done; hosts=$hosts,$host:{gpus}; done",
        f"exec \"$(command -v mpirun)\" --allow-run-as-root -np {gpus * nodes} -H \"$hosts\" --mca plm_rsh_args \"{SSH}\" -x PATH "
        f"-x LD_LIBRARY_PATH -x MODEL_PATH {serve}"])
    work = f"{SSH_SETUP}; exec \"$(command -v sshd)\" -D -e -p {SSH_PORT}"

    def with_key(run):
        run["volumeMounts"].append({"mountPath": "/etc/trtllm-ssh", "name": "ssh", "readOnly": True})
        out = pod(run)
        out["volumes"].append({"name": "ssh", "secret": {"secretName": "trtllm-ssh", "defaultMode": 0o400}})
        return out
    return engine(with_key(runner(IMAGES["trtllm"], ["bash", "-c", lead], gpus, start_minutes=90)),
                  with_key(runner(IMAGES["trtllm"], ["bash", "-c", work], gpus, port=False)), nodes)


def llamacpp(gpus):
    command = ["sh", "-c", 'exec /app/llama-server --host 0.0.0.0 --port 8080 --metrics --jinja'
               + (" --n-gpu-layers 999" if gpus else "")
               + ' --model "$(find -L \"$MODEL_PATH\" -name "*.gguf" | sort | head -n 1)"']
    return engine(pod(runner(IMAGES["llamacpp-cuda" if gpus else "llamacpp-cpu"], command, gpus, shm=False), gpus))


def tei():
    command = ["text-embeddings-router", "--hostname", "0.0.0.0", "--port", "8080", "--model-id", "$(MODEL_PATH)"]
    return engine(pod(runner(IMAGES["tei"], command, 1, shm=False)))


def diffusion(image="sglang-diffusion", more=()):
    command = ["sglang", "serve", "--host", "0.0.0.0", "--port", "8080", "--model-path", "$(MODEL_PATH)", *more]
    return engine(pod(runner(IMAGES[image], command, 1)))


def pd_pair(make, nodes, prefill, decode):
    """Engine and decoder of a prefill-decode runtime; caches travel by RDMA."""
    def half(more):
        if nodes == 1:
            return engine(pod(make(more, True), rdma=True), annotations=(("rdma.ome.io/auto-inject", "true"),))
        return engine(pod(make(more, True), rdma=True), pod(make(more, False), rdma=True), nodes,
                      annotations=(("rdma.ome.io/auto-inject", "true"),))
    return half(prefill), half(decode)


# ---- runtimes --------------------------------------------------------------------------------------------------------


def architectures():
    """{engine: [architecture]}"""
    out = {}
    for line in open(os.path.join(HERE, "runtimes/architectures.tsv"), encoding="utf-8"):
        if not line.startswith("#"):
            name, engines = line.rstrip("\n").split("\t")
            for one in engines.split(","):
                out.setdefault(one, []).append(name)
    return out


def entries(names, quantizations, priority, automatic=True, form="safetensors"):
    out = []
    for name in names:
        for quantization in quantizations:
            e = {"modelFormat": {"name": form}, "modelArchitecture": name}
            if quantization:
                e["quantization"] = quantization
            out.append({**e, "autoSelect": automatic, "priority": priority})
    return out


def runtime(name, formats, config, sizes=None, classes=(), capabilities=GENERATES, decoder=None, route=None,
            protocols=("openAI",)):
    spec = {"disabled": False, "supportedModelFormats": formats}
    if sizes:
        spec["modelSizeRange"] = {"min": sizes[0], "max": sizes[1]}
    if classes:
        spec["acceleratorRequirements"] = {"acceleratorClasses": list(classes)}
    spec["protocolVersions"] = list(protocols)
    spec["engineConfig"] = config
    if decoder:
        spec["decoderConfig"] = decoder
    if route:
        spec["routerConfig"] = route if isinstance(route, dict) else router(*route)
    return name, {"apiVersion": "ome.io/v1beta1", "kind": "ClusterServingRuntime",
                  "metadata": {"name": name, "annotations": {"ome.io/model-capabilities": capabilities}}, "spec": spec}


def by_shape(known):
    for name, make, priority, shapes, route in (
            ("sglang", sglang, 4, SHAPES, plain_router),
            ("vllm", vllm, 3, SHAPES, None),
            ("trtllm", trtllm, 2, [s for s in SHAPES if SHAPES[s][1] == 1], None)):
        for shape in shapes:
            gpus, nodes, low, high, quantizations, classes = SHAPES[shape]
            formats = entries(known[name], quantizations, priority)
            yield runtime(f"{name}-{shape}", formats, make(gpus, nodes), (low, high), classes,
                          route=route(nodes) if route else None)


def adaptive(known):
    """For any number of devices of any class: tuning decides, so a service must name an accelerator class or a policy."""
    serve = {"sglang": ["python3", "-m", "sglang.launch_server", "--host", "0.0.0.0", "--port", "8080", "--enable-metrics",
                        "--trust-remote-code", "--model-path", "$(MODEL_PATH)"],
             "vllm": ["vllm", "serve", "$(MODEL_PATH)", "--host", "0.0.0.0", "--port", "8080", "--trust-remote-code"],
             "trtllm": ["trtllm-serve", "$(MODEL_PATH)", "--host", "0.0.0.0", "--port", "8080", "--backend", "pytorch",
                        "--trust_remote_code"]}
    for name, command in serve.items():
        run = runner(IMAGES[name], command, 0, start_minutes=60)
        run["resources"] = {"requests": {"cpu": "8", "memory": "64Gi"}}
        formats = entries(known[name], ["", "fp8", "fbgemm_fp8"], 1, automatic=False)
        yield runtime(f"{name}-any", formats, engine(pod(run)), classes=SMALL + LARGE)


def sglang_pd(gpus, ib, tp, more):
    def make(half, port):
        command = ["python3", "-m", "sglang.launch_server", "--host", "0.0.0.0", "--port", "8080", "--enable-metrics",
                   "--trust-remote-code", "--model-path", "$(MODEL_PATH)", "--tp-size", tp,
                   "--disaggregation-ib-device", ib, *more, *half]
        return runner(IMAGES["sglang"], command, gpus, rdma=True, port=port, start_minutes=90)
    return make


def vllm_pd(gpus):
    """NIXL carries the cache both ways, so that prefill and decode differ in nothing but their place before the router."""
    def make(_half, port):
        command = ["vllm", "serve", "$(MODEL_PATH)", "--host", "0.0.0.0", "--port", "8080", "--trust-remote-code",
                   "--tensor-parallel-size", str(gpus), "--kv-transfer-config",
                   json.dumps({"kv_connector": "NixlConnector", "kv_role": "kv_both"})]
        here = [{"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                {"name": "VLLM_NIXL_SIDE_CHANNEL_PORT", "value": "5600"}]
        return runner(IMAGES["vllm-nixl"], command, gpus, env=here, rdma=True, port=port, start_minutes=90)
    return make


def trtllm_pd(gpus):
    """Context and generation servers; what the first one says of a request tells the second where its cache is."""
    def make(half, port):
        options = json.dumps({**half, "cache_transceiver_config": {"backend": "UCX", "max_tokens_in_buffer": 32768}})
        command = ["bash", "-c", f"echo '{options}' >/tmp/options.yaml && exec trtllm-serve \"$MODEL_PATH\" --host 0.0.0.0 "
                   f"--port 8080 --backend pytorch --tp_size {gpus} --trust_remote_code "
                   "--extra_llm_api_options /tmp/options.yaml"]
        return runner(IMAGES["trtllm"], command, gpus, env=[{"name": "TRTLLM_USE_UCX_KVCACHE", "value": "1"}], rdma=True,
                      port=port, start_minutes=90)
    return make


def trtllm_pd_router():
    """`trtllm-serve disaggregated` wants addresses: those of the components' Services."""
    def servers(component):
        return {"num_instances": 1, "urls": [f"$INFERENCESERVICE_NAME-{component}.$NAMESPACE:8080"]}
    config = json.dumps({"hostname": "0.0.0.0", "port": 8080, "backend": "pytorch",
                         "context_servers": servers("engine"), "generation_servers": servers("decoder")})
    script = (f"printf '%s' {json.dumps(config)} >/tmp/config.yaml && "
              "exec trtllm-serve disaggregated -c /tmp/config.yaml -t 5400 -r 5400")
    return {"runner": {"name": "router", "image": IMAGES["trtllm"],
                       "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
                       "command": ["bash", "-c", script], "env": router_env(), "resources": resources(0, 4, "16Gi"),
                       **probes("/health", 90)}}


def prefill_decode():
    prefill, decode = ["--disaggregation-mode", "prefill"], ["--disaggregation-mode", "decode"]
    config, decoder = pd_pair(sglang_pd(8, "mlx5_0", "8", []), 1, prefill, decode)
    yield runtime("sglang-pd-8gpu",
                  entries(["LlamaForCausalLM", "Qwen2ForCausalLM", "MixtralForCausalLM", "Qwen3MoeForCausalLM"], [""], 1,
                          automatic=False), config, ("30B", "250B"), LARGE, decoder=decoder, route=pd_router(1))
    config, decoder = pd_pair(sglang_pd(8, "mlx5_0", "8", ["--context-length", "430000", "--chat-template", "llama-4",
                                                          "--attention-backend", "fa3"]), 1, prefill, decode)
    yield runtime("sglang-llama-4-maverick-fp8-pd",
                  entries(["Llama4ForConditionalGeneration"], ["fp8"], 1, automatic=False), config, ("400B", "402B"),
                  ["h100-80g", "h200-141g"], decoder=decoder, route=pd_router(1))
    shared = ["--dist-init-addr", "$(LWS_LEADER_ADDRESS):5757", "--nnodes", "$(LWS_GROUP_SIZE)", "--node-rank",
              "$(LWS_WORKER_INDEX)", "--enable-dp-attention", "--enable-dp-lm-head", "--dp-size", "$(PARALLELISM_SIZE)",
              "--moe-dense-tp-size", "1", "--moe-a2a-backend", "deepep", "--enable-eplb", "--ep-num-redundant-experts",
              "$(PARALLELISM_SIZE)", "--disable-radix-cache", "--page-size", "1"]
    devices = ",".join(f"mlx5_{i}" for i in range(8))
    config, decoder = pd_pair(sglang_pd(8, devices, "$(PARALLELISM_SIZE)", shared), 2,
                              prefill + ["--deepep-mode", "normal", "--disable-cuda-graph", "--mem-fraction-static",
                                         "0.85"],
                              decode + ["--deepep-mode", "low_latency", "--cuda-graph-bs", "128",
                                        "--mem-fraction-static", "0.83"])
    yield runtime("sglang-deepseek-ep-pd-rdma",
                  entries(["DeepseekV3ForCausalLM", "DeepseekV32ForCausalLM"], ["fp8"], 1, automatic=False), config,
                  ("650B", "700B"), ["h100-80g", "h200-141g"], decoder=decoder, route=pd_router(2))
    config, decoder = pd_pair(vllm_pd(8), 1, [], [])
    yield runtime("vllm-pd-8gpu",
                  entries(["LlamaForCausalLM", "Qwen2ForCausalLM", "MixtralForCausalLM", "Qwen3MoeForCausalLM"], [""], 1,
                          automatic=False), config, ("30B", "250B"), LARGE, decoder=decoder, route=pd_router(1, "vllm"))


    config, decoder = pd_pair(trtllm_pd(8), 1, {"disable_overlap_scheduler": True}, {})
    yield runtime("trtllm-pd-8gpu",
                  entries(["LlamaForCausalLM", "Qwen3ForCausalLM", "MixtralForCausalLM", "Qwen3MoeForCausalLM"], [""], 1,
                          automatic=False), config, ("30B", "250B"), LARGE, decoder=decoder, route=trtllm_pd_router())


def by_name(known):
    """TensorRT-LLM on two nodes needs a Secret, so that nobody gets it without asking."""
    gpus, nodes, low, high, quantizations, classes = SHAPES["2x8gpu"]
    yield runtime("trtllm-2x8gpu", entries(known["trtllm"], quantizations, 1, automatic=False),
                  trtllm_group(gpus, nodes), (low, high), classes)


def others(known):
    pooling = vllm(1, 1, ["--runner", "pooling"])
    yield runtime("tei", entries(known["tei"], [""], 5), tei(), ("1M", "2B"), SMALL + LARGE,
                  capabilities="EMBEDDING,TEXT_EMBEDDINGS,RERANK,TEXT_RERANK", protocols=("openInference-v2",))
    yield runtime("vllm-embedding", entries(known["vllm-embedding"], [""], 4), pooling, ("1M", "34B"), LARGE,
                  capabilities="EMBEDDING,TEXT_EMBEDDINGS")
    rerank = json.dumps({"architectures": ["Qwen3ForSequenceClassification"], "classifier_from_token": ["no", "yes"],
                         "is_original_qwen3_reranker": True})
    yield runtime("vllm-rerank-qwen3", entries(["Qwen3ForCausalLM"], [""], 4),
                  vllm(1, 1, ["--runner", "pooling", "--hf_overrides", rerank]), ("1M", "34B"), LARGE,
                  capabilities="RERANK,TEXT_RERANK")
    yield runtime("sglang-diffusion", entries(known["sglang-diffusion"], [""], 4, form="diffusers"), diffusion(),
                  classes=LARGE, capabilities="TEXT_TO_IMAGE,IMAGE_TEXT_TO_IMAGE,TEXT_TO_VIDEO")
    # Pipelines that SGLang has no implementation of run as Diffusers has them.
    yield runtime("sglang-diffusers", entries(known["sglang-diffusers"], [""], 1, form="diffusers"),
                  diffusion("sglang-diffusers", ["--backend", "diffusers"]), classes=LARGE,
                  capabilities="TEXT_TO_IMAGE,IMAGE_TEXT_TO_IMAGE")
    gguf = {"modelFormat": {"name": "gguf"}}
    for name, gpus, priority, sizes in (("llamacpp-cuda", 1, 2, ("1M", "130B")), ("llamacpp-cpu", 0, 1, ("1M", "15B"))):
        formats = [{**gguf, "modelArchitecture": a, "autoSelect": True, "priority": priority} for a in known["llamacpp"]]
        yield runtime(name, formats, llamacpp(gpus), sizes, SMALL + LARGE if gpus else ["cpu"])


def wanted():
    known = architectures()
    made = [*by_shape(known), *adaptive(known), *prefill_decode(), *by_name(known), *others(known)]
    return {f"runtimes/{name}.yaml": yaml(doc) + "\n" for name, doc in made}


def main():
    files = wanted()
    folder = os.path.join(HERE, "runtimes")
    stale = [f"runtimes/{n}" for n in sorted(os.listdir(folder)) if n.endswith(".yaml") and f"runtimes/{n}" not in files]
    for path, text in files.items():
        full = os.path.join(HERE, path)
        if not os.path.exists(full) or open(full, encoding="utf-8").read() != text:
            stale.append(path)
            if "--check" not in sys.argv:
                open(full, "w", encoding="utf-8").write(text)
    if "--check" in sys.argv and stale:
        sys.exit("not what runtimes.py says: " + ", ".join(stale[:10]) + "; run manifests/runtimes.py")
    for path in stale:
        if path not in files:
            os.remove(os.path.join(HERE, path))
    print(f"{len(files)} runtimes, {len(stale)} {'stale' if '--check' in sys.argv else 'written or removed'}")


if __name__ == "__main__":
    main()
