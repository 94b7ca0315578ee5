"""Over networks as people have them: fragments, IPv6 alone, addresses that change."""

import os
import subprocess

from support import (
    IMAGE,
    LABEL,
    Container,
    Endpoint,
    ImageTest,
    Network,
    as_root,
    docker,
    gateway,
    send,
    skip,
    wait_for,
)


class Networks(ImageTest):
    def test_datagrams_of_60_kb_arrive_over_a_bridge_of_1500_bytes(self):
        with Network("--opt", "com.docker.network.driver.mtu=1500") as network, Endpoint() as endpoint:
            at = endpoint.at(gateway(network.name))
            with Container(endpoint=at, options=("--network", network.name)) as daemon:
                daemon.is_well()
                # Few at a time: some forty fragments each, in a receive buffer as most hosts have it.
                send(daemon.address(), 100, size=60_000, per_s=100)
                endpoint.has(100)
                self.assertIn("received 100, sent 100", self.ends_well(daemon))

    def test_it_works_where_there_is_ipv6_alone(self):
        if as_root("ip") is None:
            skip(self, "only root can make an interface (sudo)")
        with Endpoint() as endpoint:
            options = ("--network", "none", "--sysctl", "net.ipv6.conf.all.disable_ipv6=0")
            with Container(endpoint=endpoint.at("[fd00:7872::1]"), options=options) as daemon, Wire(daemon):
                daemon.is_well()
                send("fd00:7872::2", 10)
                endpoint.has(10)
                self.assertIn("received 10, sent 10", self.ends_well(daemon))

    def test_it_finds_an_endpoint_that_comes_back_with_another_address(self):
        with Network() as network:
            beside = ("--network", network.name)

            def xray():
                options = (*beside, "--network-alias", "xray.internal", "--entrypoint", "/xray")
                return Container("dev", "-b", "0.0.0.0:2000", "-t", "0.0.0.0:2000", options=options)

            with Container(endpoint="http://xray.internal:2000", options=beside) as daemon:
                with xray() as first:
                    first.is_well()
                    before = first.address()
                    send(daemon.address(), 10)
                    wait_for("the first ten", lambda: "Successfully sent batch" in daemon.log())
                send(daemon.address(), 10)
                with Container(options=beside), xray() as second:
                    self.assertNotEqual(second.address(), before)
                    second.is_well()
                    sent = "received 20, sent 20"
                    wait_for("the next ten", lambda: daemon.log().count("Successfully sent batch") >= 2)
                    self.assertIn(sent, self.ends_well(daemon))

    def test_senders_find_a_daemon_that_comes_back_with_another_address(self):
        with Network() as network, Endpoint() as endpoint:
            at = endpoint.at(gateway(network.name))
            options = ("--network", network.name, "--network-alias", "xray-daemon")

            def is_heard(daemon):
                """Whether a segment that is sent to its name comes to it."""
                docker("run", "--rm", "--label", LABEL, "--network", network.name, "--entrypoint", "/xray", IMAGE,
                       "send", "--to", "xray-daemon:2000")
                return endpoint.segments

            with Container(endpoint=at, options=options) as first:
                first.is_well()
                before = first.address()
                wait_for("a segment by the first", lambda: is_heard(first))
            so_far = endpoint.segments
            with Container(options=("--network", network.name)), Container(endpoint=at, options=options) as second:
                self.assertNotEqual(second.address(), before)
                second.is_well()
                wait_for("a segment by the second", lambda: is_heard(second) > so_far)


class Wire:
    """A line between this machine, fd00:7872::1, and a container without any other network, fd00:7872::2."""

    def __init__(self, container):
        self.process = str(container.state()["Pid"])
        self.name = f"xray{os.getpid() % 100000}"

    def __enter__(self):
        self.ip("link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.process)
        self.ip("address", "add", "fd00:7872::1/64", "dev", self.name, "nodad")
        self.ip("link", "set", self.name, "up")
        inside = ("nsenter", "--target", self.process, "--net", "ip")
        self.root(*inside, "address", "add", "fd00:7872::2/64", "dev", "eth0", "nodad")
        self.root(*inside, "link", "set", "eth0", "up")
        return self

    def __exit__(self, *_):
        # It goes with the container, if that is gone.
        subprocess.run(as_root("ip", "link", "del", self.name), capture_output=True, check=False)

    def ip(self, *words):
        self.root("ip", *words)

    def root(self, *words):
        subprocess.run(as_root(*words), check=True)
