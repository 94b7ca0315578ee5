"""Containers, an endpoint for them, and what senders send: what the tests of the image share."""

import ipaddress
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

IMAGE = os.environ.get("IMAGE", "xray")

# Everything that is made here has it, so that what an earlier run left behind can be found:
# docker ps --all --filter label=xray-image-test
LABEL = "xray-image-test"

# Nothing of this may reach AWS, and no daemon waits for metadata that there is not.
VARIABLES = {
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}

# What X-Ray answers when all is well.
ANSWERS = {
    "/TraceSegments": b'{"UnprocessedTraceSegments":[]}',
    "/GetSamplingRules": b'{"SamplingRuleRecords":[]}',
}

# The longest that anything is waited for.
PATIENCE_S = 30


def run(*words, check=True, **options):
    """Runs a command; its exit code, and what it wrote on both ways."""
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(words)}: {done.returncode}\n{done.stdout}")
    return done.returncode, done.stdout


def docker(*words, check=True):
    return run("docker", *words, check=check)[1].strip()


def as_root(*words):
    """A command that needs root, or None where it can't be had without asking anybody."""
    if os.geteuid() == 0:
        return list(words)
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n", *words]
    return None


def wait_for(what, look):
    """Looks until there is something."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {PATIENCE_S} s")
        time.sleep(0.1)
    return found


def segment(number=1, size=0):
    """A datagram as SDKs send it, of `size` bytes if that is more than it takes."""
    body = {
        "trace_id": f"1-{int(time.time()):08x}-{number:024x}",
        "id": f"{number:016x}",
        "name": "image-test",
        "start_time": time.time(),
        "end_time": time.time(),
    }
    head = '{"format":"json","version":1}\n'
    shortest = len(head + json.dumps({**body, "annotations": {"fill": ""}}))
    if size > shortest:
        body["annotations"] = {"fill": "x" * (size - shortest)}
    return (head + json.dumps(body)).encode()


class Container:
    """The image, running. `endpoint` is where it sends; the rest are options of `docker run`."""

    def __init__(self, *arguments, endpoint=None, options=(), variables=None, image=IMAGE):
        variables = {**VARIABLES, **({"XRAY_ENDPOINT": endpoint} if endpoint else {}), **(variables or {})}
        for name, value in variables.items():
            options = (*options, "--env", f"{name}={value}")
        self.id = docker("run", "--detach", "--label", LABEL, *options, image, *arguments)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        docker("rm", "--force", "--volumes", self.id)

    def state(self):
        return json.loads(docker("inspect", "--format", "{{json .State}}", self.id))

    def address(self):
        networks = json.loads(docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", self.id))
        return next(iter(networks.values()))["IPAddress"]

    def log(self):
        return docker("logs", self.id)

    def says(self, words):
        """Waits until its log has these words, and gives that line."""

        def line():
            found = [line for line in self.log().splitlines() if words in line]
            if not found and not self.state()["Running"]:
                raise AssertionError(f"it ended without saying {words!r}:\n{self.log()}")
            return found and found[-1]

        return wait_for(words, line)

    def exec(self, *words):
        """Runs the program in it: its exit code, and what it said."""
        return run("docker", "exec", self.id, "/xray", *words, check=False)

    def is_well(self):
        def is_healthy():
            if not self.state()["Running"]:
                raise AssertionError(f"it ended:\n{self.log()}")
            return self.exec("healthcheck")[0] == 0 and self.is_reached()

        return wait_for("healthy", is_healthy)

    def is_reached(self):
        """Whether there is a way from here. A bridge whose first container comes takes up to a second to carry."""
        if not (address := self.address()):
            return True
        try:
            socket.create_connection((address, 2000), timeout=1).close()
        except ConnectionRefusedError:
            # It listens for itself alone, and has been reached.
            return True
        except OSError:
            return False
        return True

    def stop(self):
        """Tells it to end: its exit code, and its last line. After ten seconds Docker kills it, which is code 137."""
        docker("stop", self.id)
        lines = self.log().splitlines() or [""]
        return self.state()["ExitCode"], lines[-1]


class Endpoint:
    """What stands for X-Ray, on every address of this machine: takes all, or, with `hangs`, answers nobody."""

    def __init__(self, hangs=False):
        endpoint = self
        self.segments, self.spans, self.calls, self.lock, self.ended = 0, 0, 0, threading.Lock(), threading.Event()

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                documents = 0
                if self.path == "/TraceSegments":
                    documents = len(json.loads(body)["TraceSegmentDocuments"])
                with endpoint.lock:
                    endpoint.calls += 1
                    endpoint.spans += self.path == "/v1/traces"
                    endpoint.segments += documents
                if hangs:
                    endpoint.ended.wait()
                    return
                answer = ANSWERS.get(self.path, b"{}")
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6
            daemon_threads = True

            def server_bind(self):
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                super().server_bind()

        self.server = Server(("::", 0), Answer)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def at(self, host):
        return f"http://{host}:{self.port}"

    def has(self, segments):
        wait_for(f"{segments} segments at the endpoint", lambda: self.segments >= segments)


def gateway(network="bridge"):
    """This machine's address for the containers of a network."""
    config = json.loads(docker("network", "inspect", "--format", "{{json .IPAM.Config}}", network))[0]
    # Engines of before 2021 do not say it of their own bridge, where it is the first address as well.
    return config.get("Gateway") or str(next(ipaddress.ip_network(config["Subnet"]).hosts()))


class Network:
    """A network of its own."""

    def __init__(self, *options):
        self.name = f"{LABEL}-{os.getpid()}-{time.monotonic_ns()}"
        docker("network", "create", "--label", LABEL, *options, self.name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        docker("network", "rm", self.name)


def send(host, count, size=1024, per_s=1000, port=2000):
    """Sends segments at that rate; how many the system took."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    datagrams = [segment(number, size) for number in range(64)]
    sent, start = 0, time.monotonic()
    with socket.socket(family, socket.SOCK_DGRAM) as to:
        to.connect((host, port))
        while sent < count:
            due = min(count, int((time.monotonic() - start) * per_s) + 1)
            while sent < due:
                to.send(datagrams[sent % len(datagrams)])
                sent += 1
            time.sleep(0.001)
    return sent


def skip(test, reason):
    """Leaves a test out, unless CI is set."""
    if os.environ.get("CI"):
        test.fail(f"CI is set, so this must be tried: {reason}")
    test.skipTest(reason)


class ImageTest(unittest.TestCase):
    """What all tests have."""

    maxDiff = None

    def ends_well(self, container):
        code, last = container.stop()
        self.assertEqual(code, 0, container.log())
        self.assertIn("Shutdown finished", last)
        return last
