"""Prints the requests that the OpenTelemetry SDK for Python makes, in JSON, one a line: record_spans.py > spans.jsonl

The spans have the attributes that instrumentations set, by the stable and by the older names. Needs opentelemetry-sdk and
opentelemetry-exporter-otlp-proto-common, as tests/clients/otlp/requirements.txt has them.
"""

import base64
import json
import os

from google.protobuf.json_format import MessageToDict
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

SERVER, CLIENT, INTERNAL = SpanKind.SERVER, SpanKind.CLIENT, SpanKind.INTERNAL
FAILED = Status(StatusCode.ERROR)
SAMPLED = TraceFlags(1)


def with_hex_ids(value):
    """OTLP's JSON has ids in hex, where protobuf's has base64."""
    if isinstance(value, list):
        return [with_hex_ids(item) for item in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {key: base64.b64decode(item).hex() if key in ids else with_hex_ids(item) for key, item in value.items()}


class Printer(SpanExporter):
    def export(self, spans):
        request = with_hex_ids(MessageToDict(encode_spans(spans), use_integers_for_enums=True))
        directory = os.path.dirname(os.path.abspath(__file__))
        print(json.dumps(request, ensure_ascii=False).replace(directory, "/app"))
        return SpanExportResult.SUCCESS


RESOURCE = {
    "service.name": "orders",
    "service.version": "1.2",
    "telemetry.sdk.language": "python",
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.version": "1.45.2",
    "cloud.provider": "aws",
    "cloud.platform": "aws_ecs",
    "aws.ecs.launchtype": "fargate",
    "aws.ecs.task.family": "orders",
    "container.id": "abc",
    "aws.log.group.names": ["/ecs/orders"],
}
provider = TracerProvider(resource=Resource(RESOURCE))
provider.add_span_processor(SimpleSpanProcessor(Printer()))
tracer = provider.get_tracer("opentelemetry.instrumentation.flask", "0.66b2")
REMOTE = NonRecordingSpan(SpanContext(0x5759E988BD862E3FE1BE46A994272793, 0x53995C3F42CD8AD8, True, SAMPLED))


def span(name, kind, attributes=None, parent="remote", status=None, work=None, links=None):
    """A span below one of another process, below one of this process, or without a parent (`None`)."""
    context = trace.set_span_in_context({"remote": REMOTE, None: trace.INVALID_SPAN}.get(parent, REMOTE))
    if parent == "local":
        context = trace.set_span_in_context(tracer.start_span("parent", kind=SERVER, context=context))
    made = tracer.start_span(name, kind=kind, attributes=attributes, links=links, context=context)
    if status:
        made.set_status(status)
    if work:
        work(made)
    made.end()


def fails(made):
    try:
        try:
            raise KeyError("card")
        except KeyError as error:
            raise ValueError('no "größe"') from error
    except ValueError as error:
        made.record_exception(error)
        made.set_status(Status(StatusCode.ERROR, "it failed"))


STABLE = {
    "http.request.method": "GET",
    "url.scheme": "https",
    "url.path": "/orders/7",
    "url.query": "a=b",
    "server.address": "shop.example",
    "server.port": 443,
    "http.route": "/orders/<id>",
    "user_agent.original": "curl/8",
    "client.address": "203.0.113.9",
    "http.response.status_code": 200,
}
OLDER = {
    "http.method": "GET",
    "http.scheme": "https",
    "http.target": "/orders/7?a=b",
    "http.host": "shop.example",
    "http.user_agent": "curl/8",
    "net.peer.ip": "203.0.113.9",
    "http.status_code": 200,
    "http.url": "https://shop.example/orders/7?a=b",
}
span("GET /orders/<id>", SERVER, STABLE)
span("GET /orders/<id>", SERVER, OLDER)
for code in (404, 429, 500):
    status = FAILED if code == 500 else None
    span("GET /orders/<id>", SERVER, {**STABLE, "http.response.status_code": code}, status=status)

url = "http://pay.internal:8080/v1?x=1"
call = {"url.full": url, "server.address": "pay.internal", "server.port": 8080, "http.request.method": "GET"}
span("GET", CLIENT, {**call, "http.response.status_code": 404}, "local", FAILED)
call = {"http.method": "GET", "http.url": "http://pay.internal:8080/v1", "http.status_code": 200}
span("HTTP GET", CLIENT, {**call, "peer.service": "payments"}, "local")

call = {"rpc.system": "aws-api", "rpc.service": "DynamoDB", "rpc.method": "Query", "aws.request_id": "R1"}
call = {**call, "aws.region": "eu-west-1", "aws.table_name": "orders", "http.status_code": 200}
span("DynamoDB.Query", CLIENT, call, "local")
call = {"rpc.system": "aws-api", "rpc.service": "SQS", "rpc.method": "SendMessage", "aws.request_id": "R2"}
span("SQS.SendMessage", CLIENT, {**call, "aws.queue_url": "https://sqs.eu-west-1.amazonaws.com/1/jobs"}, "local")

query = {"db.system": "postgresql", "db.name": "orders", "db.statement": "SELECT 1", "db.user": "app"}
span("SELECT orders", CLIENT, {**query, "net.peer.name": "db-1"}, "local")
query = {"db.system.name": "postgresql", "db.namespace": "orders", "db.query.text": "SELECT 1"}
span("SELECT orders", CLIENT, {**query, "server.address": "db-1", "server.port": 5432}, "local")

jobs = {"messaging.system": "kafka", "messaging.destination.name": "jobs"}
span("jobs send", SpanKind.PRODUCER, {**jobs, "messaging.operation.type": "send"}, "local")
span("jobs process", SpanKind.CONSUMER, {**jobs, "messaging.operation.type": "process"})

values = {"app.number": 7, "app.ratio": 0.5, "app.flag": True, "app.list": ["a", "b"]}
span("compute größe", INTERNAL, values, "local")
span("root work", INTERNAL, parent=None)
span("root call", CLIENT, {"url.full": "http://x.example/", "http.request.method": "GET"}, parent=None)
span("fails", INTERNAL, parent="local", work=fails)
span("status only", INTERNAL, parent="local", status=Status(StatusCode.ERROR, "it failed"))
span("events", INTERNAL, parent="local", work=lambda made: made.add_event("cache.miss", {"key": "k"}))
span("linked", SERVER, links=[Link(SpanContext(0x1234, 0x5678, True, SAMPLED), {"why": "batch"})])
span("name\u0007with;odd*characters" + "x" * 250, SERVER)
listed = {"aws.xray.annotations": ["tenant", "count"], "tenant": "münchen", "count": 3, "enduser.id": "u1"}
span("annotated", SERVER, listed)
span("faas", SERVER, {"faas.trigger": "http"})
names = {"aws.local.service": "orders", "aws.remote.service": "billing", "aws.remote.operation": "Pay"}
span("GET", CLIENT, {**names, "aws.span.kind": "LOCAL_ROOT"}, parent=None)
