#!/bin/sh
# Screens an order with Touchstone and prints the whole answer. Needs curl and openssl.
#
#   TOUCHSTONE_API_KEY=fcc_live_… TOUCHSTONE_HMAC_SECRET=… ./score-order.sh [order.json]
#
# openssl takes the secret as an argument, which other users of this machine can see: for trying out only.
set -eu

url=${TOUCHSTONE_URL:-http://127.0.0.1:8080}
order=${1:-$(dirname "$0")/../order.json}
timestamp=$(date +%s)
nonce=$(openssl rand -hex 16)

# The signature covers the very bytes that are sent: timestamp, nonce and body, joined by dots.
signature=$({ printf '%s.%s.' "$timestamp" "$nonce"; cat "$order"; } |
  openssl dgst -sha256 -hmac "$TOUCHSTONE_HMAC_SECRET" -r | cut -d ' ' -f 1)

curl --silent --show-error --fail-with-body --max-time 5 --data-binary "@$order" --config - <<EOF
url = "$url/v1/analyze"
header = "Content-Type: application/json"
header = "Authorization: Bearer $TOUCHSTONE_API_KEY"
header = "X-Fraudshield-Key: $TOUCHSTONE_API_KEY"
header = "X-Fraudshield-Timestamp: $timestamp"
header = "X-Fraudshield-Nonce: $nonce"
header = "X-Fraudshield-Signature: $signature"
write-out = "\n"
EOF
