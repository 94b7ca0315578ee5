// Prints the documents that the X-Ray SDK for Node.js sends, one a line: record.mjs > node.jsonl
//
// Needs aws-xray-sdk-core, aws-xray-sdk-express and express, as examples/backend-express has them, in the directory that
// NODE_PATH names. Nothing leaves the machine.
import dgram from 'node:dgram';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.join(process.env.NODE_PATH, 'none.js'));
const documents = [];
const daemon = dgram.createSocket('udp4');
daemon.on('message', (datagram) => {
  const text = datagram.toString();
  documents.push(text.slice(text.indexOf('\n') + 1));
});
await new Promise((bound) => daemon.bind(0, '127.0.0.1', bound));
process.env.AWS_XRAY_DAEMON_ADDRESS = `127.0.0.1:${daemon.address().port}`;

const xray = require('aws-xray-sdk-core');
const xrayExpress = require('aws-xray-sdk-express');
const express = require('express');

xray.middleware.disableCentralizedSampling();
xray.middleware.setSamplingRules({ version: 2, rules: [], default: { fixed_target: 100, rate: 1 } });
xray.setStreamingThreshold(5);
xray.captureHTTPsGlobal(http, true);

const listens = (app) =>
  new Promise((ready) => {
    const server = app.listen(0, '127.0.0.1', () => ready(server));
  });
// What the application calls. It has no trace of its own.
const other = await listens(http.createServer((request, response) => {
  response.statusCode = Number(request.url.slice(1)) || 200;
  response.end('other');
}));
const get = (url, headers = {}) =>
  new Promise((done) => {
    http
      .get(url, { headers }, (response) => response.resume().on('end', done))
      .on('error', done);
  });
const otherUrl = `http://127.0.0.1:${other.address().port}`;

const app = express();
app.use(xrayExpress.openSegment('orders'));
app.get('/good', async (_request, response) => {
  const segment = xray.getSegment();
  segment.setUser('Zoë');
  segment.addAnnotation('tenant', 'münchen-3');
  segment.addAnnotation('attempt', 1);
  segment.addAnnotation('ratio', 0.25);
  segment.addAnnotation('cached', false);
  segment.addMetadata('payload', { list: [1, null, { deep: true }], text: 'a\n"b"' });
  segment.addMetadata('other', 7, 'space');
  await xray.captureAsyncFunc('load', async (load) => {
    load.addAnnotation('rows', 3);
    await xray.captureAsyncFunc('inner', (inner) => inner.close(), load);
    load.close();
  });
  const query = segment.addNewSubsegment('orders@db-1');
  query.namespace = 'remote';
  query.addSqlData({
    url: 'postgres://db-1:5432/orders',
    database_type: 'postgres',
    driver_version: '8.11',
    user: 'app',
    sanitized_query: 'SELECT $1',
    preparation: 'statement',
  });
  query.close();
  await get(`${otherUrl}/200`);
  response.send('good');
});
app.get('/client-error', (_request, response) => response.status(404).send('no'));
app.get('/slow-down', (_request, response) => response.status(429).send('later'));
app.get('/server-error', (_request, response) => response.status(503).send('broken'));
app.get('/raises', () =>
  xray.captureFunc('pay', () => {
    throw new TypeError('it can\'t be paid: "größe"');
  }),
);
app.get('/calls-fail', async (_request, response) => {
  for (const url of [`${otherUrl}/404`, `${otherUrl}/429`, `${otherUrl}/503`, 'http://127.0.0.1:9/']) await get(url);
  response.send('as expected');
});
app.get('/many', (_request, response) => {
  for (let number = 0; number < 8; number += 1) xray.captureFunc(`step ${number}`, () => {});
  response.send('many');
});
app.use(xrayExpress.closeSegment());
// Express would print the stack of the error.
app.use((_error, _request, response, _next) => response.status(500).send('raised'));
const server = await listens(app);

for (const page of ['good', 'client-error', 'slow-down', 'server-error', 'raises', 'calls-fail', 'many']) {
  await get(`http://127.0.0.1:${server.address().port}/${page}?q=1`, {
    'X-Amzn-Trace-Id': 'Root=1-6b014a0b-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1',
    'User-Agent': 'curl/8',
    'X-Forwarded-For': '203.0.113.9',
  });
}
// The batch of the SDK's socket.
await new Promise((passed) => setTimeout(passed, 500));
const directories = [[process.env.NODE_PATH, '/app/node_modules'], [import.meta.dirname, '/app'], [process.cwd(), '/app']];
for (const document of documents) {
  console.log(directories.reduce((text, [directory, name]) => text.replaceAll(directory, name), document));
}
process.exit(0);
