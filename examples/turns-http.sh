#!/bin/sh
# Taking turns with nothing but curl: any language can do this.
# Usage: sh examples/turns-http.sh            (a server must run: npm start)
set -eu
url="${SIGNALBOX_URL:-http://127.0.0.1:8080}/api/v1/turns/nightly-report/members"
id="shell-$$-$(date +%s)"

post() { curl -sS --fail-with-body -H 'Content-Type: application/json' -d "$2" "$1"; }
field() { printf '%s' "$answer" | sed -n "s/.*\"$1\":\"\{0,1\}\([a-z0-9]*\).*/\1/p"; }

# A TTL of ten minutes: this script does not beat, so its work must be done well within it.
answer=$(post "$url" "{\"id\":\"$id\",\"ttlMs\":600000,\"waitMs\":20000}")
trap 'curl -sS -X DELETE "$url/$id" >/dev/null' EXIT
while [ "$(field state)" = waiting ]; do
  echo "waiting, position $(field position)"
  answer=$(post "$url/$id/wait" '{"waitMs":20000}')
done
echo "my turn, fence $(field fence)"
