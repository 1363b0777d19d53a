"""A hub with one repository, acme/xet, whose files are in Xet storage, and that storage: what clients upload is taken
apart by what their own shards say and served again.  It decodes nothing; faults are asked for by name."""

import hashlib
import http.server
import json
import re
import struct
import sys
import threading
import time
import urllib.parse

COMMIT = "c0ffee" * 6 + "c0ff"
REPO = "acme/xet"
HEADER, MORE_INFO, VERIFIED, WITH_SHA256 = 48, 48, 1 << 31, 1 << 30


def hash_text(raw):
    """Four little-endian numbers of 64 bits (CAS API, "Converting Hashes to Strings")."""
    return "".join(f"{n:016x}" for n in struct.unpack("<4Q", raw))


def read_shard(data):
    """(file hash, sha256, [(xorb, unpacked, start, end)]) of each file: the file section of the shard format."""
    at, files = HEADER, []
    while data[at:at + 32] != b"\xff" * 32:
        name, flags, entries = hash_text(data[at:at + 32]), *struct.unpack_from("<II", data, at + 32)
        at += MORE_INFO
        terms = []
        for _ in range(entries):
            _, unpacked, start, end = struct.unpack_from("<4I", data, at + 32)
            terms.append((hash_text(data[at:at + 32]), unpacked, start, end))
            at += MORE_INFO
        at += entries * MORE_INFO if flags & VERIFIED else 0
        # A SHA-256 is no Xet hash, but is written as one.
        sha256 = hash_text(data[at:at + 32]) if flags & WITH_SHA256 else None
        at += MORE_INFO if flags & WITH_SHA256 else 0
        files.append((name, sha256, terms))
    return files


def chunks_of(xorb):
    """(first byte, content's length, scheme) of each chunk, and where the last ends."""
    at, found = 0, []
    while at + 8 <= len(xorb) and xorb[at] == 0:
        packed = int.from_bytes(xorb[at + 1:at + 4], "little")
        found.append((at, int.from_bytes(xorb[at + 5:at + 8], "little"), xorb[at + 4]))
        at += 8 + packed
    return found, at


class XetHub(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.xorbs, self.terms, self.files = {}, {}, {}  # by hash, by hash, path -> (sha256, size, hash)
        self.hash_by_sha256 = {}
        self.requests, self.tokens, self.signed = [], 0, 0
        self.faults = {}  # name -> times left
        self.versions = ("v1", "v2")
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that has read enough
            super().handle_error(request, client_address)

    def fault(self, name):
        with self.lock:
            left = self.faults.get(name, 0)
            self.faults[name] = left - 1
            return left > 0

    def count(self, pattern):
        return sum(1 for line in self.requests if re.search(pattern, line))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        if not isinstance(body, bytes):
            body, headers["Content_Type"] = json.dumps(body).encode(), "application/json"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        path = urllib.parse.unquote(self.path.split("?")[0])
        hub = self.server
        with hub.lock:
            hub.requests.append(f"{self.command} {self.path} {self.headers.get('Range', '')}")
        for pattern, do in ROUTES:
            found = re.fullmatch(pattern, path)
            if found:
                do(self, hub, *found.groups())
                return
        self.answer(404, {"error": "Not found"}, X_Error_Code="EntryNotFound")

    do_GET = do_POST = do_HEAD = do_PUT = handle_any

    # The hub's part.

    def info(self, hub, _):
        self.answer(200, {"_id": "1", "id": REPO, "sha": COMMIT, "private": False, "gated": False, "tags": [],
                          "siblings": [{"rfilename": path} for path in hub.files]})

    def entries(self, hub):
        return [{"type": "file", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": size, "path": path,
                 "lfs": {"oid": sha256, "size": size, "pointerSize": 134}, "xetHash": name}
                for path, (sha256, size, name) in sorted(hub.files.items())]

    def tree(self, hub, _):
        self.answer(200, self.entries(hub))

    def paths_info(self, hub, _):
        self.answer(200, self.entries(hub))

    def token(self, hub, _kind, _revision):
        with hub.lock:
            hub.tokens += 1
            token = f"cas-{hub.tokens}"
        expires = int(time.time()) + 3600
        self.answer(200, {"accessToken": token, "exp": expires, "casUrl": hub.url}, X_Xet_Cas_Url=hub.url,
                    X_Xet_Access_Token=token, X_Xet_Token_Expiration=str(expires))

    def resolve(self, hub, path):
        if path not in hub.files:
            self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
            return
        sha256, size, name = hub.files[path]
        auth = f"{hub.url}/api/models/{REPO}/xet-read-token/{COMMIT}"
        self.answer(200, b"{}", ETag=f'"{sha256}"', X_Linked_Etag=f'"{sha256}"', X_Linked_Size=str(size),
                    X_Repo_Commit=COMMIT, X_Xet_Hash=name, Content_Type="application/vnd.xet-fileinfo+json",
                    Link=f'<{auth}>; rel="xet-auth", <{hub.url}/v1/reconstructions/{name}>; rel="xet-reconstruction-info"')

    # Uploads.

    def preupload(self, hub, _):
        files = json.loads(self.body)["files"]
        self.answer(200, {"files": [{"path": f["path"], "uploadMode": "lfs", "shouldIgnore": False} for f in files]})

    def batch(self, hub):
        header = {"X-Xet-Cas-Url": hub.url, "X-Xet-Access-Token": "cas-0", "X-Xet-Session-Id": "1",
                  "X-Xet-Token-Expiration": str(int(time.time()) + 3600)}
        href = f"{hub.url}/api/models/{REPO}/xet-write-token/main"
        self.answer(200, {"transfer": "xet", "objects": [
            dict(o, actions={"upload": {"href": href, "header": header}}) for o in json.loads(self.body)["objects"]]})

    def take_xorb(self, hub, name):
        hub.xorbs[name] = self.body
        self.answer(200, {"was_inserted": True})

    def take_shard(self, hub):
        for name, sha256, terms in read_shard(self.body):
            hub.terms[name] = terms
            hub.hash_by_sha256[sha256] = name
        self.answer(200, {"result": 1})

    def commit(self, hub, _):
        for line in self.body.decode().splitlines():
            entry = json.loads(line)
            if entry["key"] == "lfsFile":
                f = entry["value"]
                name = hub.hash_by_sha256[hashed(f["oid"])] if hashed(f["oid"]) in hub.hash_by_sha256 \
                    else hub.hash_by_sha256[f["oid"]]
                hub.files[f["path"]] = (f["oid"], f["size"], name)
        self.answer(200, {"success": True, "commitOid": COMMIT, "commitUrl": hub.url, "hookOutput": ""})

    # The storage's part.

    def reconstruction(self, hub, version, name):
        token = self.headers.get("Authorization", "")
        if not token.startswith("Bearer cas-") or hub.fault("token"):
            self.answer(401, b"")
            return
        if version not in hub.versions or name not in hub.terms:
            self.answer(404, b"")
            return
        if hub.fault("no-json"):
            self.answer(200, b"{]")
            return
        first, last = self.span(sum(t[1] for t in hub.terms[name]))
        terms, at, skip = [], 0, None
        for term in hub.terms[name]:
            kept = self.cut(hub, term, at, first, last)
            if kept:
                skip = first - kept[0] if skip is None else skip
                terms.append((term[0], kept[1], kept[2], kept[3]))
            at += term[1]
        ranges = merged([(t[0], t[2], t[3]) for t in terms])
        with hub.lock:
            hub.signed += 1
        self.answer(200, self.describe(hub, version, terms, ranges, max(skip or 0, 0)))

    def span(self, size):
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        return (int(found[1]), min(int(found[2] or size - 1), size - 1)) if found else (0, size - 1)

    def cut(self, hub, term, at, first, last):
        """(where it begins, unpacked, start, end) of the chunks of TERM, which is at AT, that FIRST to LAST needs."""
        chunks, kept = chunks_of(hub.xorbs[term[0]])[0], []
        for i in range(term[2], term[3]):
            if at <= last and at + chunks[i][1] > first:
                kept.append((at, i, chunks[i][1]))
            at += chunks[i][1]
        return (kept[0][0], sum(k[2] for k in kept), kept[0][1], kept[-1][1] + 1) if kept else None

    def describe(self, hub, version, terms, ranges, skip):
        listed = {}
        for xorb, start, end in ranges:
            chunks, length = chunks_of(hub.xorbs[xorb])
            stop = chunks[end][0] if end < len(chunks) else length
            listed.setdefault(xorb, []).append((start, end, chunks[start][0], stop - 1))
        answer = {"offset_into_first_range": skip, "terms": [
            {"hash": x, "unpacked_length": n, "range": {"start": a, "end": b}} for x, n, a, b in terms]}
        url = f"{hub.url}/xorb/%s?signature={hub.signed}"
        if version == "v1":
            answer["fetch_info"] = {x: [{"range": {"start": a, "end": b}, "url": url % x,
                                         "url_range": {"start": c, "end": d}} for a, b, c, d in l]
                                    for x, l in listed.items()}
        else:
            answer["xorbs"] = {x: [{"url": url % x, "ranges": [
                {"chunks": {"start": a, "end": b}, "bytes": {"start": c, "end": d}} for a, b, c, d in l]}]
                for x, l in listed.items()}
        return answer

    def xorb(self, hub, name):
        data = hub.xorbs[name]
        if "Authorization" in self.headers:
            self.answer(400, b"a token where none belongs")
            return
        if hub.fault("expired"):
            self.answer(403, b"expired")
            return
        spans = [tuple(map(int, s.split("-"))) for s in self.headers["Range"].removeprefix("bytes=").split(",")]
        if len(spans) > 1:
            edge = b"edge"
            body = b"".join(b"--edge\r\nContent-Range: bytes %d-%d/%d\r\n\r\n%s\r\n" % (a, b, len(data), data[a:b + 1])
                            for a, b in spans) + b"--edge--\r\n"
            self.answer(206, body, Content_Type="multipart/byteranges; boundary=" + edge.decode())
            return
        first, last = spans[0]
        body = bytearray(data[first:last + 1])
        for fault, spoil in SPOILED.items():
            if hub.fault(fault):
                body = spoil(body)
        self.answer(206, bytes(body), Content_Range=f"bytes {first}-{last}/{len(data)}")


def hashed(sha256):
    """The text of a SHA-256 that is written as if it were a Xet hash."""
    return hash_text(bytes.fromhex(sha256))


def merged(ranges):
    """Chunk ranges of each xorb that touch, as one."""
    out = []
    for xorb, start, end in sorted(ranges):
        if out and out[-1][0] == xorb and start <= out[-1][2]:
            out[-1] = (xorb, out[-1][1], max(out[-1][2], end))
        else:
            out.append((xorb, start, end))
    return out


def changed(at, value):
    def spoil(body):
        body[at] = value
        return body
    return spoil


def flipped(body):
    body[len(body) // 2] ^= 0x10
    return body


SPOILED = {"truncated": lambda body: body[:-5], "flipped": flipped, "version": changed(0, 7), "scheme": changed(4, 9),
           "overflow": changed(7, 0xff)}
ROUTES = [(pattern.replace("REPO", REPO), do) for pattern, do in [
    ("/api/models/REPO(?:/revision/([^/]+))?", Handler.info), ("/api/models/REPO/tree/([^/]+)", Handler.tree),
    ("/api/models/REPO/paths-info/([^/]+)", Handler.paths_info),
    ("/api/models/REPO/xet-(read|write)-token/([^/]+)", Handler.token),
    ("/REPO/resolve/[^/]+/(.+)", Handler.resolve), ("/api/models/REPO/preupload/([^/]+)", Handler.preupload),
    (r"/REPO\.git/info/lfs/objects/batch", Handler.batch), ("/api/models/REPO/commit/([^/]+)", Handler.commit),
    ("/(?:v1/)?xorbs/default/([0-9a-f]{64})", Handler.take_xorb), ("/(?:v1/)?shards?", Handler.take_shard),
    ("/(v1|v2)/reconstructions/([0-9a-f]{64})", Handler.reconstruction), ("/xorb/([0-9a-f]{64})", Handler.xorb)]]
