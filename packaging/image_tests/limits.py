"""Little memory, little time, and an endpoint that does not help."""

import os

from support import Container, Endpoint, ImageTest, gateway, send

SECONDS_OF_LOAD = int(os.environ.get("SECONDS_OF_LOAD", "60"))
PER_S = 20_000


class Limits(ImageTest):
    def is_alive_after_load(self, limit_mb):
        # Nobody listens there: discard is a port that is never open.
        options = ("--memory", f"{limit_mb}m", "--memory-swap", f"{limit_mb}m")
        with Container(endpoint=f"http://{gateway()}:9", options=options) as daemon:
            daemon.is_well()
            sent = send(daemon.address(), PER_S * SECONDS_OF_LOAD, per_s=PER_S)
            state = daemon.state()
            self.assertTrue(state["Running"] and not state["OOMKilled"], state)
            self.assertEqual(daemon.exec("healthcheck")[0], 0)
            last = self.ends_well(daemon)
            self.assertFalse(daemon.state()["OOMKilled"])
            print(f"sent {sent}; {last.split('Shutdown finished: ')[1]}", end=" ... ", flush=True)

    def test_an_outage_under_load_is_survived_with_64_mb(self):
        self.is_alive_after_load(64)

    def test_an_outage_under_load_is_survived_with_32_mb(self):
        self.is_alive_after_load(32)

    def test_an_outage_under_load_is_survived_with_24_mb(self):
        self.is_alive_after_load(24)

    def test_a_tenth_of_a_processor_is_enough_to_start_deliver_and_end(self):
        with Endpoint() as endpoint:
            with Container(endpoint=endpoint.at(gateway()), options=("--cpus", "0.1")) as daemon:
                daemon.is_well()
                send(daemon.address(), 2000, per_s=200)
                endpoint.has(2000)
                self.assertIn("received 2000, sent 2000", self.ends_well(daemon))

    def test_it_ends_in_time_while_the_endpoint_hangs(self):
        with Endpoint(hangs=True) as endpoint:
            with Container(endpoint=endpoint.at(gateway())) as daemon:
                daemon.is_well()
                send(daemon.address(), 500)
                last = self.ends_well(daemon)
                self.assertIn("received 500, sent 0", last)
                self.assertIn("dropped 500 (shutdown 500)", last)

    def test_what_waits_at_the_end_is_sent_by_the_next_one_from_its_spool(self):
        volume = ("--volume", "/var/spool/xray")
        spool = ("--spool-dir", "/var/spool/xray")
        with Endpoint(hangs=True) as ill, Container(*spool, endpoint=ill.at(gateway()), options=volume) as first:
            first.is_well()
            send(first.address(), 500)
            self.assertIn("spooled 500", self.ends_well(first))
            with Endpoint() as well:
                same = ("--volumes-from", first.id)
                with Container(*spool, endpoint=well.at(gateway()), options=same) as second:
                    well.has(500)
                    self.assertIn("recovered 500", self.ends_well(second))
