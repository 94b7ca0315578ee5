"""Sends the documents argv[3:] with put_trace_segments to argv[1], signed or unsigned as argv[2] says, and prints the
answer as JSON."""

import json
import sys

import boto3
from botocore import UNSIGNED
from botocore.client import Config

endpoint, how, documents = sys.argv[1], sys.argv[2], sys.argv[3:]
xray = boto3.client(
    "xray",
    endpoint_url=endpoint,
    region_name="eu-west-1",
    aws_access_key_id="anybody",
    aws_secret_access_key="anything",
    config=Config(signature_version=UNSIGNED if how == "unsigned" else None),
)
json.dump(xray.put_trace_segments(TraceSegmentDocuments=documents), sys.stdout)
