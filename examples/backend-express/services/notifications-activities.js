// What happened to a user's activities since the last visit.

const AWSXRay = require('aws-xray-sdk-core');

const HOUR_MS = 60 * 60 * 1000;

function run() {
  // An annotation on the segment itself counts for the whole request.
  AWSXRay.getSegment().addAnnotation('page', 'notifications');

  // Subsegments nest: `load` and `render` become children of `notifications_activities`.
  return captured('notifications_activities', async () => {
    const notifications = await captured('load', async (subsegment) => {
      const loaded = await load();
      subsegment.addAnnotation('unread', loaded.filter((item) => !item.read).length);
      subsegment.addMetadata('handles', loaded.map((item) => item.handle), 'notifications');
      return loaded;
    });
    return captured('render', async () => notifications.map((item) => `${item.handle} ${item.did} your activity`));
  });
}

// A subsegment around an async function. The SDK's captureAsyncFunc leaves closing to the caller, because it cannot
// know when the work is done; a promise can.
function captured(name, work) {
  return AWSXRay.captureAsyncFunc(name, async (subsegment) => {
    try {
      const result = await work(subsegment);
      subsegment.close();
      return result;
    } catch (error) {
      subsegment.close(error);
      throw error;
    }
  });
}

async function load() {
  const now = Date.now();
  return [
    { handle: 'coco', did: 'liked', read: false, at: new Date(now - HOUR_MS) },
    { handle: 'Zoë', did: 'answered', read: false, at: new Date(now - 3 * HOUR_MS) },
    { handle: 'Worf', did: 'disliked', read: true, at: new Date(now - 24 * HOUR_MS) },
  ];
}

module.exports = { run };
