"""What the image is: its size, labels, files, processors."""

import json
import os
import tarfile
import tempfile
import unittest

from support import IMAGE, Container, Endpoint, ImageTest, docker, gateway, run, send

MAX_MB = 12


class Image(ImageTest):
    def setUp(self):
        self.found = json.loads(docker("image", "inspect", IMAGE))[0]

    def test_it_is_smaller_than_12_mb(self):
        print(f"{self.found['Size'] / 1e6:.1f} MB", end=" ... ", flush=True)
        self.assertLess(self.found["Size"], MAX_MB * 1_000_000)

    def test_its_labels_say_what_it_is_and_its_version_is_that_of_the_program(self):
        labels = self.found["Config"]["Labels"]
        said = {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
        self.assertEqual((said["title"], said["licenses"]), ("xray", "Apache-2.0"))
        version = docker("run", "--rm", IMAGE, "--version")
        self.assertEqual(version, f"AWS X-Ray daemon version: {said['version']}")

    def test_it_has_no_file_but_its_own(self):
        made = docker("create", IMAGE)
        try:
            with tempfile.TemporaryDirectory() as directory:
                archive = os.path.join(directory, "image.tar")
                docker("export", "--output", archive, made)
                with tarfile.open(archive) as files:
                    named = {file.name: file for file in files if not file.isdir()}
        finally:
            docker("rm", made)
        # What the engine puts there for its own mounts.
        of_engine = {".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"}
        own = {"xray", "usr/bin/xray", "root", "etc/passwd", "etc/group", "etc/ssl/certs/ca-certificates.crt"}
        self.assertEqual(set(named) - of_engine, own)
        self.assertEqual(named["xray"].mode & 0o777, 0o755)

    def test_it_runs_on_the_other_processor_too(self):
        other, cpu = ("arm64", "aarch64") if self.found["Architecture"] == "amd64" else ("amd64", "x86_64")
        if not os.path.exists(f"/proc/sys/fs/binfmt_misc/qemu-{cpu}"):
            raise unittest.SkipTest(f"this machine can't run {other}: docker run --privileged --rm tonistiigi/binfmt --install {other}")
        name, platform = f"{IMAGE}-{other}", f"linux/{other}"
        run("docker", "build", "--platform", platform, "--tag", name, ".", env={**os.environ, "DOCKER_BUILDKIT": "1"})
        self.assertIn("version", docker("run", "--rm", "--platform", platform, name, "--version"))
        with Endpoint() as endpoint:
            options = ("--platform", platform)
            with Container(endpoint=endpoint.at(gateway()), options=options, image=name) as daemon:
                daemon.is_well()
                send(daemon.address(), 5)
                endpoint.has(5)
                self.assertIn("received 5, sent 5", self.ends_well(daemon))


class Users(ImageTest):
    """As anybody, with nothing that a process may do without."""

    NOTHING = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")

    def test_it_receives_and_sends_as_any_user_on_a_read_only_root_without_capabilities(self):
        for user in (None, "1000", "1337", "1337:1337", "0", "65534:0"):
            with self.subTest(user=user), Endpoint() as endpoint:
                options = (*self.NOTHING, *(("--user", user) if user else ()))
                with Container(endpoint=endpoint.at(gateway()), options=options) as daemon:
                    daemon.is_well()
                    send(daemon.address(), 5)
                    endpoint.has(5)
                    self.assertIn("received 5, sent 5", self.ends_well(daemon))

    def test_a_new_volume_for_the_spool_belongs_to_its_user(self):
        with Endpoint() as endpoint:
            options = (*self.NOTHING, "--volume", "/var/spool/xray")
            arguments = ("--spool-dir", "/var/spool/xray")
            with Container(*arguments, endpoint=endpoint.at(gateway()), options=options) as daemon:
                daemon.is_well()
                send(daemon.address(), 5)
                endpoint.has(5)
                self.assertNotIn("[Error]", daemon.log())
                self.ends_well(daemon)

    def test_credentials_are_found_where_documentation_mounts_them(self):
        for home in ("/root/.aws", "/home/xray/.aws"):
            with self.subTest(home=home), tempfile.TemporaryDirectory() as directory, Endpoint() as endpoint:
                os.chmod(directory, 0o755)
                with open(os.path.join(directory, "credentials"), "w", encoding="utf-8") as file:
                    file.write("[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n")
                options = (*self.NOTHING, "--volume", f"{directory}:{home}:ro")
                no_keys = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
                with Container(endpoint=endpoint.at(gateway()), options=options, variables=no_keys) as daemon:
                    daemon.says("Using credentials from")
                    send(daemon.address(), 1)
                    endpoint.has(1)

    def test_doctor_finds_the_daemon_of_its_container_well(self):
        with Endpoint() as endpoint, Container(endpoint=endpoint.at(gateway()), options=self.NOTHING) as daemon:
            daemon.says("Using credentials from")
            code, said = daemon.exec("doctor")
            self.assertEqual(code, 0, said)
            for check in ("udp", "tcp", "daemon", "datagram", "call"):
                self.assertRegex(said, rf"(?m)^ok +{check} ")
