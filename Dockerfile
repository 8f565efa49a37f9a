# The image of backend, worker and beat: the same files, another command. Nothing is compiled or downloaded at start.
# A release names its digest: `--build-arg BASE=python:3.13-slim@sha256:...`.
ARG BASE=python:3.13-slim
FROM $BASE AS build
# A digest of one architecture would be the base of every architecture: BuildKit only warns.
ARG TARGETARCH
RUN base=$(dpkg --print-architecture) && test "${TARGETARCH:-$base}" = "$base" \
 || { echo "BASE is an image of $base alone, not of $TARGETARCH: name the digest of its index" >&2; exit 1; }
WORKDIR /src
# `--build-arg LOCK=tracing` adds the packages of the extra `tracing`; `kafka` likewise.
ARG LOCK=runtime
COPY requirements/runtime.lock requirements/tracing.lock requirements/kafka.lock requirements/
# These locks leave out the extra `local`: here PostgreSQL and Redis are containers of their own.
RUN python -m venv /opt/ledger \
 && /opt/ledger/bin/pip install --quiet --no-cache-dir --require-hashes --only-binary :all: -r "requirements/$LOCK.lock"
# What lists the packages is in an environment of its own: the image holds the list, not the tool.
COPY requirements/audit.lock requirements/audit.lock
RUN python -m venv /opt/audit \
 && /opt/audit/bin/pip install --quiet --no-cache-dir --require-hashes --only-binary :all: -r requirements/audit.lock
COPY pyproject.toml LICENSE ./
COPY requirements/runtime.in requirements/servers.in requirements/tracing.in requirements/kafka.in requirements/
COPY domain domain
COPY projections projections
COPY workers workers
COPY api api
COPY docs docs
RUN /opt/ledger/bin/pip install --quiet --no-deps --no-build-isolation --no-index . \
 && /opt/ledger/bin/pip uninstall --quiet --yes pip setuptools \
 && /opt/audit/bin/cyclonedx-py environment /opt/ledger --pyproject pyproject.toml --mc-type application \
    --output-reproducible --output-file /opt/ledger/sbom.cdx.json \
 && find /opt/ledger -name '*.pyc' -delete \
 # Compiled once here, not at each start of each container: its files are read-only. Nothing of ours paints source code.
 && /opt/ledger/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x '/(pygments|prompt_toolkit|wcwidth|pydantic/v1|tests)/' /opt/ledger/lib

FROM $BASE AS ledger
RUN groupadd --gid 10001 ledger && useradd --uid 10001 --gid ledger --no-create-home --home-dir /nonexistent ledger \
 && install -d -o ledger -g ledger -m 0700 /secrets /checkpoints /mailbox
COPY --from=build /opt/ledger /opt/ledger
ENV PATH=/opt/ledger/bin:$PATH \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8 \
    LEDGER_SECRETS_FILE=/secrets/secrets.env LEDGER_DATA_DIR=/tmp/ledger
USER ledger
WORKDIR /tmp
VOLUME /secrets
ENTRYPOINT ["ledger"]
CMD ["run", "backend"]

# `ledger backup` and `ledger restore` run the client programs of PostgreSQL.
FROM ledger AS backup
USER root
RUN apt-get update --quiet --quiet \
 && apt-get install --yes --quiet --quiet --no-install-recommends postgresql-client-17 >/dev/null \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o ledger -g ledger -m 0700 /backup
USER ledger

FROM ledger
