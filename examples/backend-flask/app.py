"""backend-flask: a small API whose requests are traced with the AWS X-Ray SDK.

The SDK sends one segment document per request over UDP to the daemon, and asks the daemon over TCP for the
sampling rules. Where the daemon is comes from the variable AWS_XRAY_DAEMON_ADDRESS (`xray-daemon:2000` in
docker-compose.example.yml); without it the SDK uses 127.0.0.1:2000.
"""

from aws_xray_sdk.core import xray_recorder
from aws_xray_sdk.ext.flask.middleware import XRayMiddleware
from flask import Flask

from services import home_activities, notifications_activities

app = Flask(__name__)

# `service` is the name of this application's node in the service map. Sampling stays at the SDK's default: the
# rules of the X-Ray console, and while they cannot be had, the first request of each second and 5 % of the rest.
xray_recorder.configure(service="backend-flask")
# From here on every request opens a segment and closes it with the response.
XRayMiddleware(app, xray_recorder)


@app.get("/api/activities/home")
def home():
    return home_activities.run()


@app.get("/api/activities/notifications")
def notifications():
    return notifications_activities.run()


@app.get("/api/activities/broken")
def broken():
    """Raises on purpose: the segment is marked as a fault and carries the exception with its stack."""
    raise RuntimeError("the activities could not be loaded")
