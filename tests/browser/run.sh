#!/usr/bin/env bash
# Installs what the tests need, runs the unit tests of the page's modules, the faults, the account, what is shown as live, every state at every
# width, and the walk through the real program's page. Ends with "N passed, N failed"; fails when anything did.
set -uo pipefail
cd "$(dirname "$0")"

export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1
npm ci --no-audit --no-fund --loglevel=error || exit 1

result="$(mktemp)"
trap 'rm -f "$result"' EXIT
# One file after the other: browsers that compete for two cores measure each other.
node --test --test-concurrency=1 \
  --test-reporter=spec --test-reporter-destination=stdout \
  --test-reporter=tap --test-reporter-destination="$result" \
  unit/*.test.mjs faults.test.mjs account.test.mjs truth.test.mjs layout.test.mjs page.test.mjs
status=$?

count() { sed -n "s/^# $1 \([0-9]*\)$/\1/p" "$result" | tail -1; }
passed="$(count pass)"
failed=$(( $(count fail) + $(count cancelled) ))
echo "${passed:-0} passed, ${failed} failed"
[ "$status" -eq 0 ] && [ "$failed" -eq 0 ] && [ "${passed:-0}" -gt 0 ]
