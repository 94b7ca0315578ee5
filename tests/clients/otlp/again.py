"""Sends 10 spans with the OpenTelemetry SDK, and says on stderr when it has to come again: again.py PORT PROTOCOL"""

import logging
import sys

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

# A daemon that starts on a busy machine takes its time.
TIMEOUT_S = 30

port, protocol = sys.argv[1:]
logging.basicConfig(level=logging.WARNING)
base = f"http://127.0.0.1:{port}"
if protocol == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    exporter = OTLPSpanExporter(endpoint=base, insecure=True, timeout=TIMEOUT_S)
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    exporter = OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=TIMEOUT_S)

traces = TracerProvider(resource=Resource.create({"service.name": "sender"}))
traces.add_span_processor(BatchSpanProcessor(exporter))
tracer = traces.get_tracer("sender")
for number in range(10):
    with tracer.start_as_current_span("work", attributes={"number": number}):
        pass
traces.force_flush()
traces.shutdown()
