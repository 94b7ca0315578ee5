"""Reads /metrics at argv[1] with Prometheus' own parser, and prints kinds and samples as JSON."""

import json
import sys
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

with urlopen(sys.argv[1] + "/metrics") as answer:
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), answer.headers
    families = list(text_string_to_metric_families(answer.read().decode()))
samples = [
    {"name": sample.name, "labels": sample.labels, "value": sample.value}
    for family in families
    for sample in family.samples
]
json.dump({"kinds": {family.name: family.type for family in families}, "samples": samples}, sys.stdout)
