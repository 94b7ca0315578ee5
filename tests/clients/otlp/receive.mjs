// Elastic's mock OTLP server on a free port. Prints where it listens, and an object for each request: its path and headers,
// and the spans that the server has read.
import { createRequire } from 'node:module';
import path from 'node:path';

// The packages are not beside this file.
const require = createRequire(path.join(process.env.NODE_PATH, 'none.js'));
const { MockOtlpServer } = require('@elastic/mockotlpserver');

const hex = (bytes) => Buffer.from(bytes).toString('hex');
// What of it is set, of whatever kind. 64-bit integers are texts in JSON.
const value = (any) => {
  const [[kind, set] = []] = Object.entries(any.toJSON());
  return kind === 'intValue' ? Number(set) : set;
};
const record = (attributes) => Object.fromEntries(attributes.map((one) => [one.key, value(one.value)]));

// It says of a request what it was before it says what was in it, both in one turn.
let asked;
const server = new MockOtlpServer({
  logLevel: 'error',
  services: ['http'],
  httpHostname: '127.0.0.1',
  httpPort: 0,
  onRequest: (request) => {
    asked = request;
  },
  onTrace: ({ resourceSpans }) => {
    const spans = resourceSpans.flatMap(({ resource, scopeSpans }) =>
      scopeSpans.flatMap((scope) =>
        scope.spans.map((span) => ({
          service: record(resource.attributes)['service.name'],
          name: span.name,
          trace_id: hex(span.traceId),
          attributes: record(span.attributes),
        })),
      ),
    );
    console.log(JSON.stringify({ path: asked.path, headers: asked.headers, spans }));
  },
});
await server.start();
console.log(`Listening on http://${server.httpUrl.host}`);
