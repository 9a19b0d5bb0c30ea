#!/usr/bin/env bash
# run_steps.sh TARGET...: runs make targets one after the other, all of them whatever fails, and ends with one line per
# target and one that sums up. Fails when any failed. `make test` and `make check` are lists of such steps.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

results=() failed=()
started=$SECONDS
for target in "$@"; do
  printf '\n===== make %s =====\n' "$target"
  step=$SECONDS
  if make --no-print-directory "$target"; then outcome=passed; else outcome=FAILED; failed+=("$target"); fi
  results+=("$(printf '%-12s %-6s %5d s' "$target" "$outcome" $((SECONDS - step)))")
done

printf '\n===== summary =====\n'
printf '%s\n' "${results[@]}"
minutes=$(((SECONDS - started) / 60)) seconds=$(((SECONDS - started) % 60))
if ((${#failed[@]})); then
  printf 'FAILED: %s (of %d steps, %d min %02d s). Run one again: make %s\n' "${failed[*]}" $# $minutes $seconds "${failed[0]}"
  exit 1
fi
printf 'PASSED: all %d steps in %d min %02d s\n' $# $minutes $seconds
