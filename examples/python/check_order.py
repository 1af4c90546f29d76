"""Checks a transaction with Touchstone, and tells it what became of it. Needs Python 3.9 and nothing else.

    TOUCHSTONE_KEY_ID=key_… TOUCHSTONE_SECRET=… python3 check_order.py [check.json]
"""

import base64
import json
import os
import pathlib
import sys
import time
import urllib.error
import urllib.request

URL = os.environ.get("TOUCHSTONE_URL", "http://127.0.0.1:8080").rstrip("/")
CREDENTIALS = f"{os.environ['TOUCHSTONE_KEY_ID']}:{os.environ['TOUCHSTONE_SECRET']}"

TIMEOUT_S = 5
ATTEMPTS = 3


def send(method, path, document):
    """Sends one request, again where nothing was promised; returns the `data` of the answer, or None."""
    headers = {
        "Authorization": "Basic " + base64.b64encode(CREDENTIALS.encode()).decode(),
        "Content-Type": "application/json",
    }
    for _ in range(ATTEMPTS):
        request = urllib.request.Request(URL + path, json.dumps(document).encode(), headers, method=method)
        wait_s = 1.0
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as answer:
            if answer.code not in (429, 503):
                raise SystemExit(f"{answer.code}: {answer.read().decode()}")
            wait_s = float(answer.headers.get("Retry-After", 1))
        except OSError as problem:  # refused, reset or timed out: the same check can be sent again
            print(f"no answer: {problem}", file=sys.stderr)
        time.sleep(min(wait_s, TIMEOUT_S))
    return None


if __name__ == "__main__":
    default = pathlib.Path(__file__).parent.parent / "check.json"
    check = json.loads(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else default).read_text("utf-8"))
    risk = send("POST", "/v2/risk/order/ecommerce", check)
    if risk is None:
        sys.exit("no result in time: your own rule for outages applies")
    print(f"risk_group: {risk['risk_group']}")
    print(f"risk_score: {risk['risk_score']}")
    for tag in risk["tags"]:
        print(f"  {tag['weight']:+} {tag['id']}: {tag['name']}")
    if risk["risk_group"] == "low":
        send("PATCH", "/v2/risk/order", {"order_id": risk["id"], "status": "approved"})
