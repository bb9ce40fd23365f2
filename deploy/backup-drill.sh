#!/usr/bin/env bash
# Back up FeatureHub's database, restore it into an empty one, fill an empty Redis from it, and check the values.
#
#   DATABASE_URL        the database to back up; it is only read, and may be written to meanwhile
#   DRILL_DATABASE_URL  an empty database
#   DRILL_REDIS_URL     an empty Redis
#   DUMP                where to keep the backup; a temporary file that is deleted if it is unset
#   PG_BIN              the folder of pg_dump and pg_restore, of the server's version or newer; PATH if it is unset
#
# Exits with 0 where the restored store was checked and every value is right. What it started from and what it made can
# be looked at then: run the programs with DATABASE_URL and REDIS_URL set to those of the drill.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${DATABASE_URL:?is the database to back up}"
: "${DRILL_DATABASE_URL:?is an empty database to restore into}"
: "${DRILL_REDIS_URL:?is an empty Redis}"
if [ "$DRILL_DATABASE_URL" = "$DATABASE_URL" ] || [ "$DRILL_REDIS_URL" = "${REDIS_URL:-}" ]; then
    echo "A drill restores beside what is running: DRILL_DATABASE_URL and DRILL_REDIS_URL must be others." >&2
    exit 2
fi
bin=${PG_BIN:+$PG_BIN/}
python=${PYTHON:-python}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
dump=${DUMP:-$folder/featurehub.dump}

step() { echo "--- $*"; }

keys=$("$python" -c 'import sys, redis; print(redis.from_url(sys.argv[1]).dbsize())' "$DRILL_REDIS_URL")
if [ "$keys" != 0 ]; then
    echo "The Redis of the drill is not empty: it has $keys keys." >&2
    exit 2
fi

step "1. Back up"
"${bin}pg_dump" --format=custom --no-owner --file="$dump" "$DATABASE_URL"
du -h "$dump" | cut -f1

step "2. Restore into the empty database"
"${bin}pg_restore" --no-owner --exit-on-error --single-transaction --dbname="$DRILL_DATABASE_URL" "$dump"

export DATABASE_URL=$DRILL_DATABASE_URL REDIS_URL=$DRILL_REDIS_URL CELERY_BROKER_URL=$DRILL_REDIS_URL
step "3. Migrate, where this version is newer than the backup"
"$python" manage.py migrate --verbosity 0

step "4. Fill the empty Redis"
"$python" manage.py rebuild_cache

step "5. Compare Redis and the history with the events"
"$python" manage.py check_consistency
step "The backup can be restored."
