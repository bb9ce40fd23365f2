"""A receiver of traces, as a program: `python -m tests.otlp_receiver PORT FILE`.

It takes POST /v1/traces, OTLP over HTTP as protobuf, and appends each span to the file as a line of JSON.
"""

import gzip
import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver(BaseHTTPRequestHandler):
    """Writes what arrives to the server's file."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        is_accepted = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
        if is_accepted:
            with Path(sys.argv[2]).open("a") as file:
                file.writelines(f"{json.dumps(span)}\n" for span in spans_of(body))
        self.send_response(200 if is_accepted else 400)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing for each request."""


def spans_of(body: bytes) -> Iterator[dict[str, Any]]:
    """Yield the spans of a request: ids in hexadecimal digits, links as the ids of spans, attributes as texts."""
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        of_process = attributes_of(resource.resource.attributes)
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield {
                    "name": span.name,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "links": [link.span_id.hex() for link in span.links],
                    "began": span.start_time_unix_nano,
                    "ended": span.end_time_unix_nano,
                    "attributes": attributes_of(span.attributes),
                    "process": of_process,
                }


def attributes_of(pairs: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value or str(pair.value.int_value) for pair in pairs}


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
