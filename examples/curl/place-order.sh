#!/bin/sh
# Places an order with Touchstone's orders API and prints where it stands. Needs curl.
#
#   TOUCHSTONE_API_KEY=fcc_live_… ./place-order.sh [order.json]
set -eu

url=${TOUCHSTONE_URL:-http://127.0.0.1:8080}
order=${1:-$(dirname "$0")/../orders-api-order.json}

# The key comes by standard input: arguments can be seen by other users of this machine.
send() {
  printf 'header = "x-api-key: %s"\n' "$TOUCHSTONE_API_KEY" |
    curl --silent --show-error --fail-with-body --max-time 5 --config - "$@"
}

# 202 says where the order is, and so does 409 when it was sent before; the number of another order is an error.
answer=$(send --include --header 'Content-Type: application/json' --data-binary "@$order" "$url/v1/orders") || true
location=$(printf '%s\n' "$answer" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
if [ -z "$location" ] || printf '%s\n' "$answer" | grep -q '"sameOrder":false'; then
  printf '%s\n' "$answer" >&2
  exit 1
fi
echo "location: $location"
send --write-out '\n' "$url$location"
