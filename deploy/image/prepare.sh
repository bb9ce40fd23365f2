#!/bin/sh
# The one-off of compose.yaml: migrates the database, and makes the key that Prometheus reads /metrics with, once.
set -eu
cd "$(dirname "$0")/../.."
python manage.py migrate --verbosity 1
key=${METRICS_KEY_FILE:-/run/metrics-key/key}
if [ ! -s "$key" ]; then
    python manage.py create_api_key prometheus --scope metrics >"$key.new"
    mv "$key.new" "$key"
fi
