"""backend-flask: a small API whose requests are traced with the AWS X-Ray SDK.

The SDK sends one segment document per request over UDP to the daemon, and asks the daemon over TCP for the
sampling rules. Where the daemon is comes from the variable AWS_XRAY_DAEMON_ADDRESS (`xray-daemon:2000` in
docker-compose.example.yml); without it the SDK uses 127.0.0.1:2000.

Beside it OpenTelemetry's SDK traces what the X-Ray SDK does not, where OTEL_EXPORTER_OTLP_ENDPOINT names somebody who takes
OTLP (docker-compose.otel.yml: the same daemon). Flask itself is left to the X-Ray middleware: with both, each would open
a trace of its own for every request.
"""

import os

from aws_xray_sdk.core import xray_recorder
from aws_xray_sdk.ext.flask.middleware import XRayMiddleware
from flask import Flask
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from services import home_activities, notifications_activities

app = Flask(__name__)

# `service` is the name of this application's node in the service map. Sampling stays at the SDK's default: the
# rules of the X-Ray console, and while they cannot be had, the first request of each second and 5 % of the rest.
xray_recorder.configure(service="backend-flask")
# From here on every request opens a segment and closes it with the response.
XRayMiddleware(app, xray_recorder)

# Where, with which headers, and under which name of the service: the variables OTEL_EXPORTER_OTLP_ENDPOINT,
# OTEL_EXPORTER_OTLP_HEADERS and OTEL_SERVICE_NAME. Without a provider a span is made of nothing and costs nothing.
if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    # Calls that the application makes with `requests` become spans.
    RequestsInstrumentor().instrument()


@app.get("/api/activities/home")
def home():
    return home_activities.run()


@app.get("/api/activities/notifications")
def notifications():
    return notifications_activities.run()


@app.get("/api/activities/broken")
def broken():
    """Raises on purpose: the segment is marked as a fault and carries the exception with its stack."""
    raise RuntimeError("the activities could not be loaded")
