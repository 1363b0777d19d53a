#!/usr/bin/env python3
"""The `s3` plugin against Ceph's gateway, which checks signatures, and boto3, which writes what we read and reads what we
write: forms of addresses, pages, uploads in parts, where credentials come from, refusals."""

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse

import peers
from puller import Puller, sums
from scenario import DEADLINE, scratch, storage_suite, write_files

if os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(os.path.dirname(peers.PYTHON))):
    python = peers.python("boto3")
    os.execv(python, [python, "-B", *sys.argv])

import boto3  # noqa: E402
from botocore.config import Config  # noqa: E402
from boto3.s3.transfer import TransferConfig  # noqa: E402
from radosgw import ACCESS_KEY, SECRET_KEY, RadosGateway  # noqa: E402

MIB = 1 << 20
MODEL = {"config.json": b'{"model_type": "llama"}', "a b/é+&?=*'(1).bin": os.urandom(1000), "empty": b"",
         "model.safetensors": os.urandom(9 * MIB + 5)}
URI = "s3://models/llama/8b"
SIGNED_IN = "the-token-of-single-sign-on"


class Setting(Puller):
    """The gateway, boto3 on it, and `ome` with nothing but what a test gives it."""

    name, uri, model = "s3", URI, MODEL
    hidden, secrets = ("AWS_",), (SECRET_KEY, SIGNED_IN, "hidden-word")

    def __init__(self, folder):
        super().__init__(folder)
        self.gateway = RadosGateway(folder + "/ceph")
        config = Config(request_checksum_calculation="when_required", response_checksum_validation="when_required",
                        s3={"addressing_style": "path"})
        self.client = boto3.client("s3", endpoint_url=self.gateway.url, aws_access_key_id=ACCESS_KEY,
                                   aws_secret_access_key=SECRET_KEY, region_name="us-east-1", config=config)
        self.conf = self.plugins("plugins.conf")

    def settings(self):
        return {"endpoint": self.gateway.url, "access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY, "metadata": False}

    def without_keys(self, **more):
        return self.plugins("without-keys.conf", access_key_id=None, secret_access_key=None, **more)


def fill(s):
    s.client.create_bucket(Bucket="models")
    for path, data in MODEL.items():
        s.client.put_object(Bucket="models", Key="llama/8b/" + path, Body=data)
    s.client.put_object(Bucket="models", Key="llama/8b/", Body=b"")  # a marker of a folder, as consoles make them
    s.client.put_object(Bucket="models", Key="llama/8b-instruct/x", Body=b"of another model")


def addresses(s):
    s.pull()
    s.pull(URI + "/")
    s.pull("s3://models@eu-west-1/llama/8b")
    s.pull(URI + "/config.json", contents={"config.json": MODEL["config.json"]})
    s.pull(conf=s.plugins("virtual.conf", endpoint=f"http://{s.gateway.domain}:{s.gateway.port}",
                          addressing_style="virtual"))
    for wrong in ("s3://", "s3://x", "s3://models@/x", "s3:///x"):
        s.refused("s3://BUCKET[@REGION]/KEY", uri=wrong)
    s.refused("NoSuchBucket", "no such bucket", uri="s3://absent/llama")
    s.refused("there is no such thing", uri="s3://models/llama/9b")
    s.refused("there are no objects", uri="s3://models/llama/9b/")


def versions(s):
    s.client.create_bucket(Bucket="kept")
    s.client.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    old = s.client.put_object(Bucket="kept", Key="m/x", Body=b"old")["VersionId"]
    s.client.put_object(Bucket="kept", Key="m/x", Body=b"new")
    s.pull("s3://kept/m/x", contents={"x": b"new"})
    s.pull("s3://kept/m/x?versionId=" + old, contents={"x": b"old"})
    s.pull("s3://kept/m/x", "--revision", old, contents={"x": b"old"})
    s.refused("x", uri="s3://kept/m/x", options=["--revision", "no-version"])
    s.refused("a version is one of an object", uri="s3://kept/m/?versionId=" + old)


def parts(s):
    """Uploaded in parts by boto3: the gateway does not say how large they are; what tools leave beside it is verified."""
    data = os.urandom(17 * MIB)
    with open(s.folder + "/big.bin", "wb") as out:
        out.write(data)
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
    s.client.upload_file(s.folder + "/big.bin", "models", "parts/big.bin", Config=config)
    assert s.client.head_object(Bucket="models", Key="parts/big.bin")["ETag"].endswith('-3"')
    s.pull("s3://models/parts", contents={"big.bin": data})
    s.client.put_object(Bucket="models", Key="lying/x", Body=b"x", Metadata={"ome-sha256": "0" * 64})
    s.refused("x", uri="s3://models/lying")


class Metadata(http.server.BaseHTTPRequestHandler):
    """IMDSv2, a container's credentials and STS, as far as a client sees them."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, text, status=200):
        self.server.paths.append(self.path)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def document(self):
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        return {"Code": "Success", "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Expiration": ends}

    def do_PUT(self):
        known = self.headers["x-aws-ec2-metadata-token-ttl-seconds"]
        self.answer("the-token" if known else "", 200 if known else 400)

    def do_GET(self):
        if self.path == "/container":
            allowed = self.headers["authorization"] == "container-token"
        elif self.path.startswith("/federation/credentials?"):
            return self.sign_on(dict(urllib.parse.parse_qsl(self.path.partition("?")[2])))
        else:
            allowed = self.headers["x-aws-ec2-metadata-token"] == "the-token"
        if not allowed:
            self.answer("", 401)
        elif self.path.endswith("/security-credentials/"):
            self.answer("a-role")
        else:
            self.answer(json.dumps(self.document()))

    def sign_on(self, query):
        """GetRoleCredentials of single sign-on."""
        if self.headers["x-amz-sso_bearer_token"] != SIGNED_IN or query != {"account_id": "123", "role_name": "read er"}:
            return self.answer('{"message": "Session token not found or invalid"}', 401)
        return self.answer(json.dumps({"roleCredentials": {"accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY,
                                                           "sessionToken": "", "expiration": int(time.time() + 3600) * 1000}}))

    def renew(self, form):
        """CreateToken of single sign-on: each refresh token is good for once."""
        asked = json.loads(form)
        good = {"clientId": "the-client", "clientSecret": "hidden-word", "grantType": "refresh_token",
                "refreshToken": f"refresh-{self.server.renewals}"}
        if asked != good:
            return self.answer('{"error": "invalid_grant"}', 400)
        self.server.renewals += 1
        return self.answer(json.dumps({"accessToken": SIGNED_IN, "expiresIn": 3600, "tokenType": "Bearer",
                                       "refreshToken": f"refresh-{self.server.renewals}"}))

    def do_POST(self):
        form = self.rfile.read(int(self.headers["content-length"])).decode()
        if self.path == "/token":
            self.renew(form)
            return
        action = "AssumeRoleWithWebIdentity" if "WebIdentityToken=the.web.token" in form else "AssumeRole"
        signed = "Credential=" + ACCESS_KEY in (self.headers["authorization"] or "")
        if f"Action={action}&" not in form or "RoleArn=arn%3Aaws" not in form or (action == "AssumeRole" and not signed):
            self.answer("<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", 403)
            return
        d = self.document()
        self.answer(f"<{action}Response xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><{action}Result><Credentials>"
                    f"<AccessKeyId>{ACCESS_KEY}</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey>"
                    f"<SessionToken></SessionToken><Expiration>{d['Expiration']}</Expiration>"
                    f"</Credentials></{action}Result></{action}Response>")


def keys_of_boto3(profile, **environment):
    """What the AWS tools make of a profile."""
    code = f"import boto3; print(boto3.Session(profile_name={profile!r}).get_credentials().get_frozen_credentials().access_key)"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**clean, **environment}, timeout=DEADLINE)
    return done.stdout.strip() or done.stderr


def logins(s, url):
    """Profiles that lead to keys: a program that prints them, and what single sign-on has left."""
    def keys(**more):
        return json.dumps({"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, **more})

    def place(name):
        return f"{home}/.aws/sso/cache/{hashlib.sha1(name.encode()).hexdigest()}.json"

    def session(name, ends, token=SIGNED_IN, **more):
        def at(seconds):
            return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))

        with open(place(name), "w") as out:
            json.dump({"startUrl": "https://x", "region": "eu-west-1", "accessToken": token, "expiresAt": at(ends),
                       **{k: at(v) if k == "registrationExpiresAt" else v for k, v in more.items()}}, out)

    home = s.folder + "/home"
    os.makedirs(home + "/.aws/sso/cache")
    for name, text in (("good", keys()), ("old", keys(Expiration="2020-01-01T00:00:00Z")), ("other", keys(Version=2))):
        with open(f"{home}/{name} keys", "w") as out:
            out.write(text)
    with open(s.folder + "/logins", "w") as out:
        for name in ("good", "old", "other"):
            out.write(f"[profile {name}]\ncredential_process = cat '{home}/{name} keys'\n")
        out.write("[profile failing]\ncredential_process = sh -c 'exit 3' hidden-word\n"
                  "[profile absent]\ncredential_process = /absent/helper hidden-word\n"
                  "[profile taken]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = good\n"
                  "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://x\n"
                  "[profile login]\nsso_session = corp\nsso_account_id = 123\nsso_role_name = read er\n"
                  "[profile wrong]\nsso_session = corp\nsso_account_id = 9\nsso_role_name = read er\n"
                  "[profile legacy]\nsso_region = eu-west-1\nsso_start_url = https://y\nsso_account_id = 123\n"
                  "sso_role_name = read er\n")
    conf = s.without_keys(sts_endpoint=url)
    here = {"AWS_CONFIG_FILE": s.folder + "/logins", "AWS_SHARED_CREDENTIALS_FILE": "/absent", "HOME": home,
            "OME_STORE": s.folder + "/logins-store", "AWS_ENDPOINT_URL_SSO": url, "AWS_ENDPOINT_URL_SSO_OIDC": url}
    session("corp", 3600)
    session("https://y", 3600)
    for profile in ("good", "login", "legacy"):
        assert keys_of_boto3(profile, **here) == ACCESS_KEY, profile
        s.pull(conf=conf, AWS_PROFILE=profile, **here)
    s.pull(conf=conf, AWS_PROFILE="taken", **here)
    for profile, words in (("old", ("credential_process", "expired")), ("other", ("credential_process", "Version")),
                           ("failing", ("sh ended with status 3",)), ("absent", ("/absent/helper cannot be run",)),
                           ("wrong", ("session is not taken", "aws sso login --profile wrong"))):
        s.refused(profile, *words, conf=conf, AWS_PROFILE=profile, **here)
    session("corp", -5)
    s.refused("the session has ended", "aws sso login --profile login", conf=conf, AWS_PROFILE="login", **here)
    # One that can be renewed is, before it ends and after; by us as by the AWS tools, who take what the other has left.
    client = {"clientId": "the-client", "clientSecret": "hidden-word", "registrationExpiresAt": 9999}
    session("corp", -5, token="ended", refreshToken="refresh-0", **client)
    s.pull(conf=conf, AWS_PROFILE="login", **here)
    with open(place("corp")) as left:
        left = json.load(left)
    assert left["accessToken"] == SIGNED_IN and left["refreshToken"] == "refresh-1" and left["startUrl"] == "https://x", left
    assert os.stat(place("corp")).st_mode & 0o777 == 0o600 and len(os.listdir(os.path.dirname(place("corp")))) == 2
    assert keys_of_boto3("login", **here) == ACCESS_KEY
    session("corp", 600, token="ending", refreshToken="refresh-1", **client)
    assert keys_of_boto3("login", **here) == ACCESS_KEY
    s.pull(conf=conf, AWS_PROFILE="login", **here)
    session("corp", 600, refreshToken="refresh-2", **client)
    s.pull(conf=conf, AWS_PROFILE="login", **here)
    session("corp", 600, refreshToken="used up", **client)  # it is good for ten minutes more
    s.pull(conf=conf, AWS_PROFILE="login", **here)
    for wrong in ({"refreshToken": "used up", **client}, {"refreshToken": "refresh-3", **client, "registrationExpiresAt": -5}):
        session("corp", -5, token="ended", **wrong)
        s.refused("the session has ended", "aws sso login --profile login", conf=conf, AWS_PROFILE="login", **here)
    os.unlink(place("corp"))
    s.refused("nobody has signed in", conf=conf, AWS_PROFILE="login", **here)


def credentials(s):
    """Each place they can come from, alone."""
    bare = s.without_keys()
    s.refused("403", "no credentials were found", conf=bare)
    s.pull(conf=bare, AWS_ACCESS_KEY_ID=ACCESS_KEY, AWS_SECRET_ACCESS_KEY=SECRET_KEY)
    with open(s.folder + "/credentials", "w") as out:
        out.write(f"[default]\naws_access_key_id = nobody\naws_secret_access_key = none\n"
                  f"[team]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n")
    with open(s.folder + "/config", "w") as out:
        out.write(f"[profile ready]\nendpoint_url = {s.gateway.url}\nrole_arn = arn:aws:iam::1:role/r\n"
                  "source_profile = team\n[profile empty]\nregion = eu-west-1\n")
    files = {"AWS_SHARED_CREDENTIALS_FILE": s.folder + "/credentials", "AWS_CONFIG_FILE": s.folder + "/config"}
    s.pull(conf=bare, AWS_PROFILE="team", **files)
    s.refused("InvalidAccessKeyId", "not known", conf=bare, **files)
    s.refused("no such profile", conf=bare, AWS_PROFILE="absent", **files)
    s.refused("no keys", conf=bare, AWS_PROFILE="empty", **files)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    server.paths, server.renewals = [], 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    s.pull(conf=s.without_keys(endpoint=None, sts_endpoint=url), AWS_PROFILE="ready", **files)
    logins(s, url)
    bare = s.without_keys(sts_endpoint=url, metadata=True)
    with open(s.folder + "/token", "w") as out:
        out.write("the.web.token\n")
    s.pull(conf=bare, AWS_ROLE_ARN="arn:aws:iam::1:role/r", AWS_WEB_IDENTITY_TOKEN_FILE=s.folder + "/token")
    s.pull(conf=bare, AWS_CONTAINER_CREDENTIALS_FULL_URI=url + "/container",
           AWS_CONTAINER_AUTHORIZATION_TOKEN="container-token")
    s.refused("container", "401", conf=bare, AWS_CONTAINER_CREDENTIALS_FULL_URI=url + "/container")
    server.paths.clear()
    s.pull(conf=bare, AWS_EC2_METADATA_SERVICE_ENDPOINT=url)
    assert len(server.paths) == 3, server.paths  # once for list and files together
    server.shutdown()


def refusals(s):
    s.refused("SignatureDoesNotMatch", "secret key does not belong", conf=s.plugins("wrong.conf", secret_access_key="no"))
    s.refused("InvalidAccessKeyId", "not known", conf=s.plugins("unknown.conf", access_key_id="NOBODY"))
    s.refused("RequestTimeTooSkewed", "clock of this machine is 36", "before the server's",
              before=[peers.program("faketime"), "-f", "+3600s"], FAKETIME_DONT_FAKE_MONOTONIC="1",
              ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0")
    s.refused("no http(s) address", conf=s.plugins("ftp.conf", endpoint="ftp://x"))
    s.client.create_bucket(Bucket="public", ACL="public-read")
    s.client.put_object(Bucket="public", Key="m/x", Body=b"for all", ACL="public-read")
    s.pull("s3://public/m", contents={"x": b"for all"}, conf=s.without_keys())
    s.pull("s3://public/m", contents={"x": b"for all"}, conf=s.plugins("anonymous.conf", anonymous=True))


def pushes(s):
    model = s.folder + "/model"
    contents = {**MODEL, "big.safetensors": os.urandom(65 * MIB)}
    write_files(model, contents)
    code, errors = s.ome("push", model, "s3://models/pushed/m")
    assert code == 0, errors
    for path, data in contents.items():
        theirs = s.client.get_object(Bucket="models", Key="pushed/m/" + path)
        assert theirs["Body"].read() == data, "boto3 reads something else in " + path
    assert theirs["ETag"].endswith('-5"'), theirs["ETag"]
    s.pull("s3://models/pushed/m", contents=contents)
    assert not s.client.list_multipart_uploads(Bucket="models").get("Uploads"), "an upload in parts was left"
    code, errors = s.ome("push", model, "s3://absent/m")
    assert code == 1 and "NoSuchBucket" in errors, errors


def suite(s):
    """More than a page of objects, and what every storage plugin has to do."""
    s.client.create_bucket(Bucket="many")
    contents = {f"dir-{i % 7}/file-{i:04}": b"x" * (i % 50) for i in range(1100)}
    for path, data in contents.items():
        s.client.put_object(Bucket="many", Key="m/" + path, Body=data)
    storage_suite("storage-s3", "s3://many/m", conf=s.conf, expect=sums(contents), upload="s3://many/written",
                  wrong=["access_key_id=NOBODY", "secret_access_key=nothing"])


def main():
    with scratch() as folder:
        s = Setting(folder)
        for part in (fill, addresses, versions, parts, credentials, refusals, pushes, suite):
            began = time.monotonic()
            part(s)
            print(f"{part.__name__}: {time.monotonic() - began:.1f} s")
    print("s3: read, written, refused as it should be")


main()
