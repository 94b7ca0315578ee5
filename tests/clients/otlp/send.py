"""Sends 10 spans, 2 data points and 3 log records with the OpenTelemetry SDK: send.py PORT PROTOCOL COMPRESSION"""

import logging
import sys

from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

port, protocol, compression = sys.argv[1:]
base = f"http://127.0.0.1:{port}"
if protocol == "grpc":
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    chosen = {"gzip": grpc.Compression.Gzip, "none": grpc.Compression.NoCompression}[compression]

    def made(exporter, _path):
        return exporter(endpoint=base, insecure=True, compression=chosen)
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    chosen = {"gzip": Compression.Gzip, "none": Compression.NoCompression}[compression]

    def made(exporter, path):
        return exporter(endpoint=f"{base}/v1/{path}", compression=chosen)


resource = Resource.create({"service.name": "sender"})

traces = TracerProvider(resource=resource)
traces.add_span_processor(BatchSpanProcessor(made(OTLPSpanExporter, "traces")))
tracer = traces.get_tracer("sender")
for number in range(10):
    with tracer.start_as_current_span("work", attributes={"number": number}):
        pass

reader = PeriodicExportingMetricReader(made(OTLPMetricExporter, "metrics"), export_interval_millis=3_600_000)
metrics = MeterProvider(resource=resource, metric_readers=[reader], shutdown_on_exit=False)
counter = metrics.get_meter("sender").create_counter("done")
counter.add(1, {"kind": "a"})
counter.add(2, {"kind": "b"})

logs = LoggerProvider(resource=resource)
logs.add_log_record_processor(BatchLogRecordProcessor(made(OTLPLogExporter, "logs")))
logger = logging.getLogger("sender")
logger.addHandler(LoggingHandler(logger_provider=logs))
logger.propagate = False
for number in range(3):
    logger.warning("record %d", number)

for provider in (traces, metrics, logs):
    provider.force_flush()
# Metrics would be sent once more.
for provider in (traces, logs):
    provider.shutdown()
