# syntax=docker/dockerfile:1
# The archiver with its locked dependencies, for a read-only root file system: it writes to /data and /tmp and nowhere else.
#
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges -v archive:/data recording-archiver
#
# A tag can be moved, so a release names the image by its digest as well, and writes both into its notes:
#   docker build --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:… --build-arg REVISION=$(git rev-parse HEAD) .
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    SOURCE_DATE_EPOCH=315532800
WORKDIR /src
# Dependencies first: they change less often than the code. Wheels only: no compiler, no setup.py that runs here.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/archiver \
 && python -m pip --python /opt/archiver/bin/python install --only-binary=:all: --require-hashes -r requirements.lock \
 && python -m venv --without-pip /opt/build \
 && python -m pip --python /opt/build/bin/python install --only-binary=:all: --require-hashes -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY archiver archiver
# The wheel is the same, byte for byte, as the one of the release: built by the locked hatchling, installed without a resolver.
RUN /opt/build/bin/python -m hatchling build -t wheel -d /dist \
 && python -m pip --python /opt/archiver/bin/python install --no-deps --no-index --compile /dist/*.whl

FROM ${PYTHON_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="recording-archiver" \
      org.opencontainers.image.description="A recording archive that a third party can check" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/archiver /opt/archiver
# A number, not a name: Kubernetes' runAsNonRoot can check it without looking into the image.
RUN install -d -m 0750 -o 10001 -g 10001 /data
ENV PATH=/opt/archiver/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp
# Paths of the default configuration are relative to this one: data/catalog.db is /data/catalog.db.
WORKDIR /
VOLUME ["/data"]
EXPOSE 8080
USER 10001:10001
STOPSIGNAL SIGTERM
# Liveness and not readiness: a container that is restarted because S3 is out of reach heals nothing. No shell, no curl, no proxy.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; port = os.environ.get('ARCHIVER_WEB__LISTEN', ':8080').rpartition(':')[2]; r.build_opener(r.ProxyHandler({})).open(f'http://127.0.0.1:{port}/livez', timeout=4)"]
ENTRYPOINT ["archiver"]
CMD ["run"]
