#!/bin/sh
# Writes .env with new random secrets for compose.yaml. It never changes a file that is there: whoever loses
# FEATUREHUB_TOMBSTONE_KEY can't tell erased customers any more.
set -eu
cd "$(dirname "$0")/.."
if [ -e .env ]; then
    echo ".env is there already, and stays as it is."
    exit 0
fi
secret() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
umask 077
cat >.env <<EOF
SECRET_KEY=$(secret)
FEATUREHUB_TOMBSTONE_KEY=$(secret)
POSTGRES_PASSWORD=$(secret)
GRAFANA_PASSWORD=$(secret)
# Host names that clients call it by, separated by commas.
ALLOWED_HOSTS=localhost,127.0.0.1
# 1 as soon as something ends HTTPS before the front; name its addresses then.
FEATUREHUB_HTTPS=0
FEATUREHUB_TRUSTED_PROXIES=
EOF
echo "Wrote .env. Keep a copy of it in a safe place."
