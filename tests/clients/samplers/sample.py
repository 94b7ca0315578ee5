"""Starts spans under the X-Ray remote sampler of AWS's OpenTelemetry distribution, which asks ENDPOINT, and says of every 500
how many were sampled: sample.py ENDPOINT"""

import sys
import time

from amazon.opentelemetry.distro.sampler.aws_xray_remote_sampler import AwsXRayRemoteSampler
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

SPANS = 500
resource = Resource.create({"service.name": "sampler-python"})
sampler = AwsXRayRemoteSampler(resource, endpoint=sys.argv[1])
tracer = TracerProvider(resource=resource, sampler=sampler).get_tracer("sampler")

while True:
    sampled = 0
    for _ in range(SPANS):
        attributes = {"http.request.method": "GET", "url.path": "/checkout"}
        with tracer.start_as_current_span("GET /checkout", attributes=attributes) as span:
            sampled += span.is_recording()
    print(f"sampled {sampled} of {SPANS}", flush=True)
    time.sleep(0.1)
