#!/bin/sh
# The first step of the image: a virtual environment at VENV with what production needs, by hash, from
# requirements.lock. Nothing is compiled, so that no build tool is needed; nothing that installs stays in it.
set -eu
cd "$(dirname "$0")/../.."
: "${VENV:?is the folder of the virtual environment}"
"${PYTHON:-python3}" -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --no-cache-dir --disable-pip-version-check --only-binary :all: \
    --require-hashes -r requirements.lock
# Python 3.11 brings setuptools along.
"$VENV/bin/python" -m pip uninstall --quiet --yes pip setuptools
