"""A small file system that can be filled and freed again; it takes root, for it is mounted."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from pathlib import Path
from typing import Self

_BLOCK = 4096
_NAME = "filler"


class NoDisk(Exception):
    """None can be mounted here."""


class Disk:
    """``folder`` on memory, with room for so many megabytes, until the end of the block."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        """Raise `NoDisk` where this user may not mount one."""
        folder.mkdir(exist_ok=True)
        self.folder = folder
        options = ["-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tillwire-faults"]
        try:
            subprocess.run(["mount", *options, str(folder)], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NoDisk(str(error)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True, capture_output=True)

    def fill(self) -> None:
        """Take all that is left."""
        with (self.folder / _NAME).open("ab", buffering=0) as file:
            try:
                for size in (256 * _BLOCK, _BLOCK):
                    self._write(file.fileno(), bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def _write(self, file: int, block: bytes) -> None:
        while True:
            try:
                os.write(file, block)
            except OSError as error:
                if error.errno == errno.ENOSPC and len(block) > _BLOCK:
                    return
                raise

    def free(self) -> None:
        (self.folder / _NAME).unlink(missing_ok=True)


def allow_no_writing(pid: int) -> None:
    """Let every write of a process to a file fail, as on a full disk; any user may do that to processes of its own."""
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, most))


def allow_writing(pid: int) -> None:
    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
