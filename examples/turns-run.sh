#!/bin/sh
# Three deploys of one environment at once: they go one after the other, in the order in which they joined.
# Usage: sh examples/turns-run.sh             (a server must run: npm start)
set -eu
for name in blue green red; do
  npx signalbox turn run staging --label "name=$name" --quiet -- \
    sh -c "echo \"$name begins, fence \$SIGNALBOX_FENCE\"; sleep 0.2; echo \"$name ends\"" &
done
wait
