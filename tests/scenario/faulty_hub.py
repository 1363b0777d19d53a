"""A model hub that goes wrong as it is told, counts what it is asked, and keeps what it was sent of secrets."""

import collections
import http.server
import json
import re
import ssl
import threading

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Answer(Exception):
    """Ends a request with this status and these headers."""

    def __init__(self, status, **headers):
        super().__init__(status)
        self.status = status
        self.headers = {k.replace("_", "-"): v for k, v in headers.items()}


class FaultyHub:
    """Serves the model test/model of FILES (bytes, or a folder's file by path and size; digest by path).

    fault(request, first, last) is called for each request of a file's bytes, numbered from 1 in request.number; it may
    raise Answer, return a changed (status, first, last, total, body, headers), or None for the right answer."""

    def __init__(self, files, digests, fault=None, tls=None):
        self.files, self.digests, self.fault = files, digests, fault
        self.lock, self.count, self.ranges = threading.Lock(), 0, collections.Counter()
        self.authorizations = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                try:
                    outer.serve(self)
                except Answer as a:
                    self.send_response(a.status)
                    for key, value in a.headers.items():
                        self.send_header(key, value)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    self.close_connection = True

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 256

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def send_json(self, request, document):
        text = json.dumps(document).encode()
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def serve(self, request):
        if request.path.startswith("/api/models/test/model/revision/"):
            self.send_json(request, {"id": "test/model", "sha": COMMIT})
        elif request.path.startswith("/api/models/test/model/tree/"):
            self.send_json(request, [{"type": "file", "path": p, "size": self.size(p), "oid": self.digests[p][:40],
                                      "lfs": {"oid": self.digests[p], "size": self.size(p)}} for p in self.files])
        else:
            self.serve_file(request)

    def size(self, path):
        data = self.files[path]
        return data[1] if isinstance(data, tuple) else len(data)

    def serve_file(self, request):
        path = re.sub(r"^/(test/model/resolve/[^/]+|cdn)/", "", request.path.split("?")[0])
        if path not in self.files:
            raise Answer(404)
        total = self.size(path)
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        first, last = (int(match[1]), int(match[2])) if match else (0, total - 1)
        with self.lock:
            self.count += 1
            request.number, request.name = self.count, path
            self.ranges[path, last] += 1
            self.authorizations.append(request.headers.get("Authorization"))
        if first >= total > 0:
            raise Answer(416)
        changed = self.fault(request, first, last) if self.fault else None
        status, first, last, total, body, headers = changed or (206 if match else 200, first, last, total, None, {})
        self.send(request, path, status, first, last, total, body, headers)

    def send(self, request, path, status, first, last, total, body, headers):
        request.send_response(status)
        for key, value in {"ETag": '"one"', **headers}.items():
            request.send_header(key, value)
        if status == 206:
            request.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        request.send_header("Content-Length", str(last - first + 1))
        request.end_headers()
        if isinstance(self.files[path], tuple) and body is None:
            with open(self.files[path][0], "rb") as source:
                request.connection.sendfile(source, first, last - first + 1)
            return
        body = self.files[path][first:last + 1] if body is None else body
        request.wfile.write(body)
        if len(body) < last - first + 1:
            request.close_connection = True

    # ---- what may go wrong, TIMES times (None: always) -------------------------------------------------------------------

    def part(self, request, first, last):
        """What send() takes, as it should be."""
        return [206 if request.headers.get("Range") else 200, first, last, self.size(request.name), None, {}]

    @staticmethod
    def limited(times, action):
        left, lock = [times], threading.Lock()

        def fault(request, first, last):
            with lock:
                if left[0] is not None and left[0] <= 0:
                    return None
                if left[0] is not None:
                    left[0] -= 1
            return action(request, first, last)

        return fault

    def drop(self, request, first, last):
        request.connection.close()
        raise OSError

    def truncate(self, request, first, last):
        answer = self.part(request, first, last)
        answer[4] = self.files[request.name][first:last + 1][:(last - first + 1) // 2]
        return answer

    def stall(self, request, first, last):
        answer = self.truncate(request, first, last)
        self.send(request, request.name, *answer)
        request.wfile.flush()
        self.stalled.wait(60)
        raise OSError

    stalled = threading.Event()

    def wrong_range(self, request, first, last):
        answer = self.part(request, first, last)
        answer[3] += 1
        return answer

    def no_ranges(self, request, first, last):
        total = self.size(request.name)
        return 200, 0, total - 1, total, None, {}

    def wrong_bytes(self, request, first, last):
        answer = self.part(request, first, last)
        body = bytearray(self.files[request.name][first:last + 1])
        body[len(body) // 2] ^= 1
        answer[4] = bytes(body)
        return answer

    def other_etag(self, request, first, last):
        answer = self.part(request, first, last)
        answer[5] = {"ETag": '"two"'}
        return answer

    @staticmethod
    def status(status, **headers):
        def action(request, first, last):
            raise Answer(status, **headers)

        return action


