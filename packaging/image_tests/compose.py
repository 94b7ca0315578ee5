"""The compose files, as they are, with another endpoint in the place of AWS and Honeycomb."""

import json
import os
import tempfile
import time
import urllib.request

from support import Container, Endpoint, ImageTest, docker, run, skip, wait_for

# The page of the example application; one request makes one trace.
PAGE = "http://127.0.0.1:4567/api/activities/home"


class Compose(ImageTest):
    def setUp(self):
        if run("docker", "compose", "version", check=False)[0] != 0:
            skip(self, "there is no docker compose")

    def up(self, file, variables=None):
        """Starts the services of a file, with these variables for its daemon, whichever its name is."""
        return Services(self, file, variables or {})

    def test_the_file_for_a_laptop_shows_the_trace_of_a_request(self):
        with self.up("docker-compose.dev.yml"):
            wait_for("the trace on the page", lambda: get(PAGE) and "backend-flask" in traces())

    def test_the_file_for_aws_delivers_also_when_the_daemon_comes_back_with_another_address(self):
        with Endpoint() as endpoint:
            with self.up("docker-compose.example.yml", {"XRAY_ENDPOINT": endpoint.at("host.docker.internal")}) as services:
                wait_for("the segment", lambda: get(PAGE) and endpoint.segments)
                before = services.address("xray-daemon")
                services.do("rm", "--stop", "--force", "xray-daemon")
                # Whoever comes next gets the address of whoever left.
                with services.another():
                    services.do("up", "--detach", "--wait", "xray-daemon")
                    self.assertNotEqual(services.address("xray-daemon"), before)
                    so_far = endpoint.segments
                    wait_for("a segment over the new one", lambda: get(PAGE) and endpoint.segments > so_far)

    def test_the_file_with_otlp_delivers_to_both(self):
        with Endpoint() as endpoint:
            at = endpoint.at("host.docker.internal")
            with self.up("docker-compose.otel.yml", {"XRAY_ENDPOINT": at, "XRAY_OTLP_ENDPOINT": at}):
                wait_for("the segment", lambda: get(PAGE) and endpoint.segments)
                wait_for("the segment and the span by OTLP", lambda: endpoint.spans)


def get(url, body=None):
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


def traces():
    """What `xray dev` knows of the last ten minutes."""
    now = time.time()
    period = {"StartTime": now - 600, "EndTime": now + 60}
    return get("http://127.0.0.1:2000/TraceSummaries", json.dumps(period).encode())


class Services:
    def __init__(self, test, file, variables):
        self.test, self.file = test, file
        services = json.loads(run("docker", "compose", "-f", file, "config", "--format", "json", env=self.env())[1])
        self.daemon = next(name for name in services["services"] if name != "backend-flask")
        more = {"environment": variables, "extra_hosts": ["host.docker.internal:host-gateway"]}
        self.override = tempfile.NamedTemporaryFile("w", suffix=".yml", encoding="utf-8")
        json.dump({"services": {self.daemon: {**more, "image": os.environ["IMAGE"]}}}, self.override)
        self.override.flush()

    def env(self):
        """What the files ask for by `:?`."""
        keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "HONEYCOMB_API_KEY": "key"}
        return {**os.environ, **keys, "AWS_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true"}

    def do(self, *words):
        files = ("-f", self.file, "-f", self.override.name)
        return run("docker", "compose", "--project-name", "xray-image-test", *files, *words, env=self.env())[1].strip()

    def address(self, service):
        each = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return docker("inspect", "--format", each, self.do("ps", "--quiet", service).splitlines()[-1])

    def another(self):
        """Somebody else on the same network."""
        return Container(options=("--network", "xray-image-test_default"))

    def __enter__(self):
        # The image under test is there already; the application's is built.
        self.do("build", "backend-flask")
        self.do("up", "--detach", "--wait")
        wait_for("the application", self.answers)
        return self

    def answers(self):
        try:
            return get(PAGE) is not None
        except OSError:
            return False

    def __exit__(self, *_):
        self.do("down", "--volumes", "--timeout", "10")
        self.override.close()
