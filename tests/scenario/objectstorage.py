"""A double of Oracle Cloud: Object Storage, the instance metadata, the authentication service and OKE's proxymux.  It
checks every signature with the public key of whom the request says it is from, and how far the clocks are apart.  The
`oci` SDK is what it has to satisfy first (oci_test.py)."""

import base64
import datetime
import email.utils
import hashlib
import http.server
import json
import os
import re
import ssl
import threading
import time
import urllib.parse

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

TENANCY, USER = "ocid1.tenancy.oc1..ten", "ocid1.user.oc1..usr"
NAMESPACE, REGION = "mynamespace", "us-ashburn-1"
SKEW = 300  # seconds


def b64(data):
    return base64.b64encode(data).decode()


def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem_of(key, passphrase=None):
    how = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def fingerprint_of(key):
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.md5(der).digest().hex(":")


def certificate(key, units, address=None):
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "double")]
    names += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
    name, now = x509.Name(names), datetime.datetime.now(datetime.timezone.utc)
    builder = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
               .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
               .not_valid_after(now + datetime.timedelta(days=1)))
    if address:
        import ipaddress
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]),
                                        critical=False)
    return builder.sign(key, hashes.SHA256())


class Refusal(Exception):
    def __init__(self, status, code, message="refused"):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class Server:
    """The double; `tokens` are the session keys it knows, by token."""

    def __init__(self, token_life=1200):
        self.lock = threading.Lock()
        self.keys, self.tokens = {}, {}   # public keys by keyId
        self.objects, self.uploads = {}, {}
        self.buckets = {"models"}
        self.requests, self.faults = [], []  # of (method, path); of statuses to answer next
        self.after_list = None
        self.fail_parts, self.slowness = 0, 0  # SLOWNESS: seconds that an object takes to be sent
        self.token_life, self.issued, self.skew, self.page = token_life, 0, 0, 1000
        self.leaf_key = new_key()
        self.leaf = certificate(self.leaf_key, ["opc-certtype:instance", "opc-tenant:" + TENANCY])
        self.intermediate = certificate(self.leaf_key, [])
        self.service_account = "the-service-account"
        self.server = self.serve()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.mux = None

    def serve(self, context=None):
        outer = self

        class Handler(Requests):
            double = outer
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def serve_mux(self, folder):
        """The proxymux, on TLS with a certificate of its own; the service account is put into FOLDER."""
        os.makedirs(folder, exist_ok=True)
        key = new_key()
        pem = certificate(key, [], "127.0.0.1").public_bytes(serialization.Encoding.PEM)
        for name, data in (("ca.crt", pem), ("token", self.service_account.encode()), ("key.pem", pem_of(key))):
            with open(os.path.join(folder, name), "wb") as out:
                out.write(data)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder + "/ca.crt", folder + "/key.pem")
        self.mux = self.serve(context)
        return self.mux.server_address[1]

    def stop(self):
        for server in (self.server, self.mux):
            if server:
                server.shutdown()
                server.server_close()

    # ---- who ----

    def add_user(self, key):
        self.keys[f"{TENANCY}/{USER}/{fingerprint_of(key)}"] = key.public_key()

    def issue(self, public_key, life=None):
        now = int(time.time())
        self.issued += 1
        claims = {"sub": "ocid1.instance.oc1..i", "tenant": TENANCY, "res_tenant": TENANCY, "iat": now,
                  "exp": now + (life or self.token_life), "jti": self.issued}
        parts = [base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=")
                 for p in ({"alg": "RS256", "kid": "asw"}, claims)]
        token = ".".join([*parts, "c2lnbmF0dXJl"])
        self.tokens["ST$" + token] = (public_key, claims["exp"])
        return token

    def key_of(self, key_id):
        leaf_id = f"{TENANCY}/fed-x509/" + self.leaf.fingerprint(hashes.SHA1()).hex(":")
        if key_id == leaf_id:
            return self.leaf_key.public_key()
        if key_id in self.tokens:
            key, expires = self.tokens[key_id]
            if expires <= time.time():
                raise Refusal(401, "NotAuthenticated", "the token has expired")
            return key
        if key_id not in self.keys:
            raise Refusal(401, "NotAuthenticated", "unknown key")
        return self.keys[key_id]

    def put(self, name, data, bucket="models", **more):
        """An object as one PutObject makes it, unless MORE says otherwise."""
        entry = {"data": data, "md5": b64(hashlib.md5(data).digest()), "meta": {}, "headers": {},
                 "etag": hashlib.sha256(name.encode() + data).hexdigest()[:32]}
        entry.update(more)
        self.objects[bucket, name] = entry
        return entry


class Requests(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double = None

    def log_message(self, *_):
        pass

    def handle_any(self):
        d = self.double
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.target, _, query = self.path.partition("?")
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        with d.lock:
            d.requests.append((self.command, self.path))
            fault = d.faults.pop(0) if d.faults and self.target.startswith("/n") else None
        try:
            if fault:
                raise Refusal(fault, "TooManyRequests" if fault == 429 else "ServiceUnavailable")
            self.route()
        except Refusal as why:
            self.answer(why.status, json.dumps({"code": why.code, "message": why.message}).encode(),
                        {"Content-Type": "application/json", "Retry-After": "1" if why.status == 429 else ""})

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate((timestamp or time.time()) + self.double.skew, usegmt=True)

    def answer(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            if value:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str((headers or {}).get("length", len(body))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, value, headers=None):
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def route(self):
        d, parts = self.double, [urllib.parse.unquote(p) for p in self.target.split("/")[1:]]
        if self.target.startswith("/opc/v2/"):
            return self.metadata(self.target[len("/opc/v2"):])
        if self.target == "/resourcePrincipalSessionTokens":
            return self.proxymux()
        if self.target == "/v1/x509":
            return self.federate()
        self.authenticate()
        if parts in (["n"], ["n", ""]):
            return self.answer_json(NAMESPACE)
        if parts[0] != "n" or len(parts) < 5 or parts[2] != "b":
            raise Refusal(404, "NotFound")
        if parts[1] != NAMESPACE:
            raise Refusal(404, "NamespaceNotFound", f"no namespace {parts[1]}")
        if parts[3] not in d.buckets:
            raise Refusal(404, "BucketNotFound", f"no bucket {parts[3]}")
        name = "/".join(parts[5:])
        kind = (parts[4], self.command, bool(name))
        routes = {("o", "GET", False): self.list, ("o", "GET", True): self.get, ("o", "HEAD", True): self.get,
                  ("o", "PUT", True): self.put, ("u", "POST", False): self.create, ("u", "PUT", True): self.part,
                  ("u", "POST", True): self.commit, ("u", "DELETE", True): self.abort}
        if kind not in routes:
            raise Refusal(405, "MethodNotAllowed")
        routes[kind](parts[3], name)

    # ---- who ----

    def authenticate(self):
        fields = dict(re.findall(r'(\w+)="([^"]*)"', self.headers.get("Authorization", "")))
        if fields.get("algorithm") != "rsa-sha256" or fields.get("version") != "1":
            raise Refusal(401, "NotAuthenticated", "no signature")
        names, lines = fields["headers"].lower().split(), []
        for name in names:
            value = f"{self.command.lower()} {self.path}" if name == "(request-target)" else self.headers.get(name)
            if value is None:
                raise Refusal(401, "NotAuthenticated", f"{name} is signed but missing")
            lines.append(f"{name}: {value}")
        if not {"(request-target)", "host"} <= set(names) or not {"date", "x-date"} & set(names):
            raise Refusal(401, "NotAuthenticated", "too little is signed")
        if self.command == "POST":
            if "x-content-sha256" not in names or \
                    self.headers["x-content-sha256"] != b64(hashlib.sha256(self.body).digest()):
                raise Refusal(401, "NotAuthenticated", "the body is not what was signed")
        try:
            self.double.key_of(fields["keyId"]).verify(base64.b64decode(fields["signature"]), "\n".join(lines).encode(),
                                                       padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise Refusal(401, "NotAuthenticated", "the signature is wrong") from None
        sent = email.utils.parsedate_to_datetime(self.headers.get("x-date") or self.headers["date"]).timestamp()
        if abs(sent - time.time() - self.double.skew) > SKEW:
            raise Refusal(401, "NotAuthenticated", "the date is more than 5 minutes away")

    def metadata(self, path):
        d = self.double
        if self.headers.get("Authorization") != "Bearer Oracle":
            raise Refusal(401, "NotAuthenticated")
        pems = {"/identity/cert.pem": lambda: d.leaf.public_bytes(serialization.Encoding.PEM),
                "/identity/key.pem": lambda: pem_of(d.leaf_key),
                "/identity/intermediate.pem": lambda: d.intermediate.public_bytes(serialization.Encoding.PEM)}
        info = {"realmKey": "oc1", "realmDomainComponent": "oraclecloud.com", "regionKey": "IAD",
                "regionIdentifier": REGION}
        if path in pems:
            self.answer(200, pems[path]())
        elif path in ("/instance/regionInfo", "/instance/regionInfo/"):
            self.answer_json(info)
        elif path in ("/instance/region", "/instance/region/"):
            self.answer(200, b"iad")
        else:
            raise Refusal(404, "NotFound")

    def federate(self):
        self.authenticate()
        asked = json.loads(self.body)
        leaf = x509.load_der_x509_certificate(base64.b64decode(asked["certificate"]))
        if leaf != self.double.leaf or len(asked["intermediateCertificates"]) != 1:
            raise Refusal(401, "NotAuthenticated", "another certificate")
        x509.load_der_x509_certificate(base64.b64decode(asked["intermediateCertificates"][0]))
        key = serialization.load_der_public_key(base64.b64decode(asked["publicKey"]))
        self.answer_json({"token": self.double.issue(key)})

    def proxymux(self):
        if self.headers.get("Authorization") != "Bearer " + self.double.service_account:
            raise Refusal(403, "Forbidden", "no such service account")
        key = serialization.load_der_public_key(base64.b64decode(json.loads(self.body)["podKey"]))
        self.answer_json(b64(json.dumps({"token": "ST$" + self.double.issue(key)}).encode()))

    # ---- objects ----

    def list(self, bucket, _):
        prefix, start = self.query.get("prefix", ""), self.query.get("start", "")
        names = sorted(n for b, n in self.double.objects if b == bucket and n.startswith(prefix) and n >= start)
        limit = min(int(self.query.get("limit", 1000)), self.double.page)
        fields = self.query.get("fields", "name").split(",")
        out = {"objects": [], "prefixes": []}
        for name in names[:limit]:
            o = self.double.objects[bucket, name]
            known = {"name": name, "size": len(o["data"]), "md5": o["md5"], "etag": o["etag"],
                     "archivalState": o.get("archived"), "timeCreated": "2026-01-02T03:04:05.678Z"}
            out["objects"].append({k: v for k, v in known.items() if k in [*fields, "name"] and v is not None})
        if len(names) > limit:
            out["nextStartWith"] = names[limit]
        if self.double.after_list:
            self.double.after_list()
        self.answer_json(out)

    def get(self, bucket, name):
        o = self.double.objects.get((bucket, name))
        if o is None:
            raise Refusal(404, "ObjectNotFound", f"no object {name}")
        if self.headers.get("If-Match") not in (None, "*", o["etag"]):
            raise Refusal(412, "IfMatchFailed", "the object was changed")
        data, status = o["data"], 200
        headers = {"etag": o["etag"], "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes",
                   **o["headers"], **o["meta"]}
        headers["opc-multipart-md5" if "-" in o["md5"] else "Content-MD5"] = o["md5"]
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted and self.command == "GET":
            first = int(wanted[1]) if wanted[1] else max(0, len(data) - int(wanted[2]))
            last = min(int(wanted[2]) if wanted[1] and wanted[2] else len(data) - 1, len(data) - 1)
            if first > last:
                raise Refusal(416, "InvalidRange")
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data, status = data[first:last + 1], 206
        if self.command == "GET":
            time.sleep(self.double.slowness)
        headers["length"] = len(data)
        self.answer(status, data, headers)

    def checked_body(self):
        md5 = b64(hashlib.md5(self.body).digest())
        if self.headers.get("Content-MD5", md5) != md5:
            raise Refusal(400, "UnmatchedContentMD5", "the content is not what its MD5 says")
        return md5

    def put(self, bucket, name):
        md5 = self.checked_body()
        meta = {k.lower(): v for k, v in self.headers.items() if k.lower().startswith("opc-meta-")}
        o = self.double.put(name, self.body, bucket, meta=meta)
        self.answer(200, b"", {"etag": o["etag"], "opc-content-md5": md5})

    def upload(self, name):
        upload = self.double.uploads.get(self.query.get("uploadId"))
        if upload is None or upload["object"] != name:
            raise Refusal(404, "NoSuchUpload")
        return upload

    def create(self, bucket, _):
        asked = json.loads(self.body)
        upload_id = os.urandom(8).hex()
        self.double.uploads[upload_id] = {"object": asked["object"], "meta": asked.get("metadata", {}), "parts": {}}
        self.answer_json({"namespace": NAMESPACE, "bucket": bucket, "object": asked["object"], "uploadId": upload_id,
                          "timeCreated": "2026-11-23T10:45:08.271Z"})

    def part(self, _, name):
        number, md5 = int(self.query["uploadPartNum"]), self.checked_body()
        with self.double.lock:
            if self.double.fail_parts:
                self.double.fail_parts -= 1
                raise Refusal(400, "InvalidPart", "a part that is refused")
        self.upload(name)["parts"][number] = self.body
        self.answer(200, b"", {"etag": f"p{number}", "opc-content-md5": md5})

    def commit(self, bucket, name):
        upload, wanted = self.upload(name), json.loads(self.body)["partsToCommit"]
        numbers = [p["partNum"] for p in wanted]
        if any(p["etag"] != f"p{p['partNum']}" for p in wanted) or sorted(numbers) != sorted(upload["parts"]):
            raise Refusal(400, "InvalidUploadPart")
        parts = [upload["parts"][n] for n in sorted(numbers)]
        md5 = b64(hashlib.md5(b"".join(hashlib.md5(p).digest() for p in parts)).digest()) + f"-{len(parts)}"
        del self.double.uploads[self.query["uploadId"]]
        o = self.double.put(name, b"".join(parts), bucket, md5=md5, meta=upload["meta"])
        self.answer(200, b"", {"etag": o["etag"], "opc-multipart-md5": md5})

    def abort(self, _, name):
        self.upload(name)
        del self.double.uploads[self.query["uploadId"]]
        self.answer(204)
