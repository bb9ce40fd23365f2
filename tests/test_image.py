"""The image's own steps, run by deploy/try-image.sh without a container engine; `make try-image`."""

import os
import subprocess
from pathlib import Path

import pytest

from featurehub.front import nginx
from tests.at_once import PROJECT, environment_of_tests
from tests.databases import made_database, redis_database
from tests.ports import free_port

MAY_NOT_MOUNT = 77


@pytest.mark.skipif("IMAGE" not in os.environ, reason="It installs every package once more: make try-image.")
def test_the_steps_of_the_image_pass_as_another_user_with_a_read_only_root(committed: None) -> None:
    with made_database("image") as database, redis_database(6) as cache:
        environment = {
            **environment_of_tests(),
            "DATABASE_URL": database,
            "REDIS_URL": cache,
            "NGINX": str(Path(nginx())),
            "PORT": str(free_port()),
            "PYTHON": os.environ.get("IMAGE_PYTHON", "/usr/bin/python3"),
        }
        done = subprocess.run([PROJECT / "deploy/try-image.sh"], env=environment, timeout=280, check=False)
    if done.returncode == MAY_NOT_MOUNT:
        pytest.skip("This user may not make a mount namespace.")
    assert done.returncode == 0
