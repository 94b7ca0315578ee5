"""Prints the documents that the X-Ray SDK for Python sends, one a line: record.py > python.jsonl

Needs aws-xray-sdk, boto3, Flask, moto's server and requests, as tests/clients/requirements.txt has them. Nothing leaves the
machine: AWS is moto.
"""

import contextlib
import os
import socket
import sqlite3
import sys
import threading
import urllib.error
import urllib.request

DAEMON = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
DAEMON.bind(("127.0.0.1", 0))
DAEMON.settimeout(2)
os.environ.update(
    AWS_XRAY_DAEMON_ADDRESS=f"127.0.0.1:{DAEMON.getsockname()[1]}",
    AWS_ACCESS_KEY_ID="AKIDEXAMPLE",
    AWS_SECRET_ACCESS_KEY="secret",
    AWS_DEFAULT_REGION="eu-central-1",
    AWS_EC2_METADATA_DISABLED="true",
)

import boto3
import requests
from aws_xray_sdk.core import patch, xray_recorder
from aws_xray_sdk.core.models import http
from aws_xray_sdk.ext.flask.middleware import XRayMiddleware
from flask import Flask
from moto.server import ThreadedMotoServer
from werkzeug.serving import make_server

# It prints that it starts.
with contextlib.redirect_stdout(sys.stderr):
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
aws = "http://%s:%d" % moto.get_host_and_port()
boto3.client("dynamodb", endpoint_url=aws).create_table(
    TableName="orders",
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    BillingMode="PAY_PER_REQUEST",
)

xray_recorder.configure(service="orders", sampling=False, streaming_threshold=30)
patch(["boto3", "requests", "sqlite3"])

app = Flask("orders")
XRayMiddleware(app, xray_recorder)


@app.get("/good")
def good():
    recorder = xray_recorder
    segment = recorder.current_segment()
    segment.set_user("Zoë")
    for key, value in {"tenant": "münchen-3", "attempt": 1, "ratio": 0.25, "cached": False}.items():
        segment.put_annotation(key, value)
    segment.put_metadata("payload", {"list": [1, None, {"deep": True}], "text": "a\n\"b\""})
    segment.put_metadata("other", 7, "space")
    with recorder.in_subsegment("load") as load:
        load.put_annotation("rows", 3)
        with recorder.in_subsegment("inner", namespace="local"):
            pass
    dynamodb = boto3.client("dynamodb", endpoint_url=aws)
    dynamodb.put_item(TableName="orders", Item={"id": {"S": "1"}})
    dynamodb.query(
        TableName="orders",
        KeyConditionExpression="id = :id",
        ExpressionAttributeValues={":id": {"S": "1"}},
        ConsistentRead=True,
    )
    sqs = boto3.client("sqs", endpoint_url=aws)
    queue = sqs.create_queue(QueueName="jobs")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    boto3.client("s3", endpoint_url=aws).list_buckets()
    connection = sqlite3.connect(":memory:")
    connection.execute("SELECT 1")
    connection.close()
    requests.get(f"{aws}/moto-api/data.json", timeout=5)
    return "good"


@app.get("/client-error")
def client_error():
    return "no", 404


@app.get("/slow-down")
def slow_down():
    return "later", 429


@app.get("/server-error")
def server_error():
    return "broken", 503


@app.get("/raises")
def raises():
    with xray_recorder.in_subsegment("pay"):
        try:
            raise KeyError("card")
        except KeyError as error:
            raise ValueError("it can't be paid: \"größe\"") from error


@app.get("/aws-fails")
def aws_fails():
    try:
        boto3.client("dynamodb", endpoint_url=aws).get_item(TableName="none", Key={"id": {"S": "1"}})
    except Exception:
        pass
    try:
        requests.get("http://127.0.0.1:9/", timeout=1)
    except requests.RequestException:
        pass
    return "as expected"


@app.get("/many")
def many():
    xray_recorder.configure(streaming_threshold=5)
    for number in range(7):
        with xray_recorder.in_subsegment(f"step {number}"):
            pass
    return "many"


server = make_server("127.0.0.1", 0, app, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
base = f"http://127.0.0.1:{server.server_port}"
trace = "Root=1-6b014a0b-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1"
for path in ("good", "client-error", "slow-down", "server-error", "raises", "aws-fails", "many"):
    request = urllib.request.Request(
        f"{base}/{path}?q=1",
        headers={"X-Amzn-Trace-Id": trace, "User-Agent": "curl/8", "X-Forwarded-For": "203.0.113.9"},
    )
    try:
        urllib.request.urlopen(request).read()
    except urllib.error.HTTPError:
        pass

# Outside of a request: no parent, and no end yet when the first part of it is sent.
segment = xray_recorder.begin_segment("job")
segment.put_http_meta(http.URL, "https://shop.example/a?b=c")
for number in range(7):
    with xray_recorder.in_subsegment(f"part {number}"):
        pass
xray_recorder.end_segment()

directories = {sys.prefix: "/venv", sys.base_prefix: "/usr", os.getcwd(): "/app", os.path.dirname(os.path.abspath(__file__)): "/app"}
try:
    while True:
        document = DAEMON.recv(1 << 16).split(b"\n", 1)[1].decode()
        for directory, name in directories.items():
            document = document.replace(directory, name)
        print(document)
except TimeoutError:
    moto.stop()
