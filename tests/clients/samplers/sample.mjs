// Starts spans under OpenTelemetry's X-Ray remote sampler, which asks ENDPOINT, and says of every 500 how many were sampled:
// sample.mjs ENDPOINT
import { createRequire } from 'node:module';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';

// The packages are not beside this file.
const require = createRequire(path.join(process.env.NODE_PATH, 'none.js'));
const { resourceFromAttributes } = require('@opentelemetry/resources');
const { AWSXRayRemoteSampler } = require('@opentelemetry/sampler-aws-xray');
const { BasicTracerProvider } = require('@opentelemetry/sdk-trace-base');

const SPANS = 500;
const resource = resourceFromAttributes({ 'service.name': 'sampler-node' });
const sampler = new AWSXRayRemoteSampler({ resource, endpoint: process.argv[2] });
const tracer = new BasicTracerProvider({ resource, sampler }).getTracer('sampler');

for (;;) {
  let sampled = 0;
  for (let number = 0; number < SPANS; number += 1) {
    const span = tracer.startSpan('GET /checkout', { attributes: { 'http.request.method': 'GET', 'url.path': '/checkout' } });
    sampled += Number(span.isRecording());
    span.end();
  }
  console.log(`sampled ${sampled} of ${SPANS}`);
  await setTimeout(100);
}
