"""A lake in memory, for the tests of what stands on one: it can be made to fail at any write."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flows.ml.lake import Conflict, DigestMismatch, ObjectMissing, Stat


class Crash(Exception):
    """The process died."""


@dataclass
class MemoryLake:
    """The lake's promises over a dictionary; ``fail_at`` is the write (from 1) at which it crashes."""

    objects: dict[str, bytes] = field(default_factory=dict)
    writes: int = 0
    fail_at: int = 0

    def uri(self, key: str) -> str:
        return f"s3://memory/{key}"

    def read(self, key: str) -> tuple[bytes, str]:
        if key not in self.objects:
            raise ObjectMissing(key)
        return self.objects[key], hashlib.md5(self.objects[key]).hexdigest()

    def get(self, key: str) -> bytes:
        return self.read(key)[0]

    def get_json(self, key: str) -> Any:
        return json.loads(self.get(key))

    def find(self, key: str) -> Stat | None:
        return Stat(len(self.objects[key]), self.read(key)[1]) if key in self.objects else None

    def put_new(self, key: str, data: bytes) -> bool:
        if key in self.objects:
            return False
        self._write(key, data)
        return True

    def replace(self, key: str, data: bytes, etag: str | None) -> str:
        found = self.find(key)
        if (found and found.etag) != etag:
            raise Conflict(key)
        self._write(key, data)
        return self.read(key)[1]

    def upload_new(self, key: str, path: Path) -> bool:
        return self.put_new(key, path.read_bytes())

    def download(self, key: str, path: Path, sha256: str, size: int | None = None, progress=None) -> None:
        data = self.get(key)
        if hashlib.sha256(data).hexdigest() != sha256 or size not in {None, len(data)}:
            raise DigestMismatch(key)
        path.write_bytes(data)

    def keys(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def _write(self, key: str, data: bytes) -> None:
        self.writes += 1
        if self.writes == self.fail_at:
            raise Crash(key)
        self.objects[key] = data
