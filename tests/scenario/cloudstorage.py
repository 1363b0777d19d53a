"""A double of Google Cloud Storage: its JSON API, the token endpoints, the metadata servers of Google and of AWS.  It checks tokens, the
signatures of service accounts, checksums and preconditions.  The `google-cloud-storage` client is what it has to satisfy
first (gcs_test.py)."""

import base64
import email.parser
import gzip
import hashlib
import http.server
import json
import re
import ssl
import threading
import time
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import google_crc32c
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

EMAIL, CLIENT_SECRET, REFRESH = "loader@project.iam.gserviceaccount.com", "the-client-secret", "1//the-refresh-token"


def b64(data):
    return base64.b64encode(data).decode()


def unb64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def account(key, token_uri, **more):
    """The JSON of a service account, as the console writes it."""
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {"type": "service_account", "project_id": "project", "private_key_id": "k1", "private_key": pem.decode(),
            "client_email": EMAIL, "client_id": "1", "token_uri": token_uri, **more}


def user(**more):
    return {"type": "authorized_user", "client_id": "c.apps", "client_secret": CLIENT_SECRET, "refresh_token": REFRESH,
            **more}


AUDIENCE = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/cluster"
SUBJECT, JWT = "eyJ.the-subject.token", "urn:ietf:params:oauth:token-type:jwt"
MTLS_TYPE = "urn:ietf:params:oauth:token-type:mtls"
AWS_TYPE, AWS_KEYS = "urn:ietf:params:aws:token-type:aws4_request", ("AKIATHEKEY", "the/secret+key", "the-session")


def external(url, source, impersonate=False, **more):
    """What `gcloud iam workload-identity-pools create-cred-config` writes, with the double in Google's place."""
    theirs = {"service_account_impersonation_url": f"{url}/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken"}
    return {"type": "external_account", "audience": AUDIENCE, "subject_token_type": JWT, "token_url": url + "/v1/token",
            "credential_source": source, **(theirs if impersonate else {}), **more}


def aws_source(url):
    """Of an instance at AWS, with the double in its metadata service's place."""
    data = url + "/latest/meta-data"
    return {"environment_id": "aws1", "region_url": data + "/placement/availability-zone", "url": data + "/iam/security-credentials",
            "imdsv2_session_token_url": url + "/latest/api/token",
            "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"}


def is_ours_at_aws(subject):
    """Whether the request that the subject shows is one that AWS would say our name to, as AWS's own signer has it."""
    asked = json.loads(urllib.parse.unquote(subject))
    headers = {h["key"]: h["value"] for h in asked["headers"]}
    said = headers.pop("Authorization")
    if headers["x-goog-cloud-target-resource"] != AUDIENCE or headers["host"] != urllib.parse.urlparse(asked["url"]).hostname:
        return False
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(*AWS_KEYS), "sts", "eu-west-1")
    signed = set(re.search("SignedHeaders=([^,]+),", said)[1].split(";")) - {"host"}  # Google's client signs not all that it sends
    request = botocore.awsrequest.AWSRequest(asked["method"], asked["url"], {k: headers[k] for k in signed})
    request.context["timestamp"] = headers["x-amz-date"]
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return said.startswith(f"AWS4-HMAC-SHA256 Credential={AWS_KEYS[0]}/") and said.endswith("Signature=" + signature)


class Refusal(Exception):
    def __init__(self, status, reason, message):
        super().__init__(reason)
        self.status, self.reason, self.message = status, reason, message


class Server:
    def __init__(self, token_life=3600):
        self.lock = threading.Lock()
        self.key, self.tokens, self.token_life = new_key(), {}, token_life
        self.objects, self.old, self.uploads, self.sessions = {}, {}, {}, 0
        self.buckets, self.public, self.versioned, self.paid_by_caller = {"models"}, set(), set(), set()
        self.requests, self.ranges, self.faults = [], [], []
        self.federated, self.may_impersonate = {}, True
        self.page, self.generation, self.slowness, self.keep = 1000, 1700000000000000, 0, None
        self.after_list = None
        outer = self

        class Handler(Requests):
            double = outer
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # clients are killed
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = "http://" + self.host
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def with_certificates(self, cert, key):
        """The same over TLS, for who shows a certificate, too; its address.  CERT is ours and who we trust."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        context.load_verify_locations(cert)
        context.verify_mode = ssl.CERT_REQUIRED
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.server.RequestHandlerClass)
        server.daemon_threads, server.handle_error = True, lambda *_: None
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"https://127.0.0.1:{server.server_address[1]}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def issue(self):
        token = f"ya29.token-{len(self.tokens)}"
        self.tokens[token] = time.time() + self.token_life
        return {"access_token": token, "expires_in": self.token_life, "token_type": "Bearer"}

    def put(self, name, data, bucket="models", **more):
        with self.lock:
            self.generation += 1
            if (bucket, name) in self.objects and bucket in self.versioned:
                old = self.objects[bucket, name]
                self.old[bucket, name, old["generation"]] = old
            entry = {"data": data, "generation": str(self.generation), "md5": b64(hashlib.md5(data).digest()),
                     "crc32c": b64(google_crc32c.Checksum(data).digest()), "metadata": {}, "encoding": None, **more}
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
            fault = d.faults.pop(0) if d.faults and "/storage/v1/" in self.target else None
        try:
            if fault:
                raise Refusal(fault, "backendError", "Backend Error")
            self.route()
        except Refusal as why:
            error = {"code": why.status, "message": why.message,
                     "errors": [{"message": why.message, "domain": "global", "reason": why.reason}]}
            self.answer_json({"error": error}, why.status)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def answer(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer_json(self, value, status=200, **headers):
        self.answer(status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=UTF-8", **headers})

    def route(self):
        if self.target == "/token":
            return self.token()
        if self.target == "/v1/token":
            return self.exchange()
        if self.target == f"/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken":
            return self.impersonate()
        if self.target == "/subject":
            good = self.headers.get("X-From") == "test"
            return self.answer_json({"id_token": SUBJECT}) if good else self.answer(403)
        if self.target.startswith("/latest/"):
            return self.instance_at_aws(self.target)
        if self.target == "/computeMetadata/v1/instance/service-accounts/default/token":
            if self.headers.get("Metadata-Flavor") != "Google":
                raise Refusal(403, "forbidden", "no flavor")
            return self.answer_json(self.double.issue(), **{"Metadata-Flavor": "Google"})
        if self.target.startswith("/session/"):
            return self.session(self.target[len("/session/"):])
        found = re.fullmatch(r"(/upload|/download)?/storage/v1/b/([^/]+)(?:/o(?:/([^/]+))?)?", self.target)
        if not found:
            raise Refusal(404, "notFound", "Not Found")
        kind, bucket, name = (urllib.parse.unquote(part or "") for part in found.groups())
        self.authorize(bucket, kind == "/upload" or self.command != "GET")
        if bucket not in self.double.buckets:
            raise Refusal(404, "notFound", "The specified bucket does not exist.")
        if bucket in self.double.paid_by_caller and not self.headers.get("x-goog-user-project"):
            raise Refusal(400, "required", "Bucket is a requester pays bucket but no user project provided.")
        if kind == "/upload":
            return self.insert(bucket)
        if name:
            return self.get(bucket, name)
        return self.list(bucket)

    # ---- who ----

    def token(self):
        form = dict(urllib.parse.parse_qsl(self.body.decode()))

        def refuse(why):
            self.answer_json({"error": "invalid_grant", "error_description": why}, 400)
        if form.get("grant_type") == "refresh_token":
            good = form.get("refresh_token") == REFRESH and form.get("client_secret") == CLIENT_SECRET
            return self.answer_json(self.double.issue()) if good else refuse("Token has been expired or revoked.")
        head, claims, signature = form["assertion"].split(".")
        try:
            self.double.key.public_key().verify(unb64url(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(),
                                                hashes.SHA256())
        except InvalidSignature:
            return refuse("Invalid JWT Signature.")
        audiences = (self.double.url + "/token", "https://oauth2.googleapis.com/token")  # the client's own is the latter
        head, claims, now = json.loads(unb64url(head)), json.loads(unb64url(claims)), time.time()
        if head["alg"] != "RS256" or claims["iss"] != EMAIL or claims["aud"] not in audiences or \
                not claims["iat"] - 300 <= now < claims["exp"] or claims["exp"] - claims["iat"] > 3600 or \
                "devstorage" not in claims["scope"]:
            return refuse("Invalid JWT.")
        return self.answer_json(self.double.issue())

    def exchange(self):
        """Security Token Service: token exchange (RFC 8693)."""
        form = dict(urllib.parse.parse_qsl(self.body.decode()))
        kind, subject = form.get("subject_token_type"), form.get("subject_token")
        if not (is_ours_at_aws(subject) if kind == AWS_TYPE else self.is_shown(subject) if kind == MTLS_TYPE else subject == SUBJECT):
            return self.answer_json({"error": "invalid_grant", "error_description": "The subject token is not ours."}, 400)
        wanted = {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "audience": AUDIENCE,
                  "subject_token_type": kind if kind in (AWS_TYPE, MTLS_TYPE) else JWT,
                  "requested_token_type": "urn:ietf:params:oauth:token-type:access_token"}
        if any(form.get(k) != v for k, v in wanted.items()) or "googleapis.com/auth/" not in form.get("scope", ""):
            return self.answer_json({"error": "invalid_request", "error_description": str(form)}, 400)
        token = self.double.issue()
        if form["scope"].endswith(("auth/cloud-platform", "auth/iam")):  # good for impersonation, not for buckets
            self.double.federated[token["access_token"]] = self.double.tokens.pop(token["access_token"])
        return self.answer_json({**token, "issued_token_type": wanted["requested_token_type"]})

    def is_shown(self, subject):
        """Whether the first of these certificates is the one that the connection was made with."""
        shown = isinstance(self.connection, ssl.SSLSocket) and self.connection.getpeercert(binary_form=True)
        return bool(shown) and json.loads(subject)[0] == b64(shown)

    def instance_at_aws(self, path):
        """IMDSv2 of an instance with a role."""
        role = "/latest/meta-data/iam/security-credentials"
        known = {"/latest/meta-data/placement/region": "eu-west-1", "/latest/meta-data/placement/availability-zone": "eu-west-1b",
                 role: "a-role", role + "/": "a-role", role + "/a-role": json.dumps({
                     "Code": "Success", "AccessKeyId": AWS_KEYS[0], "SecretAccessKey": AWS_KEYS[1], "Token": AWS_KEYS[2],
                     "Expiration": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))})}
        if path == "/latest/api/token":
            good = self.command == "PUT" and self.headers.get("x-aws-ec2-metadata-token-ttl-seconds")
            return self.answer(200, b"the-imds-token") if good else self.answer(400)
        if self.headers.get("x-aws-ec2-metadata-token") != "the-imds-token":
            return self.answer(401)
        return self.answer(200, known[path].encode()) if path in known else self.answer(404)

    def impersonate(self):
        """IAM credentials: generateAccessToken."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        asked = json.loads(self.body)
        if self.double.federated.get(token, 0) <= time.time() or not self.double.may_impersonate:
            raise Refusal(403, "forbidden", "Permission 'iam.serviceAccounts.getAccessToken' denied")
        if not all("googleapis.com/auth/" in s for s in asked["scope"]) or not asked["lifetime"].endswith("s"):
            raise Refusal(400, "badRequest", "no scope or lifetime")
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + int(asked["lifetime"][:-1])))
        return self.answer_json({"accessToken": self.double.issue()["access_token"], "expireTime": end})

    def authorize(self, bucket, writes):
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        if not scheme:
            if bucket in self.double.public and not writes:
                return
            raise Refusal(401, "required", "Anonymous caller does not have storage.objects.list access.")
        if scheme != "Bearer" or self.double.tokens.get(token, 0) <= time.time():
            raise Refusal(401, "authError", "Invalid Credentials")

    # ---- objects ----

    def resource(self, bucket, name, o):
        known = {"kind": "storage#object", "name": name, "bucket": bucket, "generation": o["generation"],
                 "metageneration": "1", "size": str(len(o["data"])), "md5Hash": o["md5"], "crc32c": o["crc32c"],
                 "metadata": o["metadata"] or None, "contentEncoding": o["encoding"], "etag": "CJ" + o["generation"]}
        return {k: v for k, v in known.items() if v is not None}

    def list(self, bucket):
        d, prefix, start = self.double, self.query.get("prefix", ""), self.query.get("pageToken", "")
        with d.lock:
            names = sorted(n for b, n in d.objects if b == bucket and n.startswith(prefix) and n >= start)
            limit = min(int(self.query.get("maxResults", 1000)), d.page)
            out = {"kind": "storage#objects"}
            if names:
                out["items"] = [self.resource(bucket, n, d.objects[bucket, n]) for n in names[:limit]]
            if len(names) > limit:
                out["nextPageToken"] = names[limit]
        if d.after_list:
            d.after_list()
        self.answer_json(out)

    def find(self, bucket, name):
        d, wanted = self.double, self.query.get("generation")
        with d.lock:
            o = d.objects.get((bucket, name))
            if wanted and (o is None or o["generation"] != wanted):
                o = d.old.get((bucket, name, wanted))
        if o is None:
            raise Refusal(404, "notFound", f"No such object: {bucket}/{name}")
        if self.query.get("ifGenerationMatch", o["generation"]) != o["generation"]:
            raise Refusal(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
        return o

    def get(self, bucket, name):
        o = self.find(bucket, name)
        if self.query.get("alt") != "media":
            return self.answer_json(self.resource(bucket, name, o))
        data, status = o["data"], 200
        headers = {"Content-Type": "application/octet-stream", "x-goog-generation": o["generation"],
                   "x-goog-hash": f"crc32c={o['crc32c']},md5={o['md5']}", "ETag": "CJ" + o["generation"],
                   "x-goog-stored-content-length": str(len(data))}
        if o["encoding"] == "gzip" and "gzip" not in (self.headers.get("Accept-Encoding") or ""):
            return self.answer(200, gzip.decompress(data), {**headers, "Warning": "214 UploadServer gunzipped"})
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted:
            first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
            if first >= len(data):
                raise Refusal(416, "requestedRangeNotSatisfiable", "Request range not satisfiable")
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            self.double.ranges.append((first, last))
            data, status = data[first:last + 1], 206
        time.sleep(self.double.slowness)
        self.answer(status, data, headers)

    # ---- uploads ----

    def commit(self, bucket, resource, data):
        for member, digest in (("md5Hash", hashlib.md5(data).digest()),
                               ("crc32c", google_crc32c.Checksum(data).digest())):
            if resource.get(member) not in (None, b64(digest)):
                raise Refusal(400, "invalid", f"Provided {member} does not match")
        o = self.double.put(resource["name"], data, bucket, metadata=resource.get("metadata") or {})
        self.answer_json(self.resource(bucket, resource["name"], o))

    def insert(self, bucket):
        if self.query["uploadType"] == "multipart":
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            first, second = email.parser.BytesParser().parsebytes(head + self.body).get_payload()
            boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])[1].encode()
            data = self.body.split(b"--" + boundary)[2].partition(b"\r\n\r\n")[2][:-2]
            resource = json.loads(first.get_payload(decode=True))
            assert second
            return self.commit(bucket, {"name": self.query.get("name"), **resource}, data)
        resource = json.loads(self.body or b"{}")
        with self.double.lock:
            self.double.sessions += 1
            session = f"upload-{self.double.sessions}"
            self.double.uploads[session] = [bucket, {"name": self.query.get("name"), **resource}, b""]
        self.answer(200, headers={"Location": f"{self.double.url}/session/{session}"})

    def session(self, session):
        bucket, resource, data = self.double.uploads.get(session) or (None, None, None)
        if bucket is None:
            raise Refusal(410, "gone", "The upload is gone")
        if self.command == "DELETE":
            del self.double.uploads[session]
            return self.answer(499)
        said = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)", self.headers.get("Content-Range") or "bytes */*")
        if said[1]:
            if int(said[1]) > len(data) or int(said[2]) - int(said[1]) + 1 != len(self.body):
                raise Refusal(400, "invalid", "Invalid range")
            keep, self.double.keep = self.double.keep, None  # a service may keep less than it was sent
            data += self.body[len(data) - int(said[1]):][:keep]
            total = said[3]
        else:
            data, total = self.body, str(len(self.body))
        self.double.uploads[session][2] = data
        if total != "*" and int(total) == len(data):
            del self.double.uploads[session]
            return self.commit(bucket, resource, data)
        return self.answer(308, headers={"Range": f"bytes=0-{len(data) - 1}"} if data else {})
