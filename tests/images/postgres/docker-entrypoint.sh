#!/usr/bin/env bash
# Starts PostgreSQL as the official image does; a new cluster is first filled by a private server.
set -euo pipefail

main() {
  case "${1-}" in -*) set -- postgres "$@" ;; esac
  if [ "${1-}" != postgres ] || only_asks "$@"; then exec "$@"; fi
  if [ "$(id -u)" = 0 ]; then own_folders; become_postgres "$@"; fi
  read_secrets
  if [ -s "$PGDATA/PG_VERSION" ]; then
    echo "PostgreSQL database directory holds a cluster already; nothing to initialise."
  else
    initialise "$@"
  fi
  exec "$@"
}

only_asks() {
  for word in "$@"; do
    case "$word" in -\? | --help | --describe-config | -V | --version) return 0 ;; esac
  done
  return 1
}

own_folders() {
  mkdir -p "$PGDATA" /var/run/postgresql
  chmod 0700 "$PGDATA"
  chmod 3775 /var/run/postgresql
  for folder in "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"}; do
    mkdir -p "$folder"
    find "$folder" \! -user postgres -exec chown postgres '{}' +
  done
}

become_postgres() {
  export HOME=/var/lib/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
}

read_secrets() {
  from_file POSTGRES_PASSWORD ""
  from_file POSTGRES_USER postgres
  from_file POSTGRES_DB "$POSTGRES_USER"
  from_file POSTGRES_INITDB_ARGS ""
  : "${POSTGRES_HOST_AUTH_METHOD:=}"
}

# NAME, or the content of the file that NAME_FILE names, or a default.
from_file() {
  local file=$1_FILE
  if [ -n "${!1-}" ] && [ -n "${!file-}" ]; then die "both $1 and $file are set, but they exclude each other."; fi
  if [ -n "${!file-}" ]; then export "$1=$(<"${!file}")"; else export "$1=${!1:-$2}"; fi
  unset "$file"
}

initialise() {
  require_password
  mkdir -p "$PGDATA"
  chmod 0700 "$PGDATA" 2>/dev/null || true
  create_cluster
  open_to_network "$@"
  export PGPASSWORD=$POSTGRES_PASSWORD
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -w start -o "$(quoted "${@:2}" -c listen_addresses= -p 5432)"
  create_database
  run_scripts
  PGUSER=$POSTGRES_USER pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
  # People and test tools wait for this very line.
  printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

require_password() {
  if [ "$POSTGRES_HOST_AUTH_METHOD" = trust ]; then
    echo "warning: POSTGRES_HOST_AUTH_METHOD=trust lets everyone in who reaches port 5432." >&2
  elif [ -z "$POSTGRES_PASSWORD" ]; then
    die "the superuser password is not set. Set POSTGRES_PASSWORD to a non-empty value."
  fi
}

create_cluster() {
  if ! getent passwd "$(id -u)" >/dev/null; then lend_a_name; fi
  eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=<(printf '%s\n' \"\$POSTGRES_PASSWORD\") \
    ${POSTGRES_INITDB_WALDIR:+--waldir \"\$POSTGRES_INITDB_WALDIR\"} $POSTGRES_INITDB_ARGS"
  unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
}

# initdb refuses a user id without a name (`user: "1234"`).
lend_a_name() {
  NSS_WRAPPER_PASSWD=$(mktemp)
  NSS_WRAPPER_GROUP=$(mktemp)
  LD_PRELOAD=$(find /usr/lib -name libnss_wrapper.so -print -quit)
  export NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP LD_PRELOAD
  echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" >"$NSS_WRAPPER_PASSWD"
  echo "postgres:x:$(id -g):" >"$NSS_WRAPPER_GROUP"
}

open_to_network() {
  local method=$POSTGRES_HOST_AUTH_METHOD
  : "${method:=$(postgres -C password_encryption "${@:2}")}"
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"
}

create_database() {
  local there
  there=$(docker_process_sql --dbname postgres --set db="$POSTGRES_DB" --tuples-only \
    <<<"SELECT 1 FROM pg_database WHERE datname = :'db'")
  if [ -n "$there" ]; then return; fi
  docker_process_sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db"'
}

# Scripts of users call this function by its name in the official image.
docker_process_sql() {
  PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password \
    --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"
}

run_scripts() {
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    [ -e "$file" ] || continue
    echo "$0: $file"
    # shellcheck disable=SC1090 # the scripts are the user's own
    case "$file" in
      *.sh) if [ -x "$file" ]; then "$file"; else . "$file"; fi ;;
      *.sql) docker_process_sql -f "$file" ;;
      *.sql.gz) gunzip -c "$file" | docker_process_sql ;;
      *.sql.xz) xzcat "$file" | docker_process_sql ;;
      *.sql.zst) zstd -dc "$file" | docker_process_sql ;;
      *) echo "$0: ignored" ;;
    esac
  done
}

quoted() { printf '%q ' "$@"; }

die() { echo "error: $*" >&2; exit 1; }

main "$@"
