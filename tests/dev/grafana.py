"""The calls that the X-Ray data source of Grafana makes, in its order and with its parameters, against the endpoint
argv[1]: health check, groups, search, one trace, map, statistics, analytics, insights. Prints what it would show."""

import json
import sys
import time
from datetime import datetime, timedelta, timezone

import boto3

xray = boto3.client("xray", endpoint_url=sys.argv[1])
to = datetime.now(timezone.utc)
since = to - timedelta(hours=1)
range_ = {"StartTime": since, "EndTime": to}


def pages(operation, result, **arguments):
    return [one for page in xray.get_paginator(operation).paginate(**arguments) for one in page[result]]


start = time.time() - 600
ids = [f"1-{int(start):08x}-{n:024x}" for n in range(4)]
documents = [
    {
        "trace_id": trace_id, "id": "00000000000000aa", "name": "shop", "start_time": start + n,
        "end_time": start + n + 0.5, "fault": n == 3, "user": "ada", "annotations": {"n": n},
        "http": {"request": {"method": "GET", "url": "http://shop/", "client_ip": "192.0.2.1"},
                 "response": {"status": 500 if n == 3 else 200}},
        "subsegments": [{
            "id": "00000000000000ab", "name": "pay", "namespace": "remote", "start_time": start + n,
            "end_time": start + n + 0.25}],
    }
    for n, trace_id in enumerate(ids)
]
xray.put_trace_segments(TraceSegmentDocuments=[json.dumps(document) for document in documents])

# The health check, and the list of groups to choose from.
xray.get_groups()
groups = [group["GroupName"] for group in pages("get_groups", "Groups")]

# A search, without and with an expression.
searched = [len(pages("get_trace_summaries", "TraceSummaries", **range_))]
found = pages("get_trace_summaries", "TraceSummaries", FilterExpression="fault", **range_)
rows = [
    [s["Http"]["HttpMethod"], s["Http"]["HttpStatus"], s["Http"]["HttpURL"], s["Http"]["ClientIp"], s["Duration"],
     sum(len(values) for values in s["Annotations"].values())]
    for s in found
]

# One trace: the documents, and its own map.
trace = xray.batch_get_traces(TraceIds=[ids[3]])["Traces"][0]
trace_services = [service["Name"] for service in pages("get_trace_graph", "Services", TraceIds=[ids[3]])]

# The map of the group that is chosen at first, and the accounts in it.
services = pages("get_service_graph", "Services", GroupName="Default", **range_)
by_reference = {service["ReferenceId"]: service for service in services}
edges = [
    [service["Name"], by_reference[edge["ReferenceId"]]["Name"], edge["SummaryStatistics"]["TotalCount"]]
    for service in services for edge in service["Edges"]
]
accounts = [service["AccountId"] for service in services if "AccountId" in service]


def statistics(**arguments):
    points = pages("get_time_series_service_statistics", "TimeSeriesServiceStatistics", **range_, **arguments)
    own = [point.get("EdgeSummaryStatistics") or point.get("ServiceSummaryStatistics") for point in points]
    return [
        sum(one["TotalCount"] for one in own), sum(one["FaultStatistics"]["TotalCount"] for one in own),
        sum(one["TotalResponseTime"] for one in own),
    ]


# Statistics, without an expression and of one service.
every = statistics(Period=60)
of_service = statistics(Period=300, EntitySelectorExpression='service(id(name: "pay", type: "remote"))')

# Analytics: the number of traces, then samples of four quarters of the time.
total = statistics(GroupName="Default", Period=60)[0]
quarter = (to - since) / 4
analysed = set()
for n in range(4):
    analysed |= {
        summary["Id"]
        for summary in pages(
            "get_trace_summaries", "TraceSummaries", StartTime=since + n * quarter, EndTime=since + (n + 1) * quarter,
            TimeRangeType="Event", Sampling=True,
            SamplingStrategy={"Name": "FixedRate", "Value": min(10_000 / total, 1.0)})
    }

# Insights of one group, and of all of them.
insights = [xray.get_insight_summaries(GroupName="Default", **range_)["InsightSummaries"]]
for group in pages("get_groups", "Groups"):
    answer = xray.get_insight_summaries(GroupName=group["GroupName"], States=["ACTIVE"], **range_)
    insights.append(answer["InsightSummaries"])

json.dump({
    "groups": groups,
    "searched": searched,
    "rows": rows,
    "trace": [trace["Id"] == ids[3], json.loads(trace["Segments"][0]["Document"]) == documents[3]],
    "trace_services": trace_services,
    "edges": edges,
    "accounts": accounts,
    "every": every,
    "of_service": of_service,
    "analysed": sorted(analysed) == ids,
    "insights": insights,
}, sys.stdout)
