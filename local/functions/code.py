"""Where the files of functions and layers lie, and folders for those that are text in a template or zipped."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from local.template.errors import CodeMissing, Trail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def cache_folder(environment: Mapping[str, str]) -> Path:
    """
    Give the folder for what can be made again: ``tickwire`` in the user's cache, never beside a template.

    Where that cannot be written, a folder of the user's own among the temporary files.
    """
    home = environment.get("XDG_CACHE_HOME") or os.path.join(environment.get("HOME", ""), ".cache")  # noqa: PTH118 - HOME may be empty
    for folder in (Path(home) / "tickwire", Path(tempfile.gettempdir()) / f"tickwire-{os.getuid()}"):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK) and folder.stat().st_uid == os.getuid():
            return folder
    raise CodeMissing("neither the cache folder nor the folder of temporary files can be written")


def folder_of_path(path: Path, *, cache: Path, owner: str, trail: Trail) -> Path:
    """
    Give the absolute folder with the files of ``owner``; a zip file is unpacked into the cache, once for its content.

    Raises:
        CodeMissing: There is nothing at ``path``, or neither a folder nor a zip file.
    """
    if path.is_dir():
        return path.resolve()
    if not path.exists():
        raise CodeMissing(f"the code of {owner} is not there: no folder {path}", trail)
    import zipfile  # noqa: PLC0415 - few functions come zipped

    if not zipfile.is_zipfile(path):
        raise CodeMissing(f"the code of {owner} is {path}, which is neither a folder nor a zip file", trail)

    def unpack(folder: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)

    try:
        return _make(cache / "code" / hashlib.sha256(path.read_bytes()).hexdigest()[:32], unpack)
    except (zipfile.BadZipFile, OSError, RuntimeError) as error:  # RuntimeError: it wants a password
        raise CodeMissing(f"the code of {owner} cannot be unpacked from {path}: {error}", trail) from error


def folder_of_text(text: str, *, cache: Path) -> Path:
    """Write a function's inline code to ``index.py``, as Lambda does, in a folder of the cache that is its own."""

    def write(folder: Path) -> None:
        (folder / "index.py").write_text(text, encoding="utf-8")

    return _make(cache / "code" / hashlib.sha256(text.encode()).hexdigest()[:32], write)


def import_folders(folder: Path) -> tuple[Path, ...]:
    """
    List the folders of a layer that Python imports from.

    In Lambda these are ``python`` and ``python/lib/python3.x/site-packages``; a layer's source that
    `sam build` has not arranged yet is imported from itself.
    """
    arranged = [folder / "python", *sorted(folder.glob("python/lib/python3.*/site-packages"))]
    return tuple(found for found in arranged if found.is_dir()) or (folder,)


def _make(folder: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a new folder completely before it gets its name, so that none is ever half there."""
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            fill(made)
            try:
                made.rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise  # else another process was faster with the same content
    return folder
