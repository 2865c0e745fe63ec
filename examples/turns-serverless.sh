#!/bin/sh
# Two jobs take turns through a DynamoDB table; no server runs. Needs AWS credentials, AWS_REGION and the table
# (deploy/terraform/turns-aws), or DYNAMODB_ENDPOINT_URL for an emulator.
set -eu
export SIGNALBOX_BACKEND=aws SIGNALBOX_GUARD=off
npx signalbox turn run example -- sh -c 'echo "first, fence $SIGNALBOX_FENCE"; sleep 1' &
npx signalbox turn run example -- sh -c 'echo "second, fence $SIGNALBOX_FENCE"'
wait
npx signalbox turn history example
