"""A hub that takes commits, as far as huggingface_hub sees it: which files go to LFS, its batch API with a store on another port, and
commits in lines of JSON. Everything but the store wants the token; the store must not see it."""

import base64
import hashlib
import http.server
import json
import re
import threading
import urllib.parse

TOKEN = "hf_writes"


def git_sha1(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class WritableHub:
    """FILES: by repository and path, (data, whether it is in LFS). Repositories are there when they are in REPOSITORIES."""

    def __init__(self, repositories):
        self.files, self.objects, self.commits, self.repositories = {}, {}, [], set(repositories)
        self.api, self.store = (self.serve(kind) for kind in (Api, Store))
        self.url, self.store_url = (f"http://127.0.0.1:{s.server_port}" for s in (self.api, self.store))

    def serve(self, kind):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (kind,), {"hub": self}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def below(self, repository, prefix=""):
        return {path.removeprefix(prefix): data for (repo, path), (data, _) in self.files.items()
                if repo == repository and path.startswith(prefix)}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status, value=b"", **headers):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        self.wfile.write(data if self.command != "HEAD" else b"")

    def log_message(self, *_):
        pass


class Store(Handler):
    def do_PUT(self):
        data = self.body()
        if self.headers.get("Authorization") or not self.path.endswith("?signature=x"):
            return self.answer(403)
        self.hub.objects[hashlib.sha256(data).hexdigest()] = data
        return self.answer(200)


class Api(Handler):
    def route(self):
        body, path = self.body(), urllib.parse.unquote(urllib.parse.urlparse(self.path).path)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid credentials"}, X_Error_Message="Invalid credentials in Authorization header")
        for pattern, handler in ((r"/api/models/([^/]+/[^/]+)/preupload/main", self.preupload),
                                 (r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", self.batch),
                                 (r"/api/models/([^/]+/[^/]+)/commit/main", self.commit),
                                 (r"/api/models/([^/]+/[^/]+)(?:/revision/[^/]+)?", self.info),
                                 (r"/api/models/([^/]+/[^/]+)/tree/[^/]+", self.tree)):
            found = re.fullmatch(pattern, path)
            if found and found[1] not in self.hub.repositories:
                return self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            if found:
                return handler(found[1], body)
        return self.answer(404, {"error": path})

    do_GET = do_POST = route

    def preupload(self, _, body):
        def mode(f):
            assert len(base64.b64decode(f["sample"])) == min(512, f["size"]), f
            return "lfs" if f["path"].endswith(".safetensors") else "regular"
        return self.answer(200, {"files": [{"path": f["path"], "uploadMode": mode(f), "shouldIgnore": f["path"].endswith(".secret"), "oid": None}
                                           for f in json.loads(body)["files"]]})

    def batch(self, _, body):
        asked = json.loads(body)
        assert self.headers["Accept"] == "application/vnd.git-lfs+json" and "basic" in asked["transfers"], asked
        return self.answer(200, {"transfer": "basic", "objects": [
            {"oid": o["oid"], "size": o["size"], **({} if o["oid"] in self.hub.objects else {"actions": {"upload": {
                "href": f"{self.hub.store_url}/{o['oid']}?signature=x"}}})} for o in asked["objects"]]})

    def commit(self, repo, body):
        lines = [json.loads(line) for line in body.splitlines()]
        assert lines[0]["key"] == "header" and lines[0]["value"]["summary"], lines[0]
        for entry in lines[1:]:
            value = entry["value"]
            if entry["key"] == "file":
                self.hub.files[repo, value["path"]] = (base64.b64decode(value["content"]), False)
            elif value["oid"] not in self.hub.objects:
                return self.answer(400, {"error": f"LFS object {value['oid']} was not uploaded"})
            else:
                self.hub.files[repo, value["path"]] = (self.hub.objects[value["oid"]], True)
        self.hub.commits.append(lines[0]["value"]["summary"])
        return self.answer(200, {"success": True, "commitOid": self.head(), "commitUrl": f"{self.hub.url}/{repo}/commit/{self.head()}"})

    def head(self):
        return hashlib.sha1(str(len(self.hub.commits)).encode()).hexdigest()

    def info(self, repo, _):
        return self.answer(200, {"id": repo, "sha": self.head(), "siblings": [{"rfilename": p} for p in self.hub.below(repo)]})

    def tree(self, repo, _):
        return self.answer(200, [{"type": "file", "path": path, "size": len(data), "oid": git_sha1(data),
                                  **({"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}} if lfs else {})}
                                 for (of, path), (data, lfs) in self.hub.files.items() if of == repo])
