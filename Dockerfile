FROM debian:trixie-slim AS base
# libreadline8 serves psql, rclone the stores that it reaches; what pg_dump and pg_restore load comes with libpq5.
RUN apt-get -qq update && \
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends \
      ca-certificates libpq5 libreadline8 python3 rclone tini > /dev/null && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/*


FROM base AS build
RUN apt-get -qq update && \
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends \
      postgresql-client-17 python3-venv > /dev/null
RUN python3 -m venv /pip

# Behind a proxy that opens TLS, the secret `ca` is the bundle to trust; elsewhere there is none.
COPY .ci/image.lock.txt /
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/pip \
    /pip/bin/pip install --quiet --disable-pip-version-check --no-compile --require-hashes --no-deps \
      --only-binary :all: --target /packages --requirement /image.lock.txt

# Nothing can be compiled later: the root file system may be read-only, the user anyone.
COPY sidecar /packages/sidecar
RUN rm -rf /packages/bin && \
    python3 -m compileall -q -s /packages -p /usr/local/lib/python3.13/dist-packages \
      --invalidation-mode unchecked-hash /packages


FROM base
COPY --from=build /usr/lib/postgresql/17/bin/pg_dump /usr/lib/postgresql/17/bin/pg_restore \
     /usr/lib/postgresql/17/bin/psql /usr/local/bin/
COPY --from=build /packages /usr/local/lib/python3.13/dist-packages
COPY scripts/migsafe /usr/local/bin/
RUN install -d -m 1777 /backups /migsafe
ENV LANG=C.UTF-8 PSYCOPG_IMPL=binary

ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="migsafe" \
      org.opencontainers.image.description="Guards an app's database migrations: backs up, migrates, puts back." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

ENTRYPOINT ["migsafe"]
CMD ["guard"]
