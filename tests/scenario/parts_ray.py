#!/usr/bin/env python3
"""Ray's program for local_modes_test.py: nodes that meet, and no more.

usage: ray start --head --block ... | ray start --address=HOST:PORT --block ... | ray health-check --address HOST:PORT

A head counts the nodes that hold on to it, itself among them, and tells who asks; a node ends with its head.
"""

import argparse
import os
import socket
import socketserver
import sys


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("start", "health-check"))
    parser.add_argument("--head", action="store_true")
    parser.add_argument("--block", action="store_true")
    parser.add_argument("--port", type=int, default=6379)
    parser.add_argument("--address")
    parser.add_argument("--node-ip-address")
    return parser.parse_known_args()[0]


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)))


class Node(socketserver.StreamRequestHandler):
    """What somebody asks of a head."""

    def handle(self):
        word = self.rfile.readline().decode().strip()
        if word == "join":
            self.server.nodes.add(self.client_address)
            self.rfile.read()
            self.server.nodes.discard(self.client_address)
        elif word == "count":
            self.wfile.write(f"{1 + len(self.server.nodes)}\n".encode())


class Head(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    nodes = set()


def main():
    args = arguments()
    if args.verb == "health-check":
        try:
            connect(args.address).close()
        except OSError:
            sys.exit(1)
        return
    assert args.block and args.node_ip_address, sys.argv  # a node of its own, and not this machine
    if args.head:
        Head(("0.0.0.0", args.port), Node).serve_forever()
    assert os.environ["RAY_ADDRESS"] == args.address, (os.environ["RAY_ADDRESS"], args.address)
    with connect(args.address) as head:
        head.sendall(b"join\n")
        head.recv(1)
    sys.exit("the head is gone")


main()
