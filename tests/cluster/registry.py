"""A registry beside the cluster, from which its node pulls."""

from ops import images
from ops.kind.tools import run
from ops.s3_servers import free_ports
from tests.cluster.platform import Platform


def make(platform: Platform) -> str:
    """Start it with the image of the flow runs in it; its address. It takes a minute."""
    (port,) = free_ports(1)
    name, address = _name(platform), f"localhost:{port}"
    run(["docker", "run", "--detach", "--rm", f"--name={name}", f"--publish=127.0.0.1:{port}:5000", "registry:3"])
    run(["docker", "network", "connect", "kind", name])
    hosts, folder = f'[host."http://{name}:5000"]\n', f"/etc/containerd/certs.d/{address}"
    run(["docker", "exec", platform.place.node, "mkdir", "-p", folder])
    run(["docker", "exec", "--interactive", platform.place.node, "tee", f"{folder}/hosts.toml"], stdin=hosts)
    local, there = (
        next(each.reference for each in images.images(platform.root, host) if each.name == "flows")
        for host in (images.REGISTRY, address)
    )
    # Not the very image that is on the node: what kubelet has pulled, no pod may use by a name it did not pull.
    run(["docker", "build", "--quiet", f"--tag={there}", "-"], stdin=f"FROM {local}\nLABEL delivered=yes\n")
    run(["docker", "push", "--quiet", there])
    return address


def remove(platform: Platform) -> None:
    """End it with all that it has."""
    run(["docker", "rm", "--force", _name(platform)])


def _name(platform: Platform) -> str:
    return f"{platform.place.name}-registry"
