// Sends 10 spans with the OpenTelemetry SDK, and says when it has to come again: again.mjs PORT PROTOCOL
import { createRequire } from 'node:module';
import path from 'node:path';

// The packages are not beside this file.
const require = createRequire(path.join(process.env.NODE_PATH, 'none.js'));
const [port, protocol] = process.argv.slice(2);
const suffix = { 'http/json': 'http', 'http/protobuf': 'proto' }[protocol];
const { diag, DiagConsoleLogger, DiagLogLevel } = require('@opentelemetry/api');
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${suffix}`);
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { BasicTracerProvider, BatchSpanProcessor } = require('@opentelemetry/sdk-trace-base');

diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.ALL);
// A daemon that starts on a busy machine takes its time.
const exporter = new OTLPTraceExporter({ url: `http://127.0.0.1:${port}/v1/traces`, timeoutMillis: 30_000 });
const traces = new BasicTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'sender' }),
  spanProcessors: [new BatchSpanProcessor(exporter, { exportTimeoutMillis: 30_000 })],
});
const tracer = traces.getTracer('sender');
for (let number = 0; number < 10; number += 1) tracer.startSpan('work', { attributes: { number } }).end();
await traces.forceFlush();
