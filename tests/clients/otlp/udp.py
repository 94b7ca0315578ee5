"""Sends 10 sampled spans and one that is not by the UDP exporter of AWS's OpenTelemetry distribution: udp.py PORT"""

import sys

from amazon.opentelemetry.distro.otlp_udp_exporter import OTLPUdpSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

daemon = f"127.0.0.1:{sys.argv[1]}"
for sampled, spans in ((True, 10), (False, 1)):
    traces = TracerProvider(resource=Resource.create({"service.name": "sender"}))
    # A datagram for each span.
    traces.add_span_processor(SimpleSpanProcessor(OTLPUdpSpanExporter(daemon, sampled)))
    tracer = traces.get_tracer("sender")
    for number in range(spans):
        with tracer.start_as_current_span("work", attributes={"number": number, "sampled": sampled}):
            pass
    traces.shutdown()
