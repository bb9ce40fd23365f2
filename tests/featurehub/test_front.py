"""The front: a real nginx with the shipped configuration, before pools that tell what reached them."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest

from featurehub.devserver.server import is_free
from tests.ports import free_port

PROJECT = Path(__file__).resolve().parents[2]
READ = "/api/v1/customers/c1/features/"
EVENTS = "/api/v1/events/"
BATCH = "/api/v1/features/batch/"
MEGABYTE = 1024 * 1024


class Pool(ThreadingUnixStreamServer):
    """A server in place of a pool: it answers with `status` and the request as it came, and keeps all requests."""

    daemon_threads = True

    def __init__(self, name: str, *, folder: Path) -> None:
        super().__init__(str(folder / f"{name}.sock"), Echo)
        self.name = name
        self.status = 200
        self.hangs_up = False
        self.requests: list[str] = []
        self.ids: list[str] = []


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Pool

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        received = len(self.rfile.read(length))
        self.server.requests.append(self.command)
        self.server.ids.append(self.headers["X-Request-ID"])
        if self.server.hangs_up:
            self.close_connection = True
            return
        told = {"pool": self.server.name, "method": self.command, "path": self.path, "received": received}
        body = json.dumps(told | {"headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = answer

    def log_message(self, *arguments: object) -> None:
        pass

    def address_string(self) -> str:
        return "front"


class Front:
    """A running front with its pools."""

    def __init__(self, port: int, *, pools: dict[str, Pool]) -> None:
        self.port = port
        self.pools = pools

    def ask(
        self, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and body; the body is parsed if it is JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before all of the body was sent
                connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            text = answer.read()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, told, json.loads(text) if text.startswith(b"{") else text
        finally:
            connection.close()

    def told(self, method: str, path: str, **options: Any) -> Any:
        """Return what the pool tells of the request that reached it."""
        status, _, body = self.ask(method, path, **options)
        assert status == 200, body
        return body


@contextmanager
def running_front(
    folder: Path, *, pools: tuple[str, ...] = ("reads", "api", "admin"), **variables: str
) -> Iterator[Front]:
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "FEATUREHUB_LOCAL_DIR": str(folder), **variables}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(Pool(name, folder=folder)) for name in pools}
        for server in servers.values():
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        command = [sys.executable, "-m", "featurehub.front"]
        with subprocess.Popen(command, cwd=PROJECT, env=environment, start_new_session=True) as process:
            try:
                wait_for(port, process=process)
                yield Front(port, pools=servers)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(20)


def wait_for(port: int, *, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("The front does not listen.")


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("front")
    (folder / "static").mkdir()
    (folder / "static/page.css").write_text("body { color: black }" * 100)
    with running_front(folder) as front:
        yield front


@pytest.fixture(autouse=True)
def calm(request: pytest.FixtureRequest) -> None:
    """Let the pools of the shared front answer with 200."""
    if "front" in request.fixturenames:
        for pool in request.getfixturevalue("front").pools.values():
            pool.status, pool.hangs_up = 200, False
            pool.requests.clear()
            pool.ids.clear()


@pytest.mark.parametrize(
    ("method", "path", "pool"),
    [
        ("GET", READ, "reads"),
        ("GET", f"{READ}?names=a,b", "reads"),
        ("GET", "/api/v1/customers/c1/vector/", "reads"),
        ("POST", BATCH, "reads"),
        ("GET", "/healthz", "reads"),
        ("PATCH", READ, "api"),
        ("PATCH", BATCH, "api"),
        ("POST", EVENTS, "api"),
        ("DELETE", "/api/v1/customers/c1/", "api"),
        ("GET", "/api/v1/customers/c1/explanation/", "api"),
        ("GET", "/api/v1/customers/c1/features/a/history/", "api"),
        ("GET", "/api/v1/customers/features/", "api"),
        ("GET", "/api/schema/", "api"),
        ("GET", "/readyz", "api"),
        ("GET", "/metrics", "api"),
        ("GET", "/", "admin"),
        ("POST", "/admin/login/", "admin"),
    ],
)
def test_each_request_goes_to_its_pool(front: Front, method: str, path: str, pool: str) -> None:
    told = front.told(method, path)
    assert (told["pool"], told["method"], told["path"]) == (pool, method, path)


def test_head_is_asked_as_head(front: Front) -> None:
    status, headers, body = front.ask("HEAD", READ)
    assert (status, body, front.pools["reads"].requests) == (200, b"", ["HEAD"])
    assert int(headers["content-length"]) > 0


@pytest.mark.parametrize("name", ["a%2Fb", "%FF", "gr%C3%BC%C3%9Fe", "a%20b", "c%2B1+1", "%2E%2E", "a;b=c"])
def test_a_path_arrives_as_it_was_sent(front: Front, name: str) -> None:
    path = f"/api/v1/customers/{name}/features/?names={name}"
    assert front.told("GET", path)["path"] == path


def test_a_body_in_chunks_arrives_whole(front: Front) -> None:
    told = front.told("POST", EVENTS, body=iter([b"x" * 1_000] * 5))
    assert (told["received"], told["headers"]["content-length"]) == (5_000, "5000")


@pytest.mark.parametrize(
    ("method", "path", "most"),
    [
        ("POST", EVENTS, 16 * MEGABYTE),
        ("POST", "/api/v1/features/compute/", 16 * MEGABYTE),
        ("PATCH", BATCH, 16 * MEGABYTE),
        ("POST", BATCH, MEGABYTE),
        ("POST", READ, MEGABYTE),
        ("PATCH", READ, MEGABYTE),
        ("POST", "/admin/login/", MEGABYTE),
    ],
)
def test_a_body_is_taken_up_to_the_limit_of_its_endpoint(front: Front, method: str, path: str, most: int) -> None:
    assert front.told(method, path, body=b"x" * most)["received"] == most
    for pool in front.pools.values():
        pool.requests.clear()
    status, _, body = front.ask(method, path, body=b"x" * (most + 1))
    assert status == 413
    if path.startswith("/api/"):
        assert body == {
            "type": "client_error",
            "errors": [{"code": "too_large", "detail": "The body is too large.", "attr": None}],
        }
    assert not any(pool.requests for pool in front.pools.values())


def test_what_a_client_says_of_its_address_and_scheme_is_overwritten(front: Front) -> None:
    lies = {"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Proto": "https", "X_Forwarded_Proto": "https"}
    headers = front.told("GET", READ, headers=lies)["headers"]
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert headers["host"] == f"127.0.0.1:{front.port}"


def test_what_a_trusted_proxy_says_is_passed_on(tmp_path: Path) -> None:
    with running_front(tmp_path, FEATUREHUB_TRUSTED_PROXIES="127.0.0.0/8, 10.0.0.0/8, ::1") as front:
        said = {"X-Forwarded-For": "198.51.100.7, 192.0.2.1, 10.1.1.1", "X-Forwarded-Proto": "https"}
        headers = front.told("GET", READ, headers=said)["headers"]
        assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("192.0.2.1", "https")


def test_a_header_with_underscores_does_not_override_what_a_trusted_proxy_says(tmp_path: Path) -> None:
    """WSGI calls both by one name."""
    with running_front(tmp_path, FEATUREHUB_TRUSTED_PROXIES="127.0.0.1") as front:
        clients_own = {"X_Forwarded_Proto": "https", "X_Forwarded_For": "198.51.100.7"}
        said = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "http"}
        for both in (clients_own | said, said | clients_own):
            headers = front.told("GET", READ, headers=both)["headers"]
            told = {name.replace("_", "-"): value for name, value in headers.items()}
            assert (told["x-forwarded-for"], told["x-forwarded-proto"]) == ("192.0.2.1", "http")
            assert not [name for name in headers if "_" in name]


def test_a_read_that_the_reads_pool_gives_up_is_answered_by_the_api_pool(front: Front) -> None:
    front.pools["reads"].status = 503
    for method, path in (("GET", READ), ("GET", "/api/v1/customers/c1/vector/"), ("POST", BATCH)):
        told = front.told(method, path, body=b"x" * 10_000 if method == "POST" else None)
        assert (told["pool"], told["method"], told["path"]) == ("api", method, path)
        assert told["received"] == (10_000 if method == "POST" else 0)
    assert front.pools["reads"].requests == ["GET", "GET", "POST"]


@pytest.mark.parametrize(("method", "path"), [("GET", READ), ("POST", BATCH)])
def test_both_pools_have_the_same_id_of_a_request_and_another_request_has_another(
    front: Front, method: str, path: str
) -> None:
    front.pools["reads"].status = 503
    for given in ({}, {}, {"X-Request-ID": "order-7.a_B"}, {"X-Request-ID": "a b"}):
        front.told(method, path, headers=given)
    ids = front.pools["reads"].ids
    assert front.pools["api"].ids == ids
    assert len(set(ids)) == 4
    assert ids[2] == "order-7.a_B"
    assert all(re.fullmatch("[0-9a-f]{32}", made) for made in (*ids[:2], ids[3]))


def test_other_errors_of_a_pool_are_its_answer(front: Front) -> None:
    for status in (400, 401, 413, 429, 500):
        front.pools["reads"].status = status
        answer, _, body = front.ask("GET", READ)
        assert (answer, body["pool"]) == (status, "reads")
    front.pools["reads"].status = front.pools["api"].status = 503
    answer, _, body = front.ask("GET", READ)
    assert (answer, body["pool"]) == (503, "api")


@pytest.mark.parametrize(("method", "path"), [("POST", EVENTS), ("PATCH", READ), ("DELETE", "/api/v1/customers/c1/")])
def test_a_write_is_never_sent_twice(front: Front, method: str, path: str) -> None:
    front.told(method, path)  # so that a connection is kept, which may be used again
    front.pools["api"].requests.clear()
    front.pools["api"].status = 503
    assert front.ask(method, path, body=b"{}")[0] == 503
    front.pools["api"].hangs_up = True
    status, headers, body = front.ask(method, path, body=b"{}")
    assert (status, headers["retry-after"], body["errors"][0]["code"]) == (502, "5", "unavailable")
    assert front.pools["api"].requests == [method, method]


def test_reads_go_on_while_the_reads_pool_is_down(tmp_path: Path) -> None:
    with running_front(tmp_path, pools=("api",)) as front:
        assert front.told("GET", READ)["pool"] == front.told("POST", BATCH)["pool"] == "api"
        assert front.told("GET", "/healthz")["pool"] == "api"
        assert front.ask("GET", "/admin/")[0] == 502


def test_static_files_are_compressed_and_kept_for_a_day(front: Front) -> None:
    status, headers, _ = front.ask("GET", "/static/page.css", headers={"Accept-Encoding": "gzip"})
    assert (status, headers["content-type"], headers["content-encoding"]) == (200, "text/css", "gzip")
    assert headers["cache-control"] == "max-age=86400"
    assert front.told("GET", "/static/%2e%2e/reads.sock")["pool"] == "admin"  # no file outside the folder
    assert front.ask("GET", "/static/nothing.css")[0] == 404


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PORT": "http"}, "PORT must be a port number from 1 to 65535, not 'http'."),
        ({"WEB_CONCURRENCY": "0"}, "WEB_CONCURRENCY must be "),
        ({"FEATUREHUB_TRUSTED_PROXIES": "10.0.0.1/8"}, "FEATUREHUB_TRUSTED_PROXIES must be "),
        ({"FEATUREHUB_LOCAL_DIR": "/nowhere/" + "x" * 100}, "FEATUREHUB_LOCAL_DIR is too long for a socket in it: "),
        ({"FEATUREHUB_LOCAL_DIR": "/nowhere/$x"}, "FEATUREHUB_LOCAL_DIR must be without quotes"),
    ],
)
def test_a_wrong_setting_is_one_sentence(variables: dict[str, str], sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "featurehub.front", "--print"],
        cwd=PROJECT, env=os.environ | variables, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(sentence), done.stderr
    assert done.stderr.count("\n") == 1


def test_it_listens_when_its_pools_have_started(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "PORT": str(port), "FEATUREHUB_LOCAL_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "featurehub.front", "--wait", "60"]
    with (
        subprocess.Popen(command, cwd=PROJECT, env=environment, start_new_session=True) as process,
        ExitStack() as pools,
    ):
        try:
            time.sleep(1.5)
            assert process.poll() is None
            assert is_free(port)
            for name in ("reads", "api", "admin"):
                pools.enter_context(Pool(name, folder=tmp_path))
            wait_for(port, process=process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
