"""Places an order with Touchstone's orders API and waits for its status. Needs Python 3.9 and nothing else.

    TOUCHSTONE_API_KEY=fcc_live_… python3 place_order.py [order.json]
"""

import json
import os
import pathlib
import sys
import time
import urllib.error
import urllib.request

URL = os.environ.get("TOUCHSTONE_URL", "http://127.0.0.1:8080").rstrip("/")
API_KEY = os.environ["TOUCHSTONE_API_KEY"]

TIMEOUT_S = 5
ATTEMPTS = 3
WAIT_S = 30


def send(method, path, document=None):
    """Sends one request; returns the status, the headers and the document."""
    headers = {"x-api-key": API_KEY}
    body = None
    if document is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(document).encode()
    request = urllib.request.Request(URL + path, data=body, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return answer.status, answer.headers, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, json.loads(answer.read() or b"null")


def place(order):
    """Where the order is found. Sent again, it is found where it was the first time; another order's number is an error."""
    for attempt in range(ATTEMPTS):
        try:
            status, headers, document = send("POST", "/v1/orders", order)
        except OSError as problem:  # refused, reset or timed out: the same order can be sent again
            print(f"no answer: {problem}", file=sys.stderr)
            status, headers, document = 503, {}, None
        if status == 202 or status == 409 and document["sameOrder"]:
            return headers["Location"]
        if status not in (429, 503):
            raise SystemExit(f"{status}: {json.dumps(document, indent=2)}")
        if attempt + 1 < ATTEMPTS:
            time.sleep(min(float(headers.get("Retry-After", 1)), TIMEOUT_S))
    raise SystemExit("the order was not taken")


def wait(location):
    """The order once it has a status; a webhook tells it sooner."""
    until = time.monotonic() + WAIT_S
    while True:
        status, _, order = send("GET", location)
        if status == 200 and order["status"] != "pending" or time.monotonic() > until:
            return order
        time.sleep(0.5)


if __name__ == "__main__":
    default = pathlib.Path(__file__).parent.parent / "orders-api-order.json"
    order = json.loads(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else default).read_text("utf-8"))
    location = place(order)
    print(f"location: {location}")
    print(f"status: {wait(location)['status']}")
