"""S3 as moto serves it: a real server on loopback, in this process."""

from __future__ import annotations

import json
from typing import Any

import boto3
import httpx
from moto.server import ThreadedMotoServer

KEY, SECRET = "AKIAEVERGREEN", "quinces-and-medlars"
REGION = "eu-central-1"


class S3:
    """Starts on entering and is gone, with all its buckets, on leaving."""

    def __enter__(self) -> S3:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.endpoint = f"http://{host}:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def reset(self) -> None:
        """Forget every bucket, and let every key in again."""
        httpx.post(f"{self.endpoint}/moto-api/reset", trust_env=False).raise_for_status()
        httpx.post(f"{self.endpoint}/moto-api/reset-auth", content="inf", trust_env=False)

    def shut_out(self) -> None:
        """From now on only keys that IAM knows are let in, and it knows none."""
        httpx.post(f"{self.endpoint}/moto-api/reset-auth", content="0", trust_env=False).raise_for_status()

    def put(self, bucket: str, key: str, content: bytes) -> None:
        client = self._client()
        if bucket not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        client.put_object(Bucket=bucket, Key=key, Body=content)

    def connection(self, endpoint: str | None = None) -> str:
        """What AIRFLOW_CONN_AWS_DEFAULT holds, in its JSON form."""
        extra = {"endpoint_url": endpoint or self.endpoint, "region_name": REGION}
        return json.dumps({"conn_type": "aws", "login": KEY, "password": SECRET, "extra": extra})

    def _client(self) -> Any:
        return boto3.client("s3", endpoint_url=self.endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name=REGION)
