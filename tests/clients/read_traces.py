"""Prints, as JSON, what an X-Ray service at argv[1] knows of the trace ids argv[2:]: the summaries of the last hour
by get_trace_summaries, and the documents by batch_get_traces. Region and credentials come from the environment."""

import json
import sys
from datetime import datetime, timedelta, timezone

import boto3

# The service takes at most five ids in one call.
IDS_PER_CALL = 5

endpoint, ids = sys.argv[1], sys.argv[2:]
xray = boto3.client("xray", endpoint_url=endpoint)

now = datetime.now(timezone.utc)
hour = timedelta(hours=1)
summaries = []
for page in xray.get_paginator("get_trace_summaries").paginate(StartTime=now - hour, EndTime=now + hour):
    summaries += page["TraceSummaries"]

traces, unknown = [], []
for first in range(0, len(ids), IDS_PER_CALL):
    answer = xray.batch_get_traces(TraceIds=ids[first : first + IDS_PER_CALL])
    traces += answer["Traces"]
    unknown += answer["UnprocessedTraceIds"]

json.dump({"summaries": summaries, "traces": traces, "unknown": unknown}, sys.stdout, default=str)
