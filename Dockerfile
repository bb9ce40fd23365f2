# FeatureHub: one image for every program of the Procfile; FEATUREHUB_PROGRAM says which one a container runs.
# The steps are scripts in deploy/image, so that deploy/try-image.sh can run them where there is no container engine.
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV VENV=/opt/featurehub/venv STATIC=/opt/featurehub
WORKDIR /opt/featurehub/app
# What changes rarely comes first: a new version of the code uses the installed packages of the one before.
COPY requirements.lock ./
COPY deploy/image/install.sh deploy/image/
RUN deploy/image/install.sh
COPY . .
RUN deploy/image/build.sh

FROM ${PYTHON_IMAGE}
# nginx is Debian's, of whichever security update is current. pip is of no use here.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends nginx \
    && rm -rf /var/lib/apt/lists/* \
    && python -m pip uninstall --yes --root-user-action=ignore pip \
    && groupadd --gid 10001 featurehub \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin featurehub \
    && install --directory --owner=10001 --group=10001 --mode=0700 /run/featurehub \
    && install --directory --owner=10001 --group=10001 --mode=0755 /run/metrics-key
COPY --from=build /opt/featurehub /opt/featurehub
ENV PATH=/opt/featurehub/venv/bin:$PATH \
    STATIC=/opt/featurehub \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FEATUREHUB_PROGRAM=front \
    FEATUREHUB_LOCAL_DIR=/run/featurehub
# Written to at run time: /run/featurehub (sockets, nginx's own files) and /tmp (uploads); mount a tmpfs at each, and the
# root file system can be read-only.
ARG VERSION=0.0.0
LABEL org.opencontainers.image.title="FeatureHub" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="${VERSION}"
WORKDIR /opt/featurehub/app
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=4s --start-period=60s --retries=3 \
    CMD ["python", "deploy/image/healthy.py"]
ENTRYPOINT ["/opt/featurehub/app/deploy/image/start.sh"]
