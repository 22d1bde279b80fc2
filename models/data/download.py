"""Fetches the package of icons once, pinned by version and hash, into a cache.

npm fetches it; nothing of it is executed. What comes is only used if its SHA-512 is the pinned one.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dwca_export.errors import InputRefusedError, UsageError

_READ_BLOCK = 1 << 20
# A hundred megabytes at 200 kB/s.
_SECONDS = 600
# What npm and its network library say when they reach nobody.
_UNREACHED = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH")
_OFFLINE = (
    "run the same command again once the network is back (`npm ping` tells; npm obeys https_proxy); or fetch the "
    "package on another machine with `npm pack {name}@{version}`, and name the file with --package"
)


@dataclass(frozen=True)
class Package:
    """A package of the npm registry, exactly one version of it.

    Attributes:
        name: Name in the registry.
        version: Version.
        integrity: `sha512-` and the base64 of its hash, as npm writes it.
        size: Size in bytes.
    """

    name: str
    version: str
    integrity: str
    size: int

    @property
    def file_name(self) -> str:
        """Name that `npm pack` gives its file."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


ICONS = Package(
    "@iconify/json",
    "2.2.535",
    "sha512-nAV60ACUSHwnsb6fsp+letHlNkrwO4vzBtcC6B4EDHErQQfezk7E3nJdnwJjve6OCfMNO0uVT5Vrgna9/NCmXw==",
    104_043_282,
)


def obtain(package: Package, cache: Path, given: Path | None = None) -> Path:
    """Find the package: the given file, else the one in the cache, else a fresh download that is put there.

    Args:
        package: Which.
        cache: Folder of packages that were fetched before.
        given: A file that was fetched by other means.

    Returns:
        A file of the pinned hash.

    Raises:
        UsageError: npm is absent, or the cache cannot be read or written.
        InputRefusedError: The given file or the download is incomplete or another; or nothing could be downloaded.
    """
    if given is not None:
        check(given, package)
        return given
    file = cache / package.file_name
    try:
        if file.is_file() and _integrity(file) == package.integrity:
            return file
        cache.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".fetch-", dir=cache))
    except OSError as error:
        raise _unusable(error, cache) from error
    try:
        fetched = _npm_pack(package, work)
        check(fetched, package)
        fetched.replace(file)
    except OSError as error:
        raise _unusable(error, cache) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return file


def check(file: Path, package: Package) -> None:
    """Refuse a file that is not the package.

    Args:
        file: The file.
        package: What it should be.

    Raises:
        InputRefusedError: It cannot be read, is incomplete, or has another hash.
    """
    hint = f"delete it and fetch it again: `npm pack {package.name}@{package.version}`"
    try:
        size = file.stat().st_size
        if size < package.size:
            what = f"incomplete: {size} of {package.size} bytes of {package.name} {package.version}"
            raise InputRefusedError(what, where=str(file), hint=hint)
        found = _integrity(file)
    except OSError as error:
        raise InputRefusedError(f"it cannot be read ({error.strerror})", where=str(file), hint=hint) from error
    if found != package.integrity:
        what = f"is not {package.name} {package.version}: its hash is {found}, not {package.integrity}"
        raise InputRefusedError(what, where=str(file), hint=hint)


def _integrity(file: Path) -> str:
    digest = hashlib.sha512()
    with file.open("rb") as stream:
        while block := stream.read(_READ_BLOCK):
            digest.update(block)
    return f"sha512-{base64.b64encode(digest.digest()).decode()}"


def _npm_pack(package: Package, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        hint = f"install Node.js, or fetch {package.name}@{package.version} elsewhere and name the file with --package"
        raise UsageError("npm is not installed", where=package.name, hint=hint)
    # One more attempt after a second, in place of npm's two after up to a minute.
    patience = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=1000")
    command = [npm, "pack", f"{package.name}@{package.version}", "--ignore-scripts", *patience]
    try:
        # In the folder itself: a package.json elsewhere must not have a say.
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise _not_fetched(package, f"npm did not finish within {_SECONDS} seconds") from None
    if done.returncode != 0:
        raise _not_fetched(package, _npm_fault(done.stderr))
    file = folder / package.file_name
    if not file.is_file():
        raise _not_fetched(package, f"npm left no {package.file_name}")
    return file


def _npm_fault(output: str) -> str:
    reached = next((code for code in _UNREACHED if code in output), None)
    if reached:
        return f"the package registry cannot be reached ({reached})"
    lines = [line for line in output.splitlines() if "ERR" in line or "error" in line]
    return f"npm failed: {lines[0].strip() if lines else 'it does not say why'}"


def _not_fetched(package: Package, what: str) -> InputRefusedError:
    hint = _OFFLINE.format(name=package.name, version=package.version)
    return InputRefusedError(what, where=f"{package.name} {package.version}", hint=hint)


def _unusable(error: OSError, cache: Path) -> UsageError:
    where = os.fsdecode(error.filename) if error.filename else str(cache)
    return UsageError(f"the cache cannot be used ({error.strerror})", where=where, hint="name another with --cache")
