// Sends 10 spans, 2 data points and 3 log records with the OpenTelemetry SDK: send.mjs PORT PROTOCOL COMPRESSION
import { createRequire } from 'node:module';
import path from 'node:path';

// The packages are not beside this file.
const require = createRequire(path.join(process.env.NODE_PATH, 'none.js'));
const [port, protocol, compression] = process.argv.slice(2);
const suffix = { grpc: 'grpc', 'http/json': 'http', 'http/protobuf': 'proto' }[protocol];
const from = (signal) => require(`@opentelemetry/exporter-${signal}-otlp-${suffix}`);
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { BasicTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');
const { MeterProvider, PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics');
const { LoggerProvider, BatchLogRecordProcessor } = require('@opentelemetry/sdk-logs');

const made = (Exporter, signal) =>
  new Exporter({
    url: `http://127.0.0.1:${port}${protocol === 'grpc' ? '' : `/v1/${signal}`}`,
    compression,
  });
const resource = resourceFromAttributes({ 'service.name': 'sender' });

const traces = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(made(from('trace').OTLPTraceExporter, 'traces'))],
});
const tracer = traces.getTracer('sender');
for (let number = 0; number < 10; number += 1) tracer.startSpan('work', { attributes: { number } }).end();

const reader = new PeriodicExportingMetricReader({
  exporter: made(from('metrics').OTLPMetricExporter, 'metrics'),
  exportIntervalMillis: 3_600_000,
});
const metrics = new MeterProvider({ resource, readers: [reader] });
const counter = metrics.getMeter('sender').createCounter('done');
counter.add(1, { kind: 'a' });
counter.add(2, { kind: 'b' });

const processor = new BatchLogRecordProcessor({ exporter: made(from('logs').OTLPLogExporter, 'logs') });
const logs = new LoggerProvider({ resource, processors: [processor] });
const logger = logs.getLogger('sender');
for (let number = 0; number < 3; number += 1) logger.emit({ body: `record ${number}` });

for (const provider of [traces, metrics, logs]) await provider.forceFlush();
// Not shut down, which would send the metrics once more.
process.exit(0);
