#!/bin/sh
# Sending and working on messages with nothing but curl: any language can do this.
# Usage: sh examples/messages-http.sh         (npx signalbox sidecar --http-port 50080, or a server in SIGNALBOX_URL)
set -eu
queue="${SIGNALBOX_URL:-http://127.0.0.1:50080}/api/v1/messages/example-http"

call() { curl -sS --fail-with-body -X "$1" -H 'Content-Type: application/json' -d "$3" "$queue$2"; }
field() { printf '%s' "$answer" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

call PUT '' '{"visibilityMs":60000}' >/dev/null # on SQS it must exist
call POST /send '{"messages":[{"body":"one"},{"body":"two"}]}' >/dev/null

# One at a time, until there is none. If this script dies before the delete, the message is visible again after a minute.
while answer=$(call POST /receive '{"max":1,"waitMs":1000}') && [ -n "$(field receipt)" ]; do
  echo "working on $(field body)"
  call POST /delete "{\"receipts\":[\"$(field receipt)\"]}" >/dev/null
done
