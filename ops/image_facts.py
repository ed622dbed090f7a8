"""What an image weighs and how fast it imports."""

import io
import json
import os
import subprocess
import tarfile
import zlib
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from ops import go_programs

IMPORTS = "import prefect, mlflow.client, xgboost"
"""What every flow run imports before its first task."""
CONFINED = ("--rm", "--read-only", "--tmpfs=/tmp", "--user=10001:10001", "--network=none")
"""How a container of the platform runs: nothing to write to but scratch, nobody in particular, and here no network."""

_BLOCK = 1 << 20
_LEVEL = 6  # as `docker push` compresses
_TIMED = f"import time; began = time.perf_counter(); {IMPORTS}; print(time.perf_counter() - began)"


@dataclass(frozen=True)
class Sizes:
    """Bytes of an image's layers, as a registry keeps them and as a node does."""

    compressed: int
    unpacked: int


def kept(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the sizes of all images are kept that were weighed for a user, in whichever checkout."""
    return go_programs.cache_folder(environment) / "image-sizes.json"


def sizes(docker: str, reference: str, cache: Path) -> Sizes:
    """What a built image weighs; from ``cache`` where the same was weighed before: it takes half a minute."""
    known = json.loads(cache.read_text()) if cache.exists() else {}
    identity = _output(docker, "image", "inspect", "--format", "{{.Id}}", reference).strip()
    if identity not in known:
        with subprocess.Popen([docker, "save", reference], stdout=subprocess.PIPE) as saving:
            assert saving.stdout is not None
            known[identity] = asdict(weigh(saving.stdout))
        cache.parent.mkdir(parents=True, exist_ok=True)
        new = cache.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(known))
        new.replace(cache)  # another checkout may read it meanwhile
    return Sizes(**known[identity])


def weigh(saved: IO[bytes]) -> Sizes:
    """The sizes of the layers in what ``docker save`` writes, which some engines compress and others do not."""
    compressed = unpacked = 0
    with tarfile.open(fileobj=saved, mode="r|", bufsize=_BLOCK) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is None:
                continue
            packed, size = _layer(file, member.size)
            compressed, unpacked = compressed + packed, unpacked + size
    return Sizes(compressed, unpacked)


def import_seconds(docker: str, reference: str) -> float:
    """Seconds of the imports of a flow run, the best of three containers, confined as in a cluster."""
    command = ("run", *CONFINED, reference, "python", "-c", _TIMED)
    return min(float(_output(docker, *command)) for _ in range(3))


def _layer(file: IO[bytes], size: int) -> tuple[int, int]:
    """Bytes of a layer, compressed and unpacked; none where the file is no layer but describes them."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        layer = _Counting(file, pool)
        try:
            with tarfile.open(None, "r|*", fileobj=layer, bufsize=_BLOCK) as members:
                unpacked = sum(member.size for member in members if member.isreg())
        except tarfile.ReadError:
            return 0, 0
        packed = layer.deflated()
    return (size if layer.was_compressed else packed), unpacked


class _Counting(io.RawIOBase):
    """A file that is compressed by several threads while it is read, to know how large it would get."""

    def __init__(self, file: IO[bytes], pool: ThreadPoolExecutor) -> None:
        super().__init__()
        self._file, self._pool = file, pool
        self._waiting: deque[Future[bytes]] = deque()
        self._done = 0
        self.was_compressed: bool | None = None

    def read(self, size: int = -1, /) -> bytes:
        """Read a block, and hand it to a thread."""
        block = self._file.read(size)
        if self.was_compressed is None:
            self.was_compressed = block.startswith(b"\x1f\x8b")
        if not self.was_compressed:
            self._waiting.append(self._pool.submit(zlib.compress, block, _LEVEL))
        while len(self._waiting) > 16:  # blocks in memory
            self._done += len(self._waiting.popleft().result())
        return block

    def deflated(self) -> int:
        """Bytes of all that was read, compressed."""
        return self._done + sum(len(block.result()) for block in self._waiting)


def _output(docker: str, *arguments: str) -> str:
    return subprocess.run([docker, *arguments], check=True, capture_output=True, text=True).stdout
