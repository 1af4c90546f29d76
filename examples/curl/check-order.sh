#!/bin/sh
# Checks a transaction with Touchstone and prints the whole answer. Needs curl.
#
#   TOUCHSTONE_KEY_ID=key_… TOUCHSTONE_SECRET=… ./check-order.sh [check.json]
set -eu

url=${TOUCHSTONE_URL:-http://127.0.0.1:8080}
check=${1:-$(dirname "$0")/../check.json}

# The credentials go by standard input, where other users of this machine cannot see them.
curl --silent --show-error --fail-with-body --max-time 5 --data-binary "@$check" --config - <<EOF
url = "$url/v2/risk/order/ecommerce"
user = "$TOUCHSTONE_KEY_ID:$TOUCHSTONE_SECRET"
header = "Content-Type: application/json"
write-out = "\n"
EOF
