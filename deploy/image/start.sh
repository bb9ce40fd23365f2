#!/bin/sh
# The image's entry point: runs the program of the Procfile that FEATUREHUB_PROGRAM names (front, reads, api, admin,
# worker, beat), with the options given, or any other command given: `python manage.py migrate`.
set -eu
cd "$(dirname "$0")/../.."
case "${1:-}" in
    "" | -*) ;;
    *) exec "$@" ;;
esac
line=$(sed -n "s/^${FEATUREHUB_PROGRAM:?names a program of the Procfile}: //p" Procfile)
if [ -z "$line" ]; then
    echo "FEATUREHUB_PROGRAM must be one of $(sed 's/:.*//' Procfile | xargs), not $FEATUREHUB_PROGRAM." >&2
    exit 2
fi
if [ "$FEATUREHUB_PROGRAM" = front ]; then
    # The front serves the static files from its local folder; the image has them where nothing can be written.
    ln -sfn "${STATIC:?is the folder with the folder static}/static" "$FEATUREHUB_LOCAL_DIR/static"
    set -- --host 0.0.0.0 "$@"
fi
# The line is of the repository: the shell fills in its ${…}, and "$@" appends the options.
eval "exec $line \"\$@\""
