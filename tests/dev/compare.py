"""Puts the same documents into every endpoint of argv[1:] and prints what each says of them, for comparison. Durations
are left out: moto's are those of whole seconds."""

import json
import sys
import time
from datetime import datetime, timedelta, timezone

import boto3

now = datetime.now(timezone.utc)
start = int(time.time()) - 60.0


def segment(n, **more):
    # Whole quarters of a second, which every implementation writes alike.
    return {
        "trace_id": f"1-{int(start):08x}-{n:024x}", "id": f"{n:016x}", "name": f"service-{n}", "start_time": start + n,
        "end_time": start + n + 0.25, **more,
    }


documents = [
    segment(1),
    segment(2, fault=True),
    segment(3, error=True, throttle=True, subsegments=[
        {"id": "00000000000000aa", "name": "inner", "start_time": start + 3, "end_time": start + 3.125}]),
]
ids = [document["trace_id"] for document in documents]


def tell(endpoint):
    xray = boto3.client("xray", endpoint_url=endpoint)
    put = xray.put_trace_segments(TraceSegmentDocuments=[json.dumps(d) for d in documents])
    summaries = xray.get_trace_summaries(StartTime=now - timedelta(hours=1), EndTime=now + timedelta(hours=1))
    batch = xray.batch_get_traces(TraceIds=[*ids, "1-00000000-000000000000000000000000"])
    return {
        "put": put["UnprocessedTraceSegments"],
        "summaries": sorted(
            [s["Id"], s["HasFault"], s["HasError"], s["HasThrottle"]]
            for s in summaries["TraceSummaries"]
        ),
        "traces": sorted(
            [t["Id"], [[s["Id"], json.loads(s["Document"])] for s in t["Segments"]]]
            for t in batch["Traces"]
        ),
        "unprocessed": batch["UnprocessedTraceIds"],
    }


json.dump([tell(endpoint) for endpoint in sys.argv[1:]], sys.stdout)
