"""Calls each of the operations of the model that this boto3 has, once with success, against the endpoint argv[1]. Prints
what came back, and which operations were called. boto3 itself checks what is sent; `form` checks what comes back."""

import json
import sys
import time
from datetime import datetime, timedelta, timezone

import boto3
from botocore.exceptions import ClientError

xray = boto3.client("xray", endpoint_url=sys.argv[1])
model = xray.meta.service_model
now = datetime.now(timezone.utc)
window = {"StartTime": now - timedelta(hours=1), "EndTime": now}
called = set()


def form(shape, value, where):
    """Every member that came is one of the model's, of its type, and every required one came."""
    if shape.type_name == "structure":
        assert isinstance(value, dict), f"{where} is {value!r}"
        missing = [name for name in shape.required_members if name not in value]
        assert not missing, f"{where} has no {missing}"
        for name, member in value.items():
            assert name in shape.members, f"{where} has {name}"
            form(shape.members[name], member, f"{where}.{name}")
    elif shape.type_name == "list":
        for member in value:
            form(shape.member, member, f"{where}[]")
    elif shape.type_name == "map":
        for member in value.values():
            form(shape.value, member, f"{where}{{}}")
    else:
        types = {
            "string": str, "boolean": bool, "integer": int, "long": int, "double": float, "timestamp": datetime,
        }
        assert isinstance(value, types[shape.type_name]), f"{where} is {value!r}"
        enum = getattr(shape, "enum", [])
        assert not enum or value in enum, f"{where} is {value!r}"


def call(operation, **arguments):
    called.add(operation)
    shape = model.operation_model(operation).output_shape
    raw = {}

    def unparsed(http_response, **_):
        raw.update(json.loads(http_response.content or "{}"))

    event = f"after-call.xray.{operation}"
    xray.meta.events.register(event, unparsed)
    try:
        method = "".join("_" + c.lower() if c.isupper() else c for c in operation).lstrip("_")
        answer = getattr(xray, method)(**arguments)
    finally:
        xray.meta.events.unregister(event, unparsed)
    answer.pop("ResponseMetadata")
    form(shape, answer, operation)
    # botocore leaves out what it does not know: nothing else may have been sent.
    unknown = [name for name in raw if name not in shape.members]
    assert not unknown, f"{operation} has {unknown}"
    return answer


def code_of(operation, **arguments):
    try:
        call(operation, **arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


start = time.time() - 100
trace_id = f"1-{int(start):08x}-{7:024x}"
document = {
    "trace_id": trace_id, "id": "00000000000000aa", "name": "shop", "start_time": start, "end_time": start + 0.5,
    "origin": "AWS::EC2::Instance", "user": "ada", "annotations": {"n": 1, "s": "x", "b": True},
    "resource_arn": "arn:aws:ec2:x", "aws": {"ec2": {"instance_id": "i-1", "availability_zone": "eu-west-1a"}},
    "http": {"request": {"method": "GET", "url": "http://shop/", "client_ip": "192.0.2.1", "user_agent": "curl"},
             "response": {"status": 200}},
    "subsegments": [{
        "id": "00000000000000ab", "name": "DynamoDB", "namespace": "aws", "start_time": start + 0.1,
        "end_time": start + 0.2, "aws": {"table_name": "carts", "operation": "GetItem"}, "throttle": True}],
}
rule = {
    "RuleName": "tried", "ResourceARN": "*", "Priority": 5, "FixedRate": 0.5, "ReservoirSize": 10, "ServiceName": "*",
    "ServiceType": "*", "Host": "*", "HTTPMethod": "GET", "URLPath": "/api/*", "Version": 1,
}
tag = {"Key": "team", "Value": "a"}

put = call("PutTraceSegments", TraceSegmentDocuments=[json.dumps(document), json.dumps({**document, "name": "a?"})])
call("PutTelemetryRecords", TelemetryRecords=[{"Timestamp": now, "SegmentsReceivedCount": 3}])
rule_arn = call("CreateSamplingRule", SamplingRule=rule, Tags=[tag])["SamplingRuleRecord"]["SamplingRule"]["RuleARN"]
call("GetSamplingRules")
call("UpdateSamplingRule", SamplingRuleUpdate={"RuleName": "tried", "FixedRate": 1.0})
call("GetSamplingTargets", SamplingStatisticsDocuments=[
    {"RuleName": "tried", "ClientID": "a" * 24, "Timestamp": now, "RequestCount": 7, "SampledCount": 3}])
call("GetSamplingStatisticSummaries")
rule_tags = call("ListTagsForResource", ResourceARN=rule_arn)["Tags"]
call("DeleteSamplingRule", RuleName="tried")

call("BatchGetTraces", TraceIds=[trace_id])
summary = call("GetTraceSummaries", **window)["TraceSummaries"][0]
call("GetTraceGraph", TraceIds=[trace_id])

group = call("CreateGroup", GroupName="slow", FilterExpression="responsetime > 0.4")["Group"]
call("GetGroup", GroupName="slow")
call("UpdateGroup", GroupARN=group["GroupARN"], FilterExpression="responsetime > 0.6")
call("TagResource", ResourceARN=group["GroupARN"], Tags=[tag])
call("UntagResource", ResourceARN=group["GroupARN"], TagKeys=["team"])
groups = [group["GroupName"] for group in call("GetGroups")["Groups"]]
of_group = call("GetTraceSummaries", FilterExpression='groupname = "slow"', **window)["TraceSummaries"]
graph = call("GetServiceGraph", **window)
graph_of_group = call("GetServiceGraph", GroupName="slow", **window)
series = call("GetTimeSeriesServiceStatistics", Period=60, EntitySelectorExpression='service("shop")', **window)
call("DeleteGroup", GroupName="slow")

insights = call("GetInsightSummaries", GroupName="Default", **window)["InsightSummaries"]
insight = {"InsightId": "0a1b2c3d-0a1b-4a1b-8a1b-0a1b2c3d4e5f"}
# There are none: these three have no success.
no_insight = [
    code_of("GetInsight", **insight), code_of("GetInsightEvents", **insight),
    code_of("GetInsightImpactGraph", **insight, **window),
]

call("GetEncryptionConfig")
call("PutEncryptionConfig", Type="NONE")
call("GetTraceSegmentDestination")
call("UpdateTraceSegmentDestination", Destination="XRay")
call("GetIndexingRules")
call("UpdateIndexingRule", Name="Default", Rule={"Probabilistic": {"DesiredSamplingPercentage": 5.0}})
call("PutResourcePolicy", PolicyName="p", PolicyDocument="{}")
policies = [policy["PolicyName"] for policy in call("ListResourcePolicies")["ResourcePolicies"]]
call("DeleteResourcePolicy", PolicyName="p")

token = call("StartTraceRetrieval", TraceIds=[trace_id], **window)["RetrievalToken"]
retrieved = call("ListRetrievedTraces", RetrievalToken=token)
call("GetRetrievedTracesGraph", RetrievalToken=token)
call("CancelTraceRetrieval", RetrievalToken=token)

json.dump({
    "not_called": sorted(set(model.operation_names) - called),
    "operations": len(called),
    "refused": put["UnprocessedTraceSegments"][0]["Message"],
    "throttled": [summary["HasThrottle"], summary["IsPartial"]],
    "groups": groups,
    "of_group": len(of_group),
    "services": [[s["Name"], s["Type"], s["State"], s.get("Root")] for s in graph["Services"]],
    "services_of_group": len(graph_of_group["Services"]),
    "series": [point["ServiceSummaryStatistics"]["TotalCount"] for point in series["TimeSeriesServiceStatistics"]],
    "insights": insights,
    "no_insight": no_insight,
    "rule_tags": rule_tags,
    "policies": policies,
    "retrieved": [retrieved["RetrievalStatus"], [trace["Id"] == trace_id for trace in retrieved["Traces"]]],
    "gone": code_of("ListTagsForResource", ResourceARN=group["GroupARN"]),
}, sys.stdout)
