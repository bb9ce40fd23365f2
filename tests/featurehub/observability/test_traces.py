"""One event from POST to published value, as traces show it: real web process, worker and receiver."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from featurehub.access.authentication import clients
from featurehub.access.models import Scope, create_api_key
from tests.at_once import PROJECT, environment_of_tests, in_a_process
from tests.celery_programs import wait_for, worker
from tests.factories import ago
from tests.ports import free_port

REFRESH = "features.refresh_dirty"
SECRET = "secret-customer"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}"
NOT_INSTALLED = """
import sys
sys.modules["opentelemetry"] = None
import featurehub.settings
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedSite:
    """A web process and its key, the file of the receiver, and the environment that the programs have."""

    port: int
    key: str
    spans_file: Path
    environment: dict[str, str]
    redis_url: str

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> dict[str, Any]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            sent = {"Authorization": f"Api-Key {self.key}", **headers}
            connection.request(method, path, body=json.dumps(body) if body else None, headers=sent)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status in (200, 201), text
            return json.loads(text) | {"request_id": answer.getheader("X-Request-ID")}

    def post(self, customer_id: str, **headers: str) -> dict[str, Any]:
        event = {"customer_id": customer_id, "event_type": "login", "timestamp": ago(seconds=1).isoformat()}
        return self.ask("POST", "/api/v1/events/", {"events": [event]}, **headers)

    def value(self, customer_id: str) -> float:
        path = f"/api/v1/customers/{customer_id}/features/?names=login_frequency"
        found: float = self.ask("GET", path)["features"]["login_frequency"]
        return found

    def spans(self, name: str) -> list[dict[str, Any]]:
        """Return the spans of this name that have arrived."""
        written = self.spans_file.read_text() if self.spans_file.exists() else ""
        lines = written.rpartition("\n")[0].splitlines()  # without one that is being written
        return [span for span in map(json.loads, lines) if span["name"] == name]

    def have_arrived(self, *names: str) -> bool:
        return all(self.spans(name) for name in names)


@contextmanager
def running(*command: str, environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, *command], cwd=PROJECT, env=environment, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def listens(port: int) -> bool:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status in (200, 501)
        except (OSError, http.client.HTTPException):
            return False


@pytest.fixture
def site(committed: None, tmp_path: Path) -> Iterator[TracedSite]:
    """Run the receiver and the pool `api`; spans are sent every tenth of a second."""
    clients.forget()
    _, key = create_api_key("test", scopes=list(Scope.values))
    receiver, port, spans_file = free_port(), free_port(), tmp_path / "spans"
    environment = {
        **environment_of_tests(),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "FEATUREHUB_LOCAL_DIR": str(tmp_path),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "FEATUREHUB_TRACE_SHARE": "0",
    }
    web = ("-m", "featurehub.pool", "api", "--workers", "1", "--blocking-threads", "2", "--port", str(port))
    with ExitStack() as stack:
        stack.enter_context(
            running("-m", "tests.otlp_receiver", str(receiver), str(spans_file), environment=environment)
        )
        stack.enter_context(running(*web, environment=environment))
        wait_for(lambda: listens(receiver) and listens(port))
        yield TracedSite(
            port=port, key=key, spans_file=spans_file, environment=environment, redis_url=os.environ["REDIS_URL"]
        )


def traced_worker(site: TracedSite) -> Any:
    """Run a worker as the Procfile does; it has no beat."""
    return worker(site.redis_url, **{name: text for name, text in site.environment.items() if name.startswith("OTEL")})


def test_the_spans_of_request_task_computation_and_publication_hang_together(site: TracedSite) -> None:
    parent = TRACEPARENT.format(flags="01")
    with traced_worker(site):
        site.post(SECRET, traceparent=parent)
        wait_for(lambda: site.value(SECRET) == 1.0 and site.have_arrived("POST events/", REFRESH, "published"))
    (request,), (task,) = site.spans("POST events/"), site.spans(REFRESH)
    (compute,), (publish,), (published,) = (site.spans(name) for name in ("compute", "publish", "published"))
    # One trace, that of the client: its request has woken the task, which computes and publishes.
    assert (request["trace"], request["parent"]) == tuple(parent.split("-")[1:3])
    assert {span["trace"] for span in (task, compute, publish, published)} == {request["trace"]}
    assert task["parent"] == published["parent"] == request["id"]
    assert compute["parent"] == publish["parent"] == task["id"]
    # The task is linked to the request by the mark that it has computed, whoever woke it.
    assert task["links"] == [request["id"]]
    assert published["links"] == [task["id"]]
    assert request["began"] <= task["began"] <= compute["began"] <= compute["ended"] <= publish["began"]
    assert publish["ended"] <= published["ended"] <= task["ended"]
    assert request["attributes"] == {
        "http.request.method": "POST", "http.route": "events/", "http.response.status_code": "201",
    }  # fmt: skip
    assert (compute["attributes"], publish["attributes"]) == ({"featurehub.customers": "1"},) * 2
    assert task["attributes"]["featurehub.outcome"] == "success"
    assert request["process"]["service.name"] == task["process"]["service.name"] == "featurehub"
    assert (request["process"]["featurehub.process"], task["process"]["featurehub.process"]) == ("api", "worker")
    assert SECRET not in site.spans_file.read_text()


def test_a_task_that_finds_the_marks_of_several_requests_is_a_trace_of_its_own_with_links_to_them(
    site: TracedSite,
) -> None:
    site.post("c0")  # wakes the worker, and is not traced
    for customer_id in ("c1", "c2"):
        site.post(customer_id, traceparent=TRACEPARENT.format(flags="01"))
    site.post("c3", traceparent=TRACEPARENT.format(flags="00"))
    with traced_worker(site):
        wait_for(lambda: len(site.spans("published")) == len(site.spans("POST events/")) == 2)
        wait_for(lambda: any(span["links"] for span in site.spans(REFRESH)))
        assert site.value("c3") == 1.0
    requests = site.spans("POST events/")
    # A request that took a second has sent a message of its own, whose task finds nothing any more.
    (task,) = [span for span in site.spans(REFRESH) if span["links"]]
    assert (task["parent"], task["trace"] == requests[0]["trace"]) == ("", False)
    assert sorted(task["links"]) == sorted(span["id"] for span in requests)
    assert sorted(span["parent"] for span in site.spans("published")) == sorted(task["links"])
    (compute,) = site.spans("compute")
    assert (compute["parent"], compute["attributes"]["featurehub.customers"]) == (task["id"], "4")


def test_with_an_endpoint_and_without_the_packages_the_start_is_refused_with_a_sentence() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", NOT_INSTALLED],
        cwd=PROJECT, env=environment_of_tests() | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith(
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed: "
        "pip install -r requirements-tracing.txt -c constraints.txt, or unset it."
    )


def test_a_process_starts_without_what_makes_spans_and_what_few_use() -> None:
    seldom = ("opentelemetry.sdk.trace", "pandas", "pyarrow.dataset", "scipy.optimize", "scipy.stats")
    code = f"import featurehub.wsgi, sys; print([name for name in {seldom} if name in sys.modules])"
    ended = in_a_process(code, FEATUREHUB_POOL="api")
    assert ended.stdout == "[]\n", ended.stderr
