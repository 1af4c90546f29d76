"""Screens an order with Touchstone. Needs Python 3.9 and nothing else.

    TOUCHSTONE_API_KEY=fcc_live_… TOUCHSTONE_HMAC_SECRET=… python3 score_order.py [order.json]
"""

import hashlib
import hmac
import json
import os
import pathlib
import sys
import time
import urllib.error
import urllib.request
import uuid

URL = os.environ.get("TOUCHSTONE_URL", "http://127.0.0.1:8080").rstrip("/")
API_KEY = os.environ["TOUCHSTONE_API_KEY"]
HMAC_SECRET = os.environ["TOUCHSTONE_HMAC_SECRET"]

TIMEOUT_S = 5
ATTEMPTS = 3


def send(method, path, body=""):
    """Signs and sends one request; returns the status, the headers and the document."""
    timestamp, nonce = str(int(time.time())), str(uuid.uuid4())
    # POST /v1/analyze signs the body alone, every other route its method and path too.
    target = "" if (method, path) == ("POST", "/v1/analyze") else f"{method} {path}."
    signature = hmac.new(
        HMAC_SECRET.encode(), f"{timestamp}.{nonce}.{target}{body}".encode(), hashlib.sha256
    ).hexdigest()
    headers = {
        "Authorization": f"Bearer {API_KEY}",
        "X-Fraudshield-Key": API_KEY,
        "X-Fraudshield-Timestamp": timestamp,
        "X-Fraudshield-Nonce": nonce,
        "X-Fraudshield-Signature": signature,
    }
    if body:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(URL + path, data=body.encode() or None, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, json.loads(answer.read() or b"{}")


def score_order(order):
    """The verdict of an order, or None when there is none yet: then your own rule for outages applies."""
    body = json.dumps(order, separators=(",", ":"))
    for attempt in range(ATTEMPTS):
        try:
            status, headers, document = send("POST", "/v1/analyze", body)
        except OSError as problem:  # refused, reset or timed out: the same order can be sent again
            print(f"no answer: {problem}", file=sys.stderr)
            status, headers, document = 503, {}, {}
        if status == 200:
            return document
        if status == 202:
            print(f"accepted; the verdict will be at {headers['Location']} and in the webhook", file=sys.stderr)
            return None
        if status not in (429, 503):
            raise SystemExit(f"{status}: {json.dumps(document, indent=2)}")
        if attempt + 1 < ATTEMPTS:
            time.sleep(min(float(headers.get("Retry-After", 1)), TIMEOUT_S))
    return None


if __name__ == "__main__":
    default = pathlib.Path(__file__).parent.parent / "order.json"
    order = json.loads(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else default).read_text("utf-8"))
    verdict = score_order(order)
    if verdict is None:
        sys.exit("no verdict in time")
    print(f"recommended_action: {verdict['recommended_action']}")
    print(f"risk_score: {verdict['risk_score']} ({verdict['risk_level']})")
    for reason in verdict["reasons"]:
        print(f"  {reason['points']:+} {reason['code']}: {reason['detail']}")
