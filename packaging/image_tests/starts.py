"""What people have for the official daemon, with the image's name changed: each of these starts, is well, and delivers."""

import json
import os
import tempfile
from dataclasses import dataclass, field

from support import Container, Endpoint, ImageTest, gateway, send

# The ConfigMap of AWS's sample for Kubernetes.
CONFIG_MAP = """\
TotalBufferSizeMB: 24
Socket:
  UDPAddress: "0.0.0.0:2000"
  TCPAddress: "0.0.0.0:2000"
Version: 2
"""

# As charts of version 1 have it.
VERSION_1 = """\
Version: 1
TotalBufferSizeMB: 16
Region: ""
Socket:
  UDPAddress: "0.0.0.0:2000"
Logging:
  LogLevel: "prod"
"""

# Keys that version 2 gave up. Where nobody named the file, they are passed over.
OLD_KEYS = """\
Version: 1
Processor:
  Routine: 1
  BatchProcessorQueueSize: 20
"""

# The image writes no file of its own; what a platform may take away besides.
LOCKED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


@dataclass
class Start:
    """How somebody starts it: `entry` in place of the image's entry point, and `arguments` behind it."""

    where: str
    entry: str = ""
    arguments: tuple = ()
    options: tuple = ()
    # A file that is mounted, and where.
    file: str = ""
    at: str = "/aws/xray/config.yaml"
    variables: dict = field(default_factory=dict)
    # What the log must say, since not all of it can be meant as it stands.
    warns: str = ""


STARTS = (
    Start("docker run, as in AWS's documentation", arguments=("-o",)),
    Start("docker run, region by a flag", arguments=("--region", "eu-central-1", "--local-mode", "--log-level", "dev")),
    Start("ECS, as in AWS's documentation", options=("--memory-reservation", "256m", "--cpu-shares", "32")),
    Start("ECS behind an Envoy", options=("--user", "1337", "--memory", "256m")),
    Start("ECS, a read-only root", options=("--user", "1337", *LOCKED)),
    Start("ECS, an environment without keys that count", variables={"AWS_XRAY_DAEMON_ADDRESS": "xray-daemon:2000"}),
    Start(
        "ECS, arguments that say once more what the image says",
        arguments=("--bind", "0.0.0.0:2000", "--bind-tcp", "0.0.0.0:2000"),
    ),
    Start("a role of another account's", arguments=("-a", "arn:aws:ecs:eu-central-1:123456789012:task/x", "-m", "16")),
    Start(
        "Kubernetes, AWS's DaemonSet",
        entry="/usr/bin/xray",
        arguments=("-c", "/aws/xray/config.yaml"),
        options=("--memory", "64m", "--memory-swap", "64m"),
        file=CONFIG_MAP,
    ),
    Start(
        "Kubernetes, the later path",
        entry="/xray",
        arguments=("-c", "/aws/xray/config.yaml"),
        options=("--memory", "32m", "--memory-swap", "32m"),
        file=CONFIG_MAP,
    ),
    Start(
        "Kubernetes, a pod's user and group",
        entry="/xray",
        arguments=("-c", "/aws/xray/config.yaml"),
        options=("--user", "2000:2000", "--group-add", "2000", *LOCKED),
        file=CONFIG_MAP,
    ),
    Start("Kubernetes, without a file", options=("--memory", "256m", "--cpus", "0.25")),
    Start(
        "a chart with a file of version 1",
        entry="/usr/bin/xray",
        arguments=("-c", "/etc/xray/cfg.yaml"),
        options=("--memory", "32m", "--memory-swap", "32m"),
        file=VERSION_1,
        at="/etc/xray/cfg.yaml",
    ),
    Start(
        "a file with old keys where the daemon looks by itself",
        file=OLD_KEYS,
        at="/etc/amazon/xray/cfg.yaml",
        warns="Processor.Routine",
    ),
    Start(
        "a chart that adds its file to the image's arguments",
        arguments=("--config", "/etc/xray/cfg.yaml"),
        file=CONFIG_MAP,
        at="/etc/xray/cfg.yaml",
    ),
    Start(
        "an entry point of one's own, as AWS's documentation builds it",
        entry="/usr/bin/xray",
        arguments=("-t", "0.0.0.0:2000", "-b", "0.0.0.0:2000"),
    ),
    Start("a log file", arguments=("-f", "/tmp/xray.log"), options=("--tmpfs", "/tmp"), warns=None),
    # Bootcamps and templates have this one: the daemon gets one argument, which is no flag, and reads no further.
    Start("compose, all in one word", arguments=("xray -o -b xray-daemon:2000",), warns="xray -o -b xray-daemon:2000"),
    Start("compose, the program's name once more", arguments=("xray", "-o"), warns="xray"),
)


class Starts(ImageTest):
    def test_what_people_have_starts_is_well_and_delivers(self):
        for start in STARTS:
            with self.subTest(start.where), tempfile.TemporaryDirectory() as directory, Endpoint() as endpoint:
                self.delivers(start, endpoint, directory)

    def delivers(self, start, endpoint, directory):
        options = start.options
        if start.entry:
            options = (*options, "--entrypoint", start.entry)
        if start.file:
            os.chmod(directory, 0o755)
            path = os.path.join(directory, "config.yaml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(start.file)
            options = (*options, "--volume", f"{path}:{start.at}:ro")
        # So that the engine's own look at it comes soon.
        options = (*options, "--health-interval", "1s")
        at = endpoint.at(gateway())
        with Container(*start.arguments, endpoint=at, options=options, variables=start.variables) as daemon:
            daemon.is_well()
            send(daemon.address(), 3)
            endpoint.has(3)
            if start.warns:
                self.assertRegex(daemon.log(), rf"\[Warn\].*{start.warns}")
            elif start.warns == "":
                self.assertNotIn("[Warn]", without_advice(daemon.log()))
            health = daemon.state()["Health"]
            self.assertNotEqual(health["Status"], "unhealthy", json.dumps(health))
            code, _ = daemon.stop()
            self.assertEqual(code, 0, daemon.log())
            self.assertFalse(daemon.state()["OOMKilled"])


def without_advice(log):
    """The log without what depends on the machine, or on the endpoint of this test."""
    expected = ("UDP receive buffer", "plain http:// endpoint", "-m", "buffer")
    return "\n".join(line for line in log.splitlines() if not any(words in line for words in expected))
