// What a user sees on the home page.

const AWSXRay = require('aws-xray-sdk-core');

const DAY_MS = 24 * 60 * 60 * 1000;

function run() {
  // Wraps the call in a subsegment of that name, closed when the function returns or throws.
  return AWSXRay.captureFunc('home_activities', (subsegment) => {
    const now = Date.now();
    const activities = [
      { handle: 'Andrew Brown', message: 'Cloud is fun!', created_at: new Date(now - 2 * DAY_MS) },
      { handle: 'Worf', message: 'I am out of prune juice', created_at: new Date(now - 7 * DAY_MS) },
    ];
    // Annotations are indexed, so traces can be searched by them; metadata is kept but not indexed.
    subsegment.addAnnotation('activity_count', activities.length);
    subsegment.addMetadata('handles', activities.map((activity) => activity.handle), 'home');
    return activities;
  });
}

module.exports = { run };
