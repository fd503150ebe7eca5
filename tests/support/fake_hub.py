"""A local server that behaves like the Hugging Face hub: downloads, uploads, refusals.

It knows what huggingface_hub asks for here: resolve with its headers, a redirect to another host
name for large files (with ranges), repository creation, preupload, LFS, commit, paths-info.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_test_token_of_an_owner"
SMALL_FILES = (".md", ".gitattributes")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Request:
    """What was asked: ``line`` is method and path, as in ``HEAD /owner/name/resolve/…``."""

    line: str
    range: str | None
    authorized: bool


@dataclass
class Failure:
    """An answer that some requests get instead of the true one."""

    pattern: str
    status: int
    headers: dict[str, str]
    left: int


@dataclass
class FakeHub:
    """The state of the server; ``url`` is what HF_ENDPOINT would be."""

    repos: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    gated: set[str] = field(default_factory=set)
    cut_bytes: list[int] = field(default_factory=list)
    """How much of each next download is sent before the connection breaks."""
    served: dict[str, bytes] = field(default_factory=dict)
    """What is sent instead of a blob, by its SHA-256."""
    together: int = 0
    """Downloads begin only when so many clients have asked for their file."""
    hanging: threading.Event | None = None
    """While it is not set, downloads hang after half of the bytes."""

    def start(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(self))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.cdn = f"http://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        if self.hanging is not None:
            self.hanging.set()
        self.server.shutdown()
        self.server.server_close()

    def commit(self, repo_id: str, files: dict[str, bytes]) -> str:
        """Add files to a repository; returns the new commit."""
        commits = self.repos.setdefault(repo_id, {})
        before = commits.get(self.heads.get(repo_id, ""), {})
        tree = {**before, **files}
        names = "".join(f"{path}:{sha256(content)};" for path, content in sorted(tree.items()))
        revision = hashlib.sha1(f"{repo_id}{len(commits)}{names}".encode()).hexdigest()
        commits[revision] = tree
        self.heads[repo_id] = revision
        self.blobs |= {sha256(content): content for content in files.values()}
        return revision

    def fail(self, pattern: str, status: int, *, times: int = 1000, **headers: str) -> None:
        """Refuse the next requests whose method and path a pattern finds."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.failures.append(Failure(pattern, status, named, times))

    def asked(self, pattern: str = "") -> int:
        """How many requests a pattern finds."""
        return sum(bool(re.search(pattern, request.line)) for request in self.requests)


def handler_of(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(HubHandler):
        pass

    Handler.hub = hub
    return Handler


class HubHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: FakeHub

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.route()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def route(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        line = f"{self.command} {path}"
        token = self.headers.get("Authorization")
        self.authorized = token == f"Bearer {TOKEN}"
        self.hub.requests.append(Request(line, self.headers.get("Range"), token is not None))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            failure = self._failure(line)
            if failure is not None:
                self.answer(failure.status, headers=failure.headers)
                return
            for pattern, action in ROUTES:
                match = re.fullmatch(pattern, line)
                if match:
                    action(self, *match.groups())
                    return
            self.answer(501)

    def _failure(self, line: str) -> Failure | None:
        for failure in self.hub.failures:
            if failure.left and re.search(failure.pattern, line):
                failure.left -= 1
                return failure
        return None

    def answer(
        self, status: int, body: bytes = b"", *, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(body))} | (headers or {})
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, content: Any, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.answer(status, body, headers={"Content-Type": "application/json"})

    # Downloads

    def resolve(self, repo_id: str, revision: str, path: str) -> None:
        commits = self.hub.repos.get(repo_id)
        if commits is None:
            self.answer(401, headers={"X-Error-Code": "RepoNotFound"})
            return
        if repo_id in self.hub.gated and not self.authorized:
            self.answer(403, headers={"X-Error-Code": "GatedRepo"})
            return
        tree = commits.get(self.hub.heads[repo_id] if revision == "main" else revision)
        if tree is None:
            self.answer(404, headers={"X-Error-Code": "RevisionNotFound"})
            return
        commit = {"X-Repo-Commit": revision}
        if path not in tree:
            self.answer(404, headers=commit | {"X-Error-Code": "EntryNotFound"})
            return
        content = tree[path]
        digest = sha256(content)
        if path.endswith(SMALL_FILES):
            self.answer(200, content, headers=commit | {"ETag": f'"{digest[:40]}"'})
            return
        large = {
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(len(content)),
            "Location": f"{self.hub.cdn}/cdn/{digest}",
        }
        self.answer(302, headers=commit | large)

    def deliver(self, digest: str) -> None:
        content = self.hub.served.get(digest, self.hub.blobs[digest])
        end = time.monotonic() + 60
        while self.hub.asked("HEAD .*resolve") < self.hub.together and time.monotonic() < end:
            time.sleep(0.02)
        start = int(re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "bytes=0-")[1])
        rest = content[start:]
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("ETag", f'"{digest}"')
        if "Range" in self.headers:
            whole = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", whole)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.cut_bytes:
            self.wfile.write(rest[: self.hub.cut_bytes.pop(0)])
            self.close_connection = True
        elif self.hub.hanging is not None:
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            self.hub.hanging.wait(60)
            self.close_connection = True
        else:
            self.wfile.write(rest)

    # Uploads

    def may_write(self) -> bool:
        if not self.authorized:
            self.answer(401, b'{"error": "Invalid username or password."}')
        return self.authorized

    def create(self) -> None:
        if self.may_write():
            wanted = json.loads(self.body)
            repo_id = f"{wanted['organization']}/{wanted['name']}"
            exists = repo_id in self.hub.repos
            if not exists:
                self.hub.commit(repo_id, {".gitattributes": b""})
            url = {"url": f"{self.hub.url}/{repo_id}"}
            self.answer_json(url, 409 if exists else 200)

    def validate_card(self) -> None:
        self.answer_json({"errors": [], "warnings": []})

    def preupload(self, repo_id: str, _revision: str) -> None:
        if not self.may_write():
            return
        held = self.hub.repos[repo_id][self.hub.heads[repo_id]]
        modes = []
        for wanted in json.loads(self.body)["files"]:
            path = wanted["path"]
            small = path.endswith(SMALL_FILES)
            content = held.get(path)
            mode = {
                "path": path,
                "uploadMode": "regular" if small else "lfs",
                "shouldIgnore": False,
            }
            if content is not None:
                mode["oid"] = git_oid(content) if small else sha256(content)
            modes.append(mode)
        self.answer_json({"files": modes})

    def repo_info(self, repo_id: str, _revision: str) -> None:
        self.answer_json({"id": repo_id, "sha": self.hub.heads[repo_id]})

    def lfs_batch(self, _repo_id: str) -> None:
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            stored: dict[str, Any] = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.blobs:
                put = {"href": f"{self.hub.cdn}/lfs/{wanted['oid']}"}
                stored["actions"] = {"upload": put, "verify": {"href": f"{self.hub.url}/verify"}}
            objects.append(stored)
        self.answer_json({"transfer": "basic", "objects": objects})

    def lfs_put(self, oid: str) -> None:
        self.hub.blobs[oid] = self.body
        self.answer(200)

    def lfs_verify(self) -> None:
        wanted = json.loads(self.body)
        content = self.hub.blobs.get(wanted["oid"], b"")
        self.answer(200 if len(content) == wanted["size"] else 404)

    def make_commit(self, repo_id: str, _revision: str) -> None:
        if not self.may_write():
            return
        files: dict[str, bytes] = {}
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
        revision = self.hub.commit(repo_id, files)
        url = f"{self.hub.url}/{repo_id}/commit/{revision}"
        self.answer_json({"commitUrl": url, "commitOid": revision, "success": True})

    def paths_info(self, repo_id: str, revision: str) -> None:
        tree = self.hub.repos[repo_id][revision]
        found = []
        for path in parse_qs(self.body.decode())["paths"]:
            content = tree[path]
            held = self.hub.served.get(sha256(content), content)
            lfs = {"oid": sha256(held), "size": len(held), "pointerSize": 130}
            oid = hashlib.sha1(held).hexdigest()
            found.append({"type": "file", "path": path, "size": len(held), "oid": oid, "lfs": lfs})
        self.answer_json(found)


REPO, REVISION = r"/([\w.-]+/[\w.-]+)", r"([\w.-]+)"
ROUTES: tuple[tuple[str, Callable[..., None]], ...] = (
    (rf"(?:GET|HEAD) {REPO}/resolve/{REVISION}/(.+)", HubHandler.resolve),
    (r"(?:GET|HEAD) /cdn/(\w+)", HubHandler.deliver),
    (r"POST /api/repos/create", HubHandler.create),
    (r"POST /api/validate-yaml", HubHandler.validate_card),
    (rf"POST /api/models{REPO}/preupload/{REVISION}", HubHandler.preupload),
    (rf"GET /api/models{REPO}/revision/{REVISION}", HubHandler.repo_info),
    (rf"POST {REPO}\.git/info/lfs/objects/batch", HubHandler.lfs_batch),
    (r"PUT /lfs/(\w+)", HubHandler.lfs_put),
    (r"POST /verify", HubHandler.lfs_verify),
    (rf"POST /api/models{REPO}/commit/{REVISION}", HubHandler.make_commit),
    (rf"POST /api/models{REPO}/paths-info/{REVISION}", HubHandler.paths_info),
)


@contextlib.contextmanager
def running_hub() -> Iterator[FakeHub]:
    hub = FakeHub()
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()
