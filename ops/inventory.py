"""What is installed beside this Python, as JSON: packages of Python, and Debian's where ``debian`` is asked for.

It is run by its text, in environments and images that have nothing of this repository: standard library only.
"""

import json
import re
import subprocess
import sys
from importlib import metadata


def python() -> list[dict[str, str]]:
    """The distributions: name as the index writes it, version, licence where it is said in a line."""
    found = {}
    for one in metadata.distributions():
        licence = one.metadata.get("License-Expression") or one.metadata.get("License") or ""
        name = re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower()
        found[name] = {"name": name, "version": one.version, "licence": licence if len(licence) < 80 else ""}
    return sorted(found.values(), key=lambda one: one["name"])


def debian() -> list[dict[str, str]]:
    """Debian's packages: name, version, architecture."""
    fields = "${binary:Package}\\t${Version}\\t${Architecture}\\n"
    listed = subprocess.run(["dpkg-query", "-W", "-f", fields], check=True, capture_output=True, text=True).stdout
    rows = (line.split("\t") for line in listed.splitlines())
    return [{"name": name.partition(":")[0], "version": version, "arch": arch} for name, version, arch in rows]


if __name__ == "__main__":
    json.dump({"python": python(), "debian": debian() if "debian" in sys.argv else []}, sys.stdout)
