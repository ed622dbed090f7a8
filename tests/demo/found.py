"""What runs left, asked as a user would with ``make env``."""

import json
import subprocess

from clone import Clone

STATE = """
import json
from flows.ml import ledger
from flows.resources import attach
found = attach()
pages = found.lake.client.get_paginator("list_objects_v2").paginate(Bucket=found.lake.bucket)
print(json.dumps({
    "versions": {v.number: {**v.tags, **found.registry.metrics(v)} for v in found.registry.versions("trip-duration")},
    "champion": found.registry.champion("trip-duration"),
    "ledger": [[e.version, e.champion] for e in ledger.entries(found.lake, "trip-duration")],
    "objects": {one["Key"]: one["ETag"] for page in pages for one in page.get("Contents", [])},
}))
"""


def state(clone: Clone) -> dict:
    """What is in the registry, the ledger and the bucket, asked as a user would with `make env`.

    Without what every run leaves: the results that Prefect keeps, and the mark of when `monthly` last came to its end.
    """
    done = subprocess.run(
        [clone.python, "-c", STATE], cwd=clone.root, env=clone.platform_env(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    found["objects"] = {
        key: etag for key, etag in found["objects"].items() if not key.startswith(("results/", "marks/"))
    }
    return found
