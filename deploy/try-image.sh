#!/usr/bin/env bash
# Try the image without a container engine: run the steps of the Dockerfile in a clean folder as another user, then
# every program of the Procfile with a read-only root file system.
#
#   DATABASE_URL   an empty PostgreSQL database
#   REDIS_URL      an empty Redis
#   PYTHON         the Python of the image, one that every user can read; /usr/bin/python3 if it is unset
#   NGINX          the nginx of the image; the one of the PATH if it is unset
#
# Needs root on Linux, for a mount namespace: the image's root has the folders of this machine that its base image would
# have, read-only, and nothing else of it. Exits with 0 where every step passes; nothing of it is left then.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly SELF=deploy/try-image.sh USER_ID=10001 APP=/opt/featurehub/app VENV=/opt/featurehub/venv
step() { echo "--- $*"; }

# --- Inside: a root file system of its own, and processes of its own, which all end with this one ---------------------
# Commands as the user of the image, with its ENV; for its RUN steps; and with what `docker run` would be given.
AS_USER=(
    setpriv "--reuid=$USER_ID" "--regid=$USER_ID" --clear-groups --no-new-privs --bounding-set=-all
    env --ignore-environment HOME=/nonexistent LANG=C.UTF-8 "PYTHON=${PYTHON:-}" "VENV=$VENV" STATIC=/opt/featurehub
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 FEATUREHUB_LOCAL_DIR=/run/featurehub
    "PATH=$VENV/bin:/opt/nginx:/usr/local/bin:/usr/bin:/bin"
)
BUILD=("${AS_USER[@]}" PIP_CACHE_DIR=/tmp/pip ${PIP_CERT:+"PIP_CERT=$PIP_CERT"})
BUILD+=(${PIP_INDEX_URL:+"PIP_INDEX_URL=$PIP_INDEX_URL"} ${PIP_FIND_LINKS:+"PIP_FIND_LINKS=$PIP_FIND_LINKS"})
PROGRAM=(
    "${AS_USER[@]}" "DATABASE_URL=${DATABASE_URL:-}" "REDIS_URL=${REDIS_URL:-}" "SECRET_KEY=${SECRET_KEY:-}"
    "FEATUREHUB_TOMBSTONE_KEY=${TOMBSTONE_KEY:-}" "PORT=${PORT:-}" ALLOWED_HOSTS=features.example.com WEB_CONCURRENCY=1
)

answers() {
    # There is nothing that ends HTTPS before the front: what is not a check is sent there.
    local path=$1 status=$2
    "${PROGRAM[@]}" "$VENV/bin/python" - "$path" "$status" <<'PYTHON'
import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["PORT"]), timeout=10)
connection.request("GET", sys.argv[1], headers={"Host": "features.example.com"})
answer = connection.getresponse()
print(f"GET {sys.argv[1]}: {answer.status}, {len(answer.read())} bytes")
sys.exit(answer.status != int(sys.argv[2]))
PYTHON
}

inside() {
    local root=$1 folder device
    mount --make-rprivate /
    mount -t tmpfs -o mode=0755 root "$root"
    mkdir -p "$root"/{usr,etc,dev,proc,tmp,run/featurehub,opt/featurehub,opt/nginx}
    for folder in bin sbin lib lib32 lib64; do
        if [ -L "/$folder" ]; then cp -a "/$folder" "$root/$folder"; fi
    done
    for folder in usr etc; do
        mount --rbind "/$folder" "$root/$folder"
        mount -o remount,bind,ro "$root/$folder"
    done
    for folder in passwd group; do
        mount --bind "$FOLDER/$folder" "$root/etc/$folder"
    done
    # Where pip of this machine looks for packages.
    for folder in /opt/*/; do
        folder=${folder%/}
        case $folder in /opt/featurehub | /opt/nginx | "/opt/*") continue ;; esac
        mkdir -p "$root$folder"
        mount --bind "$folder" "$root$folder"
        mount -o remount,bind,ro "$root$folder"
    done
    for device in null zero urandom random; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    ln -s /proc/self/fd "$root/dev/fd"
    mkdir "$root/dev/shm"
    mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=1777 tmp "$root/tmp"
    mount -t tmpfs -o "mode=0700,uid=$USER_ID,gid=$USER_ID" local "$root/run/featurehub"
    mount --bind "$FOLDER/image" "$root/opt/featurehub"
    cp "$NGINX" "$root/opt/nginx/nginx"
    mount -o remount,ro "$root"
    exec chroot "$root" /bin/bash "$APP/.try-image.sh" steps
}

steps() {
    local run program status
    local -A processes=()
    cd "$APP"
    while read -r run; do
        step "RUN $run, as user $USER_ID"
        "${BUILD[@]}" "$run"
    done < <(sed -n 's/^RUN \(deploy\/image\/.*\)/\1/p' .Dockerfile)
    if [ -n "$(find $VENV -name 'pip*' -path '*site-packages/pip*' -prune -print -quit)" ]; then
        echo "pip is left in the environment." >&2
        exit 1
    fi

    step "USER $USER_ID: the code and the packages can only be read from here on"
    mount -o remount,bind,ro /opt/featurehub
    find /tmp -mindepth 1 -delete
    if "${AS_USER[@]}" touch $APP/written 2>/dev/null; then
        echo "The code can be written to." >&2
        exit 1
    fi

    step "manage.py check --deploy"
    "${PROGRAM[@]}" deploy/image/start.sh python manage.py check --deploy --fail-level WARNING
    step "manage.py migrate"
    "${PROGRAM[@]}" deploy/image/start.sh python manage.py migrate --verbosity 0

    step "Start every program of the Procfile"
    for program in $(sed 's/:.*//' Procfile); do
        "${PROGRAM[@]}" "FEATUREHUB_PROGRAM=$program" deploy/image/start.sh </dev/null &
        processes[$program]=$!
    done
    for program in "${!processes[@]}"; do
        wait_until_healthy "$program" "${processes[$program]}"
    done
    answers /healthz 200
    answers /readyz 200
    answers /static/unfold/css/styles.css 200
    answers /admin/login/ 301

    step "Stop them"
    for program in "${!processes[@]}"; do
        kill -TERM "${processes[$program]}"
    done
    for program in "${!processes[@]}"; do
        wait "${processes[$program]}" && status=0 || status=$?
        # 143 is the end by SIGTERM itself.
        if [ "$status" != 0 ] && [ "$status" != 143 ]; then
            echo "$program ended with status $status." >&2
            exit 1
        fi
    done
    step "What was written: $(find /run/featurehub /tmp -mindepth 1 -printf '%p ' | xargs)"
    if [ -n "$(find /tmp -mindepth 1 -print -quit)" ]; then
        echo "Programs left files in /tmp." >&2
        exit 1
    fi
}

wait_until_healthy() {
    local program=$1 process=$2 deadline=$((SECONDS + 60))
    until "${PROGRAM[@]}" "FEATUREHUB_PROGRAM=$program" "$VENV/bin/python" deploy/image/healthy.py; do
        if [ $SECONDS -ge $deadline ] || ! kill -0 "$process"; then
            echo "$program does not answer." >&2
            exit 1
        fi
        sleep 0.5
    done
    echo "$program is healthy"
}

# --- Outside ----------------------------------------------------------------------------------------------------------
outside() {
    : "${DATABASE_URL:?is an empty PostgreSQL database}" "${REDIS_URL:?is an empty Redis}"
    if [ "$(id -u)" -ne 0 ] || ! unshare --mount --pid --fork true 2>/dev/null; then
        echo "try-image.sh needs root on Linux, and may not make a mount namespace here." >&2
        exit 77
    fi
    export PYTHON=${PYTHON:-/usr/bin/python3} NGINX=${NGINX:-$(command -v nginx || true)} DATABASE_URL REDIS_URL
    export PORT=${PORT:-8765} SECRET_KEY TOMBSTONE_KEY FOLDER
    SECRET_KEY=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    TOMBSTONE_KEY=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    if [ -z "$NGINX" ]; then
        echo "nginx is not installed: install it, or name it with NGINX." >&2
        exit 2
    fi
    FOLDER=$(mktemp -d)
    trap 'rm -rf "$FOLDER"' EXIT
    mkdir -p "$FOLDER/root" "$FOLDER/image/app"

    step "COPY what .dockerignore lets through"
    # An allow list: `*`, then !paths, then what is left out of these.
    sed -n 's/^!//p' .dockerignore | tar --create --exclude=__pycache__ --exclude='*.pyc' --files-from=- |
        tar --extract --directory="$FOLDER/image/app" --no-same-owner
    # As groupadd and useradd of the Dockerfile do it.
    { cat /etc/passwd; echo "featurehub:x:$USER_ID:$USER_ID::/nonexistent:/usr/sbin/nologin"; } >"$FOLDER/passwd"
    { cat /etc/group; echo "featurehub:x:$USER_ID:"; } >"$FOLDER/group"
    cp Dockerfile "$FOLDER/image/app/.Dockerfile"
    cp "$SELF" "$FOLDER/image/app/.try-image.sh"
    chmod 0755 "$FOLDER" "$FOLDER/image"
    chown -R $USER_ID:$USER_ID "$FOLDER/image"
    du -sh "$FOLDER/image/app" | cut -f1
    unshare --mount --pid --fork --kill-child=KILL "$SELF" inside "$FOLDER/root"
    step "The image has, in MB: $(du -sm "$FOLDER"/image/{venv,static,app} | sed "s|$FOLDER/image/||" | xargs)"
    step "Every step of the image passes."
}

case "${1:-outside}" in
    outside) outside ;;
    inside) inside "$2" ;;
    steps) steps ;;
    *) echo "deploy/try-image.sh takes no arguments." >&2; exit 2 ;;
esac
