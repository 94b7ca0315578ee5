"""Asks the X-Ray SDK about 20 requests for argv[1] once it has the daemon's rules; prints how many it samples and the
names of the rules."""

import json
import sys
import time

from aws_xray_sdk.core import xray_recorder

xray_recorder.configure(service="sampled", context_missing="LOG_ERROR")
sampler = xray_recorder.sampler
sampler.start()
deadline = time.time() + 20
while not sampler._cache.rules:
    if time.time() > deadline:
        sys.exit("the SDK got no rules")
    time.sleep(0.02)

decisions = [
    sampler.should_trace({"host": "h", "method": "GET", "path": sys.argv[1], "service": "sampled"}) for _ in range(20)
]
json.dump({"sampled": sum(1 for d in decisions if d), "rules": [r.name for r in sampler._cache.rules]}, sys.stdout)
