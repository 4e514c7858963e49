"""Files that are replaced whole or not at all.

Writing goes through a temporary file that its writer keeps locked. What a writer left that was killed is therefore known
from what another writes just now, and is removed by the next one that saves under the same name.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable
from typing import IO

try:
    import fcntl
except ImportError:  # not POSIX
    fcntl = None  # type: ignore[assignment]

PathLike = str | os.PathLike[str]


def replaceable(function: str, path: PathLike, error: type[ValueError] = ValueError) -> str:
    """The file that will be replaced, links followed; an error if something stands against it that is known before."""
    name = os.fspath(path)
    if not name:
        raise error(f"{function}: the name of the file is empty")
    target = os.path.realpath(path)
    os.stat(os.path.dirname(target))
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return target
    if not stat.S_ISREG(mode):
        what = "a folder" if stat.S_ISDIR(mode) else "no regular file, and would be replaced by one"
        raise error(f"{function}: {name!r} is {what}")
    return target


def write_atomically(target: str, write: Callable[[IO[bytes]], None]) -> None:
    """Write through a temporary file in the same folder; ``target`` is the old file or the complete new one."""
    folder, name = os.path.split(target)
    # The name is cut by bytes, since these are limited: to 255, with what is added to the name.
    short = os.fsencode(name)[:100].decode(errors="ignore")
    _remove_left_over(folder, short)
    descriptor, temporary = _open_temporary(folder, short)
    try:
        with open(descriptor, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            if os.path.exists(target):
                os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
            if os.name == "posix":
                os.replace(temporary, target)  # while it is locked, so that nobody removes it before as a left-over
        if os.name != "posix":
            os.replace(temporary, target)  # only now that it is closed: here, open files cannot be renamed
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _open_temporary(folder: str, short: str) -> tuple[int, str]:
    """A new file, locked, and its name; where files cannot be locked, a name that `_remove_left_over` passes over."""
    ending = ".tmp"
    while True:
        temporary = os.path.join(folder, f".{short}.{os.urandom(8).hex()}{ending}")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        if fcntl is None or ending != ".tmp":
            return descriptor, temporary
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return descriptor, temporary
            # Somebody took the file for a left-over one before it was locked, and removed it.
        except OSError:
            os.unlink(temporary)
            ending = ".unlocked.tmp"
        os.close(descriptor)


def _remove_left_over(folder: str, short: str) -> None:
    """Remove the temporary files of writers that were killed: those of this name that nobody has locked."""
    if fcntl is None:
        return
    pattern = re.compile(rf"\.{re.escape(short)}\.[0-9a-f]{{16}}\.tmp")
    with os.scandir(folder) as entries:
        found = [
            entry.path for entry in entries if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    for path in found:
        with contextlib.suppress(OSError):  # the file is locked or somebody else's, or gone meanwhile
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
            finally:
                os.close(descriptor)


def _sync_folder(folder: str) -> None:
    """Make the rename itself durable, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # some file systems refuse to sync folders; the file itself is on the disk
        pass
    finally:
        os.close(descriptor)
