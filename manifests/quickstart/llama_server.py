#!/usr/bin/env python3
"""llama.cpp's server for machines that have no llama-server binary: the same flags, as far as they are listed here,
on top of the xllamacpp wheel, which is llama.cpp's own server code built as a library."""

import argparse
import signal
import threading

import xllamacpp


def arguments():
    parser = argparse.ArgumentParser(prog="llama-server", description=__doc__)
    parser.add_argument("-m", "--model", required=True, help="GGUF file")
    parser.add_argument("-a", "--alias", help="name that the API answers with")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("-c", "--ctx-size", type=int, default=0, help="tokens; 0: the model's own")
    parser.add_argument("-np", "--parallel", type=int, default=1, help="requests at a time")
    parser.add_argument("-t", "--threads", type=int, default=-1)
    parser.add_argument("--lora", action="append", default=[], metavar="FILE", help="adapter in GGUF; repeatable")
    parser.add_argument("--metrics", action="store_true")
    parser.add_argument("--embedding", "--embeddings", action="store_true")
    return parser.parse_args()


def adapter(path):
    info = xllamacpp.CommonAdapterLoraInfo()
    info.path = path
    return info


def main():
    args = arguments()
    params = xllamacpp.CommonParams()
    params.model.path = args.model
    if args.alias:
        params.model_alias = {args.alias}
    params.hostnames = [args.host]
    params.port = args.port
    params.n_ctx = args.ctx_size
    params.n_parallel = args.parallel
    params.cpuparams.n_threads = args.threads
    params.endpoint_metrics = args.metrics
    params.embedding = args.embedding
    params.lora_adapters = [adapter(path) for path in args.lora]
    params.ui = False

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = xllamacpp.Server(params)
    stop.wait()
    del server


main()
