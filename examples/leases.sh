#!/bin/sh
# Two groups of a merge queue ask for the same staging environment. The higher one contains the other: it works, and the
# other is told that it is done. Needs a server that knows the provider: signalbox serve --any-repository --stabilisation-window 2s
set -eu
provider=example/shop@main
npx signalbox lease run $provider --head-sha aaaa111 --priority 1 -- echo "the lower one works" &
npx signalbox lease run $provider --head-sha bbbb222 --priority 2 -- sh -c 'echo "the higher one works, fence $SIGNALBOX_FENCE"; sleep 1'
wait
npx signalbox lease show $provider
