"""What a user sees on the home page."""

from datetime import UTC, datetime, timedelta

from aws_xray_sdk.core import xray_recorder
from opentelemetry import trace

tracer = trace.get_tracer("home.activities")


# The decorator wraps each call in a subsegment of that name.
@xray_recorder.capture("home_activities")
def run():
    # A span of OpenTelemetry, inside of the X-Ray SDK's subsegment of this call, in a trace of its own.
    with tracer.start_as_current_span("home-activities-mock-data") as span:
        now = datetime.now(UTC)
        span.set_attribute("app.now", now.isoformat())
        activities = [
            {
                "handle": "Andrew Brown",
                "message": "Cloud is fun!",
                "created_at": (now - timedelta(days=2)).isoformat(),
            },
            {
                "handle": "Worf",
                "message": "I am out of prune juice",
                "created_at": (now - timedelta(days=7)).isoformat(),
            },
        ]
        span.set_attribute("app.result_length", len(activities))
    # Annotations are indexed, so traces can be searched by them; metadata is kept but not indexed.
    subsegment = xray_recorder.current_subsegment()
    subsegment.put_annotation("activity_count", len(activities))
    subsegment.put_metadata("handles", [activity["handle"] for activity in activities], "home")
    return activities
