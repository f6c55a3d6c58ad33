#!/usr/bin/env bash
# A private PostgreSQL and a private Redis for tests: spare ports, everything in one folder, nothing of the machine's own
# servers is touched. Never meant for data that matters.
#
#   eval "$(tests/servers.sh start)"          starts both, sets BIST_TEST_POSTGRES_URL, BIST_TEST_REDIS_URL, BIST_TEST_SERVERS
#   tests/servers.sh stop "$BIST_TEST_SERVERS"
#   tests/servers.sh freeze|thaw|kill|revive FOLDER postgres|redis      faults: SIGSTOP, SIGCONT, SIGKILL, start again
set -euo pipefail

say() { echo "servers.sh: $*" >&2; }

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

# PostgreSQL refuses to run as root.
as_server() { if [ "$(id -u)" -eq 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }

# The folder of the newest server's programs. Debian keeps them off the PATH, and a folder of the same name exists where only
# the client is installed: initdb alone shows a server.
postgres_programs() {
  local initdb
  initdb=$(find /usr/lib/postgresql/*/bin/initdb -maxdepth 0 2>/dev/null | sort -V | tail -n 1) || true
  [ -n "$initdb" ] || initdb=$(command -v initdb) || return 0
  dirname "$(readlink -f "$initdb")"
}

install_missing() {
  local need=()
  [ -n "$(postgres_programs)" ] || need+=(postgresql)
  command -v redis-server >/dev/null || need+=(redis-server)
  [ "${#need[@]}" -eq 0 ] && return
  command -v apt-get >/dev/null || { say "install ${need[*]}: there is no apt-get here to do it"; exit 1; }
  say "installing ${need[*]}"
  as_root apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends "${need[@]}" >&2
  [ -n "$(postgres_programs)" ] || { say "there is no initdb in /usr/lib/postgresql/*/bin nor on the PATH"; exit 1; }
}

spare_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000)) # below the range of outgoing connections
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

start_postgres() {
  local folder=$1 programs; programs=$(postgres_programs)
  as_server "$programs/pg_ctl" -D "$folder/postgres" -l "$folder/postgres/log" -w -t 30 start >/dev/null
}

start_redis() {
  redis-server --port "$(cat "$1/redis.port")" --bind 127.0.0.1 --save "" --appendonly no --daemonize yes \
    --dir "$1" --pidfile "$1/redis.pid" --logfile "$1/redis.log" >/dev/null
  for _ in $(seq 100); do
    redis-cli -p "$(cat "$1/redis.port")" ping >/dev/null 2>&1 && return
    sleep 0.05
  done
  say "Redis did not start: see $1/redis.log"; exit 1
}

start() {
  install_missing
  local folder=${1:-$(mktemp -d)} programs port; programs=$(postgres_programs)
  mkdir -p "$folder/postgres"; chmod 711 "$folder"
  folder=$(cd "$folder" && pwd)
  [ "$(id -u)" -eq 0 ] && chown postgres "$folder/postgres"
  port=$(spare_port)
  echo "$port" >"$folder/postgres.port"
  spare_port >"$folder/redis.port"
  echo tests-only >"$folder/password"; chmod 644 "$folder/password"
  as_server "$programs/initdb" -D "$folder/postgres" -U bist -A scram-sha-256 --pwfile="$folder/password" \
    --no-sync -E UTF8 --locale=C >/dev/null
  printf "port = %s\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\nmax_connections = 200\n" "$port" |
    as_server tee -a "$folder/postgres/postgresql.conf" >/dev/null
  start_postgres "$folder"
  start_redis "$folder"
  echo "export BIST_TEST_POSTGRES_URL=postgres://bist:tests-only@127.0.0.1:$port/postgres"
  echo "export BIST_TEST_REDIS_URL=redis://127.0.0.1:$(cat "$folder/redis.port")/"
  echo "export BIST_TEST_SERVERS=$folder"
}

# The first process and its children: a stopped postmaster alone leaves its sessions running.
processes() {
  local first
  case $2 in
    postgres) first=$(head -n 1 "$1/postgres/postmaster.pid") ;;
    redis) first=$(cat "$1/redis.pid") ;;
    *) say "postgres or redis, not '$2'"; exit 2 ;;
  esac
  echo "$first"; cat "/proc/$first/task/$first/children"
}

signal() { # shellcheck disable=SC2046
  kill "-$1" $(processes "$2" "$3") 2>/dev/null || true
}

revive() {
  case $2 in
    # Killed sessions hold the shared memory for a moment after their first process is gone.
    postgres) for _ in $(seq 20); do start_postgres "$1" 2>/dev/null && return; sleep 0.25; done; start_postgres "$1" ;;
    redis) start_redis "$1" ;;
  esac
}

stop() {
  local server
  for server in postgres redis; do
    signal CONT "$1" "$server" 2>/dev/null || true
    signal KILL "$1" "$server" 2>/dev/null || true
  done
  rm -rf "$1"
}

case ${1:-} in
  start) start "${2:-}" ;;
  stop) stop "$2" ;;
  freeze) signal STOP "$2" "$3" ;;
  thaw) signal CONT "$2" "$3" ;;
  kill) signal KILL "$2" "$3" ;;
  revive) revive "$2" "$3" ;;
  *) say "start [FOLDER] | stop FOLDER | freeze|thaw|kill|revive FOLDER postgres|redis"; exit 2 ;;
esac
