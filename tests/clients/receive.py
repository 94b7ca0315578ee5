"""Takes OTLP over HTTP, reads it with OpenTelemetry's own messages, and prints an object for each request: its headers and
its spans. Its address is the first line."""

import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


def value(any_value):
    return getattr(any_value, any_value.WhichOneof("value"), None)


def spans_of(request):
    for resource in request.resource_spans:
        about = {attribute.key: value(attribute.value) for attribute in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield {
                    "service": about.get("service.name"),
                    "name": span.name,
                    "trace_id": span.trace_id.hex(),
                    "attributes": {a.key: value(a.value) for a in span.attributes if a.value.WhichOneof("value") != "array_value"},
                }


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        headers = {name.lower(): text for name, text in self.headers.items()}
        print(json.dumps({"path": self.path, "headers": headers, "spans": list(spans_of(request))}), flush=True)
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(f"Listening on http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
