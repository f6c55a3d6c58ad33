#!/usr/bin/env bash
# Tests the independent client, tries REST by its own description, then lets the client follow every book of the real program, a
# slow reader among them.
# BIST_BIN: the program; REST_EXAMPLES: requests of each path and kind (25); SOAK_SECONDS: how long (40); SOAK_RATE: messages a second of the simulated exchange
# (5000: what a pause of the slow reader holds back is then some 7 MB, more than the 4 MB that a kernel takes by itself).
set -euo pipefail
cd "$(dirname "$0")"
root="$(cd ../.. && pwd)"
target="${CARGO_TARGET_DIR:-$root/target}"

bist="${BIST_BIN:-}"
for profile in release debug; do
  [ -n "$bist" ] || { [ -x "$target/$profile/bist" ] && bist="$target/$profile/bist"; } || true
done
[ -x "$bist" ] || { echo "no program in $target: build it (cargo build --release) or set BIST_BIN"; exit 1; }

venv="$target/clients-venv"
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
"$venv/bin/python" -m pytest -q

read -r api market users admin <<<"$("$venv/bin/python" - <<'PY'
import socket
sockets = [socket.socket() for _ in range(4)]
for one in sockets:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))
PY
)"
log="$(mktemp)"
data="$(mktemp -d)"
cd "$root"
BIST__API__LISTEN="127.0.0.1:$api" BIST__MARKET_DATA__LISTEN="127.0.0.1:$market" BIST__ADMIN__LISTEN="127.0.0.1:$admin" \
  BIST__USERS__LISTEN="127.0.0.1:$users" \
  BIST__STORAGE__PATH="$data" \
  "$bist" serve --source sim --rate "${SOAK_RATE:-5000}" --seed 7 >"$log" 2>&1 &
program=$!
trap 'kill "$program" 2>/dev/null || true; wait "$program" 2>/dev/null || true; rm -rf "$log" "$data"' EXIT

ready() { "$venv/bin/python" -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$market/readyz', timeout=1)" 2>/dev/null; }
for _ in $(seq 150); do
  ready && break
  kill -0 "$program" 2>/dev/null || { echo "the program ended while starting:"; cat "$log"; exit 1; }
  sleep 0.2
done
ready || { echo "the program is not ready after 30 s:"; tail -40 "$log"; exit 1; }

"$venv/bin/python" tests/clients/check_openapi.py "http://127.0.0.1:$api" "http://127.0.0.1:$market"
# The same requests each time. Below the 200 a second that the program takes from one client; a WebSocket is no request.
# Whether a password is weak, a link was used or a number has its check digits no schema can say: such refusals are no findings.
"$venv/bin/schemathesis" run "http://127.0.0.1:$api/openapi.json" --checks all --exclude-checks positive_data_acceptance --max-examples "${REST_EXAMPLES:-25}" --seed 7 \
  --rate-limit 150/s --exclude-path-regex '^/ws/' || { tail -40 "$log"; exit 1; }

"$venv/bin/python" tests/clients/soak.py --url "ws://127.0.0.1:$market/ws/v2" --seconds "${SOAK_SECONDS:-40}" --mbo --slow-reader \
  --pause-every 5 --pause 8 --require-gap || { tail -40 "$log"; exit 1; }
