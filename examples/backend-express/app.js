// backend-express: a small API whose requests are traced with the AWS X-Ray SDK.
//
// The SDK sends one segment document per request over UDP to the daemon, and asks the daemon over TCP for the
// sampling rules. Where the daemon is comes from the variable AWS_XRAY_DAEMON_ADDRESS (`xray-daemon:2000`);
// without it the SDK uses 127.0.0.1:2000.

const xrayExpress = require('aws-xray-sdk-express');
const express = require('express');

const homeActivities = require('./services/home-activities');
const notificationsActivities = require('./services/notifications-activities');

const app = express();

// Opens a segment for every request and closes it with the response. The name is that of this application's node in
// the service map. Sampling stays at the SDK's default: the rules of the X-Ray console, and while they cannot be
// had, the first request of each second and 5 % of the rest.
app.use(xrayExpress.openSegment('backend-express'));

app.get('/api/activities/home', (req, res) => {
  res.json(homeActivities.run());
});

app.get('/api/activities/notifications', async (req, res) => {
  res.json(await notificationsActivities.run());
});

// Throws on purpose: the segment is marked as a fault and carries the error with its stack.
app.get('/api/activities/broken', () => {
  throw new Error('the activities could not be loaded');
});

// After the routes, since this is what sees their errors.
app.use(xrayExpress.closeSegment());

// PORT=0 takes any free port; the line below says which.
const server = app.listen(Number(process.env.PORT ?? 4568), process.env.HOST ?? '127.0.0.1', () => {
  const { address, port } = server.address();
  console.log(`backend-express listens on http://${address}:${port}`);
});

// In a container this is process 1, which no signal ends unless it asks for it.
process.on('SIGTERM', () => server.close(() => process.exit(0)));
