// Sends segments with the AWS SDK for JavaScript and reads them back, at ENDPOINT; prints what came back: calls.mjs ENDPOINT
import { createRequire } from 'node:module';
import path from 'node:path';

// The packages are not beside this file.
const require = createRequire(path.join(process.env.NODE_PATH, 'none.js'));
const {
  BatchGetTracesCommand,
  CreateSamplingRuleCommand,
  GetSamplingRulesCommand,
  GetSamplingTargetsCommand,
  GetServiceGraphCommand,
  GetTraceSummariesCommand,
  PutTelemetryRecordsCommand,
  PutTraceSegmentsCommand,
  XRayClient,
  paginateGetTraceSummaries,
} = require('@aws-sdk/client-xray');

const client = new XRayClient({ endpoint: process.argv[2] });
const call = (Command, input) => client.send(new Command(input));
const now = Date.now() / 1000;
const window = { StartTime: new Date((now - 3600) * 1000), EndTime: new Date((now + 3600) * 1000) };
const traceId = (n) => `1-${Math.floor(now).toString(16).padStart(8, '0')}-${n.toString(16).padStart(24, '0')}`;
const segment = (n, more) =>
  JSON.stringify({
    trace_id: traceId(n),
    id: n.toString(16).padStart(16, '0'),
    name: 'shop',
    start_time: now - 1,
    end_time: now,
    ...more,
  });

const put = await call(PutTraceSegmentsCommand, {
  TraceSegmentDocuments: [segment(1, { user: 'Zoë' }), segment(2, { fault: true }), '{}'],
});
await call(PutTelemetryRecordsCommand, { TelemetryRecords: [{ Timestamp: new Date(), SegmentsReceivedCount: 2 }] });
const faults = [];
for await (const page of paginateGetTraceSummaries({ client }, { ...window, FilterExpression: 'fault' })) {
  faults.push(...page.TraceSummaries.map((summary) => summary.Id === traceId(2) && summary.HasFault));
}
const traces = await call(BatchGetTracesCommand, { TraceIds: [traceId(1), traceId(9)] });
const graph = await call(GetServiceGraphCommand, window);
const refused = await call(GetTraceSummariesCommand, { ...window, FilterExpression: 'fault AND' }).catch((error) => error.name);
const SamplingRule = {
  RuleName: 'tried',
  ResourceARN: '*',
  Priority: 1,
  FixedRate: 0.5,
  ReservoirSize: 0,
  ServiceName: '*',
  ServiceType: '*',
  Host: '*',
  HTTPMethod: '*',
  URLPath: '*',
  Version: 1,
};
const made = await call(CreateSamplingRuleCommand, { SamplingRule });
const rules = await call(GetSamplingRulesCommand, {});
const targets = await call(GetSamplingTargetsCommand, {
  SamplingStatisticsDocuments: [
    { RuleName: 'tried', ClientID: '0123456789abcdef01234567', Timestamp: new Date(), RequestCount: 7, SampledCount: 3 },
  ],
});

const told = {
  unprocessed: put.UnprocessedTraceSegments.map((segment) => segment.ErrorCode),
  faults,
  users: traces.Traces.flatMap((trace) => trace.Segments.map((segment) => JSON.parse(segment.Document).user)),
  unknown: traces.UnprocessedTraceIds.map((id) => id === traceId(9)),
  services: graph.Services.map((service) => service.Name),
  refused,
  made: made.SamplingRuleRecord.SamplingRule.RuleName,
  is_new: Math.abs(made.SamplingRuleRecord.CreatedAt - Date.now()) < 60_000,
  rules: rules.SamplingRuleRecords.map((record) => record.SamplingRule.RuleName),
  rates: targets.SamplingTargetDocuments.map((target) => target.FixedRate),
};
console.log(JSON.stringify(told));
