# Build with `docker build -t reconciliation-contract:0.1.0 .`; for a release, pin the base images by digest:
# `--build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...`, and GO_IMAGE likewise.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG GO_IMAGE=golang:1.26-bookworm

# What Flux applies is built by Flux's own libraries, at Flux's versions, each module pinned by hash.
FROM ${GO_IMAGE} AS flux-build
WORKDIR /flux-build
COPY operator/flux-build/ ./
RUN CGO_ENABLED=0 GOTOOLCHAIN=local go build -mod=readonly -buildvcs=false -trimpath -ldflags="-s -w" -o /opt/flux-build/ .


FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/venv

# Wheels only: nothing downloaded is run while it is installed.
COPY requirements/runtime.txt requirements/
RUN python -m pip --python /opt/venv/bin/python install --require-hashes --only-binary=:all: -r requirements/runtime.txt

# The build backend, by the pins of the development lock. If it ever needs another package, pip refuses to go on.
COPY requirements/dev.txt requirements/
RUN awk '/^[a-z]/ { keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } keep' requirements/dev.txt > backend.txt \
    && python -m pip install --require-hashes --only-binary=:all: -r backend.txt

COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY operator/reconciliation_contract/ operator/reconciliation_contract/
RUN python -m pip wheel --no-build-isolation --no-deps --wheel-dir dist . \
    && python -m pip --python /opt/venv/bin/python install --no-index --no-deps dist/*.whl


FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="reconciliation-contract" \
      org.opencontainers.image.description="A Kubernetes operator that holds Flux to its promises." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# The bytecode was compiled at installation; the root file system is read-only.
# USER: kopf asks for the user's name when it starts, and an arbitrary user id has none.
ENV PATH=/opt/venv/bin:/opt/flux-build:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    USER=reconciliation-contract
# A virtual environment knows its own path: it is copied to the same one.
COPY --from=build /opt/venv /opt/venv
COPY --from=flux-build /opt/flux-build /opt/flux-build
USER 65532:65532
ENTRYPOINT ["reconciliation-contract"]
CMD ["run"]
