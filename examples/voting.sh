#!/bin/sh
# Asks a question, casts a vote three times as a client that gets no answers would, and sees it counted once.
# Needs a voting service: signalbox voting --dev
set -eu
url=${VOTING_URL:-http://127.0.0.1:8081}
post() { curl -sf "$url/$1" -H 'content-type: application/json' -d "$2"; }
field() { node -p "JSON.parse(require('fs').readFileSync(0))$1"; }

topic=$(post topics '{"title": "Lunch?", "choices": [{"description": "Pizza"}, {"description": "Soup"}]}')
id=$(echo "$topic" | field .id)
pizza=$(echo "$topic" | field '.choices[0].id')
vote="example-$$-$(date +%s)"
for _ in 1 2 3; do post votes "{\"topic_id\": \"$id\", \"choice_id\": \"$pizza\", \"id\": \"$vote\"}"; echo; done

until curl -sf "$url/votes/$vote"; do sleep 0.2; done
echo
echo "votes for pizza: $(curl -sf "$url/topics/$id?include_votes=true" | field '.choices[0].votes')"
