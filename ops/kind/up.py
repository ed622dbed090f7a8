"""``make kind-up``: cluster, images, platform. What is there already is kept, what is not as it should be repaired."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from ops import images as project
from ops.kind import access, cluster, images, install, tools
from ops.kind.access import Access
from ops.kind.cluster import Cluster
from ops.kind.steps import Step

Say = Callable[[str], None]
Choose = Callable[[list[str]], list[str]]
"""From the images that are needed to those the node lacks."""


def up(place: Cluster, root: Path, step: Step, say: Say) -> Access:
    """The whole platform of the checkout ``root``, ready. Raises ``KindError`` with what is in its way.

    Two lines of work go on at once: the cluster, the servers' images, the chart; and beside them building and packing
    images, then loading that of the flow runs, the largest, which no server waits for, and the git server.
    """
    tools.require()
    own = images.own(root)
    servers = [*(reference for name, reference in own.items() if name != "flows"), *images.others(root)]
    with cluster.exclusive(place), TemporaryDirectory(dir=place.state) as folder, _aside() as side:
        there = cluster.exists(place)
        if there:
            cluster.revive(place)
        choose = partial(images.lacking, place) if there else list
        building = side.submit(_build, root, step, say)
        first = side.submit(_pack, servers, choose, Path(folder) / "servers.tar", step)
        second = side.submit(_pack, [own["flows"]], choose, Path(folder) / "flows.tar", step)
        if not there:
            with step(f"Making the cluster {place.name}"):
                cluster.create(place, root, os.environ.get("KIND_NODE_IMAGE"))
        building.result()
        _load(place, first.result(), "the servers' images", step)
        install.namespace(place)
        git = side.submit(_git_server, place, root, second, own["flows"], step)
        with step("Installing the platform"):
            install.chart(place, root, own)
        git.result()
    return access.find(place)


@contextmanager
def _aside() -> Iterator[ThreadPoolExecutor]:
    """One thread that does what it is given in that order, and leaves what it has not begun when something fails."""
    side = ThreadPoolExecutor(max_workers=1)
    try:
        yield side
    finally:
        side.shutdown(cancel_futures=True)


def _build(root: Path, step: Step, say: Say) -> None:
    if missing := [image for image in project.images(root) if not images.loadable([image.reference])]:
        with step(f"Building {', '.join(image.name for image in missing)}"):
            project.build(root, missing, say)


def _pack(needed: list[str], choose: Choose, archive: Path, step: Step) -> Path | None:
    """An archive of the images that are needed and not on the node; None where all are."""
    missing = images.loadable(choose(needed))
    if not missing:
        return None
    with step(f"Packing {len(missing)} images" if len(missing) > 1 else f"Packing {missing[0]}"):
        images.pack(missing, archive)
    return archive


def _load(place: Cluster, archive: Path | None, what: str, step: Step) -> None:
    if archive:
        with step(f"Loading {what} onto the node"):
            images.load(place, archive)


def _git_server(place: Cluster, root: Path, archive: Future[Path | None], image: str, step: Step) -> None:
    _load(place, archive.result(), "the image of the flow runs", step)
    install.git_server(place, root, image)
