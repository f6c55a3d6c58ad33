#!/usr/bin/env bash
# Fuzzes every target for SECONDS each (default 60), from its seeds in corpus/ and from what earlier runs here found.
#
#     tests/fuzz/run.sh [SECONDS] [TARGET...]
#
# One line per target; a failure names the file that reproduces it. First it checks that the canary is found: a run that
# cannot find a bug that is there has no right to be green. Needs cargo-fuzz and a C++ compiler; the stable toolchain does.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-60}
shift || true
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "usage: tests/fuzz/run.sh [SECONDS] [TARGET...]; SECONDS is a whole number above 0" >&2; exit 2; }
cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked" >&2; exit 2; }

# The build folder of the workspace, as benches/peers: what build scripts and macros need is built once for all.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
# One codegen unit, as cargo-fuzz would choose, takes two cores twice as long to build.
cargo fuzz build --fuzz-dir tests/fuzz --sanitizer none --codegen-units 8
host=$(rustc -vV | sed -n 's/^host: //p')
binaries=$CARGO_TARGET_DIR/$host/release
found=$CARGO_TARGET_DIR/fuzz  # inputs that runs found, by target; they stay here, and seeds are added by hand
artifacts=tests/fuzz/artifacts # where cargo-fuzz, too, puts what fails

fuzz() { # target seconds engine-options...
  local target=$1 limit=$2
  shift 2
  mkdir -p "$found/$target" "$artifacts/$target"
  local seeds=tests/fuzz/corpus/$target
  [ -d "$seeds" ] || seeds=
  "$binaries/$target" -max_total_time="$limit" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$artifacts/$target/" "$@" "$found/$target" $seeds >"$found/$target.log" 2>&1
}

report() { # target verdict
  local log=$found/$1.log
  local features runs
  features=$(grep -o 'ft: [0-9]*' "$log" | tail -n 1 | cut -d' ' -f2) || true
  runs=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
  # A run that fails says no rate.
  [ "${runs:-0}" -gt 0 ] 2>/dev/null || runs=-
  printf '%-18s %8s runs/s %7s features  %s\n' "$1" "$runs" "${features:--}" "$2"
}

artifact() { # of the last run of a target
  sed -n 's/.*Test unit written to //p' "$found/$1.log" | tail -n 1
}

# From nothing, so that it is really looked for; found within a second or two.
rm -rf "$found/canary"
if fuzz canary 60; then
  report canary "NOT FOUND"
  echo "the canary was not found in 60 s: the build has no coverage or no comparisons, and the other targets are blind" >&2
  exit 1
fi
grep -q "the canary was found" "$found/canary.log" || { tail -n 20 "$found/canary.log" >&2; exit 1; }
rm -f "$(artifact canary)"
report canary "found, as it must be"

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^name = "\(.*\)"$/\1/p' tests/fuzz/Cargo.toml | grep -v -e '^bist-fuzz$' -e '^canary$')
failed=()
for target in "${targets[@]}"; do
  [ -x "$binaries/$target" ] || { echo "there is no target $target in tests/fuzz/Cargo.toml" >&2; exit 2; }
  if fuzz "$target" "$seconds"; then
    report "$target" ok
  else
    report "$target" "FAILED: $(artifact "$target")"
    failed+=("$target")
  fi
done

for target in "${failed[@]}"; do
  input=$(artifact "$target")
  {
    printf '\n%s failed:\n' "$target"
    grep -m 1 -A 3 -e 'panicked at' -e '^==[0-9]*== *ERROR' "$found/$target.log" || tail -n 20 "$found/$target.log"
    echo "all of it: $found/$target.log"
    echo "again:     $binaries/$target $input"
    echo "smaller:   CARGO_TARGET_DIR=$CARGO_TARGET_DIR cargo fuzz tmin --fuzz-dir tests/fuzz -s none --codegen-units 8 $target $input"
    echo "then:      a test in the crate named for what went wrong, and the input among tests/fuzz/corpus/$target"
  } >&2
done
[ ${#failed[@]} -eq 0 ]
