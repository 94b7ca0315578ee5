"""Every call of the API that `xray dev` answers, through boto3, against the endpoint argv[1]. Prints what came back."""

import json
import sys
import time
from datetime import datetime, timedelta, timezone

import boto3
from botocore.exceptions import ClientError

xray = boto3.client("xray", endpoint_url=sys.argv[1])
now = datetime.now(timezone.utc)
window = {"StartTime": now - timedelta(hours=1), "EndTime": now + timedelta(hours=1)}


def code_of(call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return [error.response["Error"]["Code"], error.response["Error"]["Message"]]
    return None


def trace_id(n):
    return f"1-{int(time.time()):08x}-{n:024x}"


def segment(n, **more):
    start = time.time() - 10 + n
    return {
        "trace_id": trace_id(n), "id": f"{n:016x}", "name": "shop", "start_time": start, "end_time": start + 0.25,
        "annotations": {"n": n}, **more,
    }


documents = [
    segment(1, http={"request": {"method": "GET", "url": "http://shop/"}, "response": {"status": 200}}),
    segment(2, fault=True, subsegments=[{
        "id": "00000000000000aa", "name": "stock", "namespace": "remote", "start_time": time.time() - 8,
        "end_time": time.time() - 7.9}]),
    segment(3, user="ada"),
]
ids = [document["trace_id"] for document in documents]
put = xray.put_trace_segments(TraceSegmentDocuments=[json.dumps(d) for d in documents] + ["{}", "no json"])
xray.put_telemetry_records(TelemetryRecords=[{"Timestamp": now, "SegmentsReceivedCount": 3}])


def matching(expression):
    pages = xray.get_paginator("get_trace_summaries").paginate(FilterExpression=expression, **window)
    return sorted(summary["Id"] for page in pages for summary in page["TraceSummaries"])


missing = trace_id(99)  # once: it has the time in it
batch = xray.batch_get_traces(TraceIds=[ids[0], missing])
graph = xray.get_service_graph(**window)
rule = {
    "RuleName": "tried", "ResourceARN": "*", "Priority": 5, "FixedRate": 0.5, "ReservoirSize": 10, "ServiceName": "*",
    "ServiceType": "*", "Host": "*", "HTTPMethod": "GET", "URLPath": "/api/*", "Version": 1,
}
created = xray.create_sampling_rule(SamplingRule=rule)
updated = xray.update_sampling_rule(SamplingRuleUpdate={"RuleName": "tried", "FixedRate": 1.0})
rules = [page for page in xray.get_paginator("get_sampling_rules").paginate()]
targets = xray.get_sampling_targets(SamplingStatisticsDocuments=[{
    "RuleName": "tried", "ClientID": "a" * 24, "Timestamp": now, "RequestCount": 7, "SampledCount": 3}])
statistics = xray.get_sampling_statistic_summaries()
deleted = xray.delete_sampling_rule(RuleName="tried")

json.dump({
    "refused": [[u.get("Id"), u["ErrorCode"]] for u in put["UnprocessedTraceSegments"]],
    "found": {e: [ids.index(i) + 1 for i in matching(e)] for e in [
        "", "fault", "ok", "http.status = 200", 'user = "ada"', "annotation.n >= 2", 'service("stock")',
        'edge("shop", "stock")', "responsetime > 1", "fault OR annotation[n] = 1",
    ]},
    "filter_error": code_of(xray.get_trace_summaries, FilterExpression="fault AND", **window),
    "document": json.loads(batch["Traces"][0]["Segments"][0]["Document"]) == documents[0],
    "unprocessed": batch["UnprocessedTraceIds"] == [missing],
    "services": sorted([s["Name"], s.get("Type"), len(s["Edges"])] for s in graph["Services"]),
    "trace_graph": sorted(s["Name"] for s in xray.get_trace_graph(TraceIds=[ids[1]])["Services"]),
    "created": created["SamplingRuleRecord"]["SamplingRule"]["RuleARN"],
    "rate": updated["SamplingRuleRecord"]["SamplingRule"]["FixedRate"],
    "rules": [r["SamplingRule"]["RuleName"] for page in rules for r in page["SamplingRuleRecords"]],
    "target": {k: v for k, v in targets["SamplingTargetDocuments"][0].items() if k != "ReservoirQuotaTTL"},
    "statistics": [s["RequestCount"] for s in statistics["SamplingStatisticSummaries"]],
    "deleted": deleted["SamplingRuleRecord"]["SamplingRule"]["RuleName"],
    "twice": code_of(xray.delete_sampling_rule, RuleName="tried"),
}, sys.stdout)
