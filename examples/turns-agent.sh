#!/bin/sh
# A turn across several steps: start, wait, work, stop. In a CI job each part is a step of its own.
# Usage: sh examples/turns-agent.sh            (a server must run: npm start)
set -eu
signalbox="${SIGNALBOX:-npx signalbox}"

$signalbox turn agent start nightly-report --ttl 45s --max-hold 30m --name "example-$$"
# Whatever becomes of the work, the place is given back; in a workflow: a last step with `if: always()`.
trap '$signalbox turn agent stop --id "example-$$"' EXIT

$signalbox turn agent wait --id "example-$$" --timeout 20m
echo "first step of the work"
echo "second step of the work"
