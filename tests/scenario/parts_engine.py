#!/usr/bin/env python3
"""An engine of no model for local_modes_test.py, in every part that a service can have.

usage: parts_engine.py DATA PORT [MODEL] [flags as SGLang, its router and vLLM have them]

Alone it answers chat completions, and says which adapters it was given. As the leader of a group it does so when all
workers have come to --dist-init-addr; as a worker it holds on to its leader and ends with it. Over Ray (--pipeline-parallel-size
above 1) it does when as many nodes have joined; parts_ray.py plays Ray. As a router
(--service-discovery) it asks the API server on PORT, whose kubeconfig is in DATA, for the pods that its selectors find,
and asks one of each. While there is DATA/hold none of them is ready.
"""

import argparse
import http.client
import http.server
import json
import os
import socket
import sys
import time


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("data")
    parser.add_argument("api_port", type=int)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--model-path", "--model", dest="model_path")
    parser.add_argument("--tensor-parallel-size", type=int, default=1)
    parser.add_argument("--pipeline-parallel-size", type=int, default=1)
    parser.add_argument("--enable-lora", action="store_true")
    parser.add_argument("--lora-modules", nargs="*", default=[])
    parser.add_argument("--max-loras", type=int)
    parser.add_argument("--max-lora-rank", type=int)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--nnodes", type=int, default=1)
    parser.add_argument("--node-rank", type=int, default=0)
    parser.add_argument("--dist-init-addr")
    parser.add_argument("--disaggregation-mode", default="whole")
    parser.add_argument("--pd-disaggregation", action="store_true")
    parser.add_argument("--service-discovery", action="store_true")
    parser.add_argument("--service-discovery-namespace")
    parser.add_argument("--service-discovery-port", type=int, default=8080)
    parser.add_argument("--policy")
    parser.add_argument("--selector", nargs="*")
    parser.add_argument("--prefill-selector", nargs="*")
    parser.add_argument("--decode-selector", nargs="*")
    return parser.parse_args()


def follow(args):
    """A worker: says who it is, and ends when its leader does."""
    host, port = args.dist_init_addr.rsplit(":", 1)
    while True:
        try:
            leader = socket.create_connection((host, int(port)))
            break
        except OSError:
            time.sleep(0.05)
    leader.sendall(f"{args.node_rank} of {args.nnodes}\n".encode())
    leader.recv(1)
    sys.exit(1)


def gather(args):
    """A leader: the connections of all its workers."""
    port = int(args.dist_init_addr.rsplit(":", 1)[1])
    listener = socket.create_server(("0.0.0.0", port))
    workers = {}
    while len(workers) < args.nnodes - 1:
        connection, _ = listener.accept()
        workers[connection.makefile().readline().strip()] = connection
    assert sorted(workers) == [f"{i} of {args.nnodes}" for i in range(1, args.nnodes)], workers
    return workers


def await_ray(nodes):
    """Until NODES have joined the cluster of RAY_ADDRESS."""
    host, port = os.environ["RAY_ADDRESS"].rsplit(":", 1)
    while True:
        with socket.create_connection((host, int(port))) as head:
            head.sendall(b"count\n")
            if int(head.makefile().readline()) >= nodes:
                return
        time.sleep(0.05)


def ask(pod, port):
    connection = http.client.HTTPConnection(pod["status"]["podIP"], port, timeout=30)
    connection.request("POST", "/v1/chat/completions", "{}")
    return json.loads(connection.getresponse().read())["choices"][0]["message"]["content"]


def route(args):
    """What one pod of each selector answers."""
    import scenario  # only here: the others start the sooner
    platform = scenario.Platform.__new__(scenario.Platform)
    platform.data, platform.port = args.data, args.api_port
    answers = []
    for selector in (args.prefill_selector, args.decode_selector) if args.pd_disaggregation else (args.selector,):
        found = platform.api("GET", f"/api/v1/namespaces/{args.service_discovery_namespace}/pods?labelSelector=" +
                             "%2C".join(part.replace("=", "%3D") for part in selector))["items"]
        ready = [p for p in found if {"type": "Ready", "status": "True"}.items() <= next(
            (c for c in p["status"].get("conditions", []) if c["type"] == "Ready"), {}).items()]
        answers.append(ask(ready[0], args.service_discovery_port))
    return " then ".join(answers) + ("" if args.pd_disaggregation else ", routed")


def adapters(args):
    """What the adapters that the engine was given say of themselves, by the names that it knows them by."""
    said = []
    for name, path in (module.split("=", 1) for module in args.lora_modules if args.enable_lora):
        with open(os.path.join(path, "adapter_config.json"), encoding="utf-8") as file:
            said.append(f"{name} for {json.load(file)['task_type']}")
    return "".join(f" with {text}" for text in said)


def main():
    args = arguments()
    if args.node_rank:
        follow(args)
    group = gather(args) if args.nnodes > 1 else {}
    nodes = args.pipeline_parallel_size if args.pipeline_parallel_size > 1 else 1 + len(group)
    if args.pipeline_parallel_size > 1:
        await_ray(nodes)
    while os.path.exists(os.path.join(args.data, "hold")):
        time.sleep(0.05)
    size = os.environ.get("LWS_GROUP_SIZE", args.pipeline_parallel_size)
    answer = f"{args.disaggregation_mode} by {nodes} of {size}" + adapters(args)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):  # probes
            self.say({})

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            text = route(args) if args.service_discovery else answer
            self.say({"choices": [{"message": {"role": "assistant", "content": text}}]})

        def say(self, what):
            body = json.dumps(what).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    http.server.ThreadingHTTPServer(("0.0.0.0", args.port), Handler).serve_forever()


main()
