"""The real npm against a registry on this machine."""

from __future__ import annotations

import functools
import io
import json
import shutil
import tarfile
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dwca_export.errors import InputRefusedError, UsageError
from models.data import download

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


class Registry(BaseHTTPRequestHandler):
    """Serves one package; `short` leaves away so many of its last bytes."""

    def __init__(self, package, content, short, *args):
        self.package, self.content, self.short = package, content, short
        super().__init__(*args)

    def do_GET(self):
        package = self.package
        if self.path.endswith(".tgz"):
            self.answer(self.content, "application/octet-stream")
            return
        dist = {"tarball": f"http://{self.headers['Host']}/{package.file_name}", "integrity": package.integrity}
        version = {"name": package.name, "version": package.version, "dist": dist}
        about = {"name": package.name, "dist-tags": {"latest": package.version}, "versions": {package.version: version}}
        self.answer(json.dumps(about).encode(), "application/json")

    def answer(self, content, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        sent = len(content) - self.short if kind.endswith("stream") else len(content)
        self.wfile.write(content[:sent])

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def tarball(tmp_path_factory):
    file = tmp_path_factory.mktemp("tarball") / "thin-icons-1.0.0.tgz"
    with tarfile.open(file, "w:gz") as archive:
        about = json.dumps({"name": "thin-icons", "version": "1.0.0"}).encode()
        for name, content in {"package.json": about, "json/some.json": bytes(range(256)) * 40}.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Start a registry and point npm to it, and to a cache of its own."""
    servers = []
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    monkeypatch.setenv("npm_config_update_notifier", "false")

    def start(package, content, short=0):
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Registry, package, content, short))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@needs_npm
def test_a_package_is_fetched_once(serve, tarball, pin, tmp_path, monkeypatch):
    package = pin(tarball)
    serve(package, tarball.read_bytes())
    file = download.obtain(package, tmp_path / "cache")
    assert file.read_bytes() == tarball.read_bytes()
    assert list(file.parent.iterdir()) == [file]
    monkeypatch.setenv("PATH", "")  # no npm any more: the cache is enough
    assert download.obtain(package, tmp_path / "cache") == file


@needs_npm
def test_a_damaged_file_in_the_cache_is_fetched_anew(serve, tarball, pin, tmp_path):
    package = pin(tarball)
    serve(package, tarball.read_bytes())
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / package.file_name).write_bytes(tarball.read_bytes()[:100])
    assert download.obtain(package, cache).read_bytes() == tarball.read_bytes()


@needs_npm
def test_another_package_of_that_name_is_refused(serve, tarball, pin, tmp_path):
    genuine = pin(tarball)
    serve(genuine, tarball.read_bytes())
    meant = replace(genuine, integrity="sha512-" + "A" * 86 + "==")
    with pytest.raises(InputRefusedError, match="its hash is sha512-") as caught:
        download.obtain(meant, tmp_path / "cache")
    assert "npm pack thin-icons@1.0.0" in caught.value.hint
    assert list((tmp_path / "cache").iterdir()) == []


@needs_npm
def test_half_a_download_is_refused(serve, tarball, pin, tmp_path):
    package = pin(tarball)
    serve(package, tarball.read_bytes(), short=200)
    with pytest.raises(InputRefusedError) as caught:
        download.obtain(package, tmp_path / "cache")
    assert "npm pack thin-icons@1.0.0" in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


@needs_npm
def test_no_network_is_said_with_what_to_do(pin, tarball, tmp_path, monkeypatch):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    with pytest.raises(InputRefusedError, match=r"cannot be reached \(ECONNREFUSED\)") as caught:
        download.obtain(pin(tarball), tmp_path / "cache")
    assert "again once the network is back" in caught.value.hint
    assert "--package" in caught.value.hint


def test_without_npm_it_says_so(pin, tarball, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="npm is not installed") as caught:
        download.obtain(pin(tarball), tmp_path / "cache")
    assert "--package" in caught.value.hint


def test_a_cache_that_cannot_be_written_is_said(pin, tarball, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cache cannot be used") as caught:
        download.obtain(pin(tarball), tmp_path / "file" / "cache")
    assert "--cache" in caught.value.hint


def test_a_cache_that_cannot_be_read_is_said(pin, tarball, tmp_path):
    package = pin(tarball)
    # A regular file whose first byte nobody can read, whatever rights they have.
    (tmp_path / package.file_name).symlink_to("/proc/self/mem")
    with pytest.raises(UsageError, match="cache cannot be used") as caught:
        download.obtain(package, tmp_path)
    assert "--cache" in caught.value.hint


def test_a_given_file_is_used_where_it_lies(pin, tarball, tmp_path):
    assert download.obtain(pin(tarball), tmp_path / "cache", tarball) == tarball
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], "incomplete: "),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "its hash is"),
        (lambda content: content + b"\0", "its hash is"),
        (lambda content: b"", "incomplete: 0 of"),
    ],
)
def test_a_given_file_that_is_not_the_package_is_refused(pin, tarball, tmp_path, change, message):
    file = tmp_path / "given.tgz"
    file.write_bytes(change(tarball.read_bytes()))
    with pytest.raises(InputRefusedError, match=message):
        download.obtain(pin(tarball), tmp_path / "cache", file)


def test_a_given_file_that_is_absent_is_refused(pin, tarball, tmp_path):
    with pytest.raises(InputRefusedError, match="cannot be read"):
        download.obtain(pin(tarball), tmp_path / "cache", tmp_path / "none.tgz")


def test_the_file_is_named_as_npm_names_it():
    assert download.ICONS.file_name == "iconify-json-2.2.535.tgz"
