"""A bucket of an S3 server of its own, for what benchmarks find."""

import os

import boto3
from botocore.config import Config
from radosgw import ACCESS_KEY, SECRET_KEY, RadosGateway


class Bucket:
    """The bucket "results" of an S3 server of its own in FOLDER, and an outputLocation in it."""

    keys = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY}  # of a Secret

    def __init__(self, folder):
        os.makedirs(folder)
        gateway = RadosGateway(folder)
        self.url = gateway.url
        self.client = boto3.client("s3", endpoint_url=self.url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
                                   region_name="us-east-1", config=Config(s3={"addressing_style": "path"}))
        self.client.create_bucket(Bucket="results")

    def output(self, secret):
        return {"storageUri": "s3://results/nightly", "key": secret,
                "parameters": {"endpoint": self.url, "addressing_style": "path"}}

    def names(self, uri):
        """Of the objects below URI."""
        prefix = uri.removeprefix("s3://results/") + "/"
        found = self.client.list_objects_v2(Bucket="results", Prefix=prefix)
        return {o["Key"].removeprefix(prefix) for o in found.get("Contents", [])}

    def read(self, uri):
        return self.client.get_object(Bucket="results", Key=uri.removeprefix("s3://results/"))["Body"].read()
