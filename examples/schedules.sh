#!/bin/sh
# A schedule from its making to its end: a time that is near, a run by hand, the times of the last hours made up for.
# Needs a server and a worker that knows the job: signalbox serve --jobs examples/jobs
set -eu
name="example-$$"
ended() { npx signalbox runs list --schedule "$name" --state succeeded --json | grep -o '"id":' | grep -c . || true; }
wait_for() { until [ "$(ended)" -ge "$1" ]; do sleep 1; done; }

# Once, in half a minute.
soon=$(node -p 'new Date(Date.now() + 30000).toISOString().slice(0, 19)')
npx signalbox schedule create "$name" --job update-orders --at "$soon" --param increment=5
wait_for 1

# Every hour from now on, and the last three hours one after the other.
npx signalbox schedule update "$name" --cron '0 * * * ? *' --time-zone Asia/Tokyo
npx signalbox schedule run "$name" --param increment=-5
npx signalbox schedule backfill "$name" --from 3h
wait_for 5

npx signalbox runs list --schedule "$name"
npx signalbox schedule delete "$name"
