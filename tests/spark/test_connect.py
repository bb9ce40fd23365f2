"""`recompute --engine spark --remote` on a real Spark Connect server, in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from features.engines.java import java_home
from tests.factories import cached, make_event, make_purchase, store_events

SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Run a Spark Connect server on this machine. Yield its address."""
    pyspark = pytest.importorskip("pyspark", reason="pyspark is not installed: make test-spark does it")
    pytest.importorskip("grpc", reason="pyspark[connect] is not installed: make test-spark does it")
    home, port = Path(pyspark.__file__).parent, free_port()
    configuration = {
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": port,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.local.dir": tmp_path / "local",
        "spark.sql.warehouse.dir": tmp_path / "warehouse",
    }
    options = [text for name, value in configuration.items() for text in ("--conf", f"{name}={value}")]
    java = {"JAVA_HOME": str(java_home(tmp_path)), "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    process = subprocess.Popen(
        [home / "bin/spark-submit", "--master", "local[2]", "--class", SERVER, *options, "spark-internal"],
        env={**os.environ, **java},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not listens(port):
            assert process.poll() is None
            time.sleep(0.1)
        yield f"sc://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.usefixtures("committed")
def test_recompute_runs_on_a_spark_connect_server(server: str) -> None:
    store_events(make_purchase(amount=12.5), make_event(customer_id="c2"))
    url = os.environ["DATABASE_URL"].rpartition("/")[0] + f"/{connection.settings_dict['NAME']}"
    command = [sys.executable, "manage.py", "recompute", "--engine", "spark", "--remote", server]
    done = subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert cached("c1")["purchase_amount_30d"] == "12.5"
    assert cached("c2")["page_views_30d"] == "1.0"
