"""What Kubernetes' Pod Security standard "restricted" asks of a pod, and what this project asks beyond it.

The standard is written out rule by rule, so that a pod is judged without a cluster; a cluster judges it again when it
admits it. Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

import re
from collections.abc import Iterator
from typing import Any

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
SECCOMP = {"RuntimeDefault", "Localhost"}
FIXED = re.compile(r"(:(?!latest$)[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})$")

Pod = dict[str, Any]


def containers(pod: Pod) -> list[Pod]:
    """Every container of a pod, those that run first among them."""
    return [*pod.get("initContainers", []), *pod.get("containers", []), *pod.get("ephemeralContainers", [])]


def restricted(pod: Pod) -> list[str]:
    """How a pod breaks the standard "restricted"; nothing where it keeps it."""
    return [*_pod(pod), *(f"{each['name']}: {fault}" for each in containers(pod) for fault in _container(pod, each))]


def _pod(pod: Pod) -> Iterator[str]:
    security = pod.get("securityContext", {})
    yield from (f"{name} is on" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name))
    yield from (f"{name} is set" for name in ("sysctls", "seLinuxOptions", "windowsOptions") if security.get(name))
    if security.get("appArmorProfile", {}).get("type", "RuntimeDefault") not in SECCOMP:
        yield "AppArmor is off"
    for volume in pod.get("volumes", []):
        yield from (f"volume {volume['name']} is a {kind}" for kind in volume.keys() - VOLUMES - {"name"})


def _container(pod: Pod, container: Pod) -> Iterator[str]:
    own = container.get("securityContext", {})
    both = {**pod.get("securityContext", {}), **own}
    capabilities = own.get("capabilities", {})
    if own.get("privileged") or own.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if both.get("runAsNonRoot") is not True:
        yield "may run as root"
    if both.get("runAsUser") == 0:
        yield "runs as root"
    if both.get("seccompProfile", {}).get("type") not in SECCOMP:
        yield "has no seccomp profile"
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "keeps capabilities"
    if own.get("procMount", "Default") != "Default":
        yield "sees the whole of /proc"
    yield from (
        f"takes port {port['hostPort']} of the node" for port in container.get("ports", []) if "hostPort" in port
    )
    if any("host" in handler for handler in _handlers(container)):
        yield "is probed at another host"


def _handlers(container: Pod) -> Iterator[Pod]:
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = container.get(name, {})
        yield from (probe[kind] for kind in ("httpGet", "tcpSocket") if kind in probe)
    for hook in container.get("lifecycle", {}).values():
        yield from (hook[kind] for kind in ("httpGet", "tcpSocket") if kind in hook)


def house(pod: Pod) -> list[str]:
    """How a pod breaks what this project asks of every pod beyond the standard; nothing where it keeps it."""
    found = [f"{each['name']}: {fault}" for each in containers(pod) for fault in _house(pod, each)]
    if pod.get("enableServiceLinks") is not False:
        found.append("finds the namespace's Services in its environment")
    if pod.get("automountServiceAccountToken") is not False:
        found.append("holds a token of its service account")
    for volume in pod.get("volumes", []):
        if "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit"):
            found.append(f"volume {volume['name']} has no limit")
    return found


def _house(pod: Pod, container: Pod) -> Iterator[str]:
    security = {**pod.get("securityContext", {}), **container.get("securityContext", {})}
    resources = container.get("resources", {})
    if not isinstance(security.get("runAsUser"), int):
        yield "has no user by number"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root"
    if not FIXED.search(container.get("image", "")):
        yield f"image {container.get('image')} has no fixed tag or digest"
    if container.get("imagePullPolicy") != "IfNotPresent":
        yield "pulls its image though it is there"
    yield from (f"requests no {kind}" for kind in ("cpu", "memory") if kind not in resources.get("requests", {}))
    if "memory" not in resources.get("limits", {}):
        yield "has no limit of memory"
    names = [each["name"] for each in container.get("env", [])]
    yield from (f"{name} is set twice" for name in sorted({name for name in names if names.count(name) > 1}))
    mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
    yield from (f"mounts {name}, which is no volume" for name in mounted - {each["name"] for each in pod["volumes"]})
