#!/bin/sh
# The second step of the image: the static files at STATIC/static, and the code compiled, since nothing can be written
# at run time. It connects to nothing: the settings are there to be read, and stand in no file.
set -eu
cd "$(dirname "$0")/../.."
: "${VENV:?is the folder of the virtual environment}" "${STATIC:?is the folder that gets the folder static}"
DATABASE_URL=postgresql://unused/unused REDIS_URL=redis://unused SECRET_KEY=unused ALLOWED_HOSTS=unused \
    FEATUREHUB_TOMBSTONE_KEY=unused FEATUREHUB_LOCAL_DIR=$STATIC \
    "$VENV/bin/python" manage.py collectstatic --noinput --verbosity 0
# unchecked-hash: the same files give the same image, and times of files mean nothing.
"$VENV/bin/python" -m compileall -q -f --invalidation-mode unchecked-hash events features featurehub manage.py
