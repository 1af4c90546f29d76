"""Receives Touchstone's webhooks (Standard Webhooks). Needs Python 3.9 and nothing else.

    TOUCHSTONE_WEBHOOK_SECRET=whsec_… PORT=9000 python3 receive_webhook.py
"""

import base64
import hashlib
import hmac
import json
import os
import re
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = base64.b64decode(os.environ["TOUCHSTONE_WEBHOOK_SECRET"].removeprefix("whsec_"))
TOLERANCE_S = 300
LARGEST_BODY = 1 << 20
TIMEOUT_S = 15

seen = set()  # your database, with a unique key on the id


def is_genuine(headers, body):
    """Whether Touchstone signed exactly these bytes, just now."""
    identifier, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not re.fullmatch("[0-9]{1,12}", timestamp) or abs(time.time() - int(timestamp)) > TOLERANCE_S:
        return False
    signed = f"{identifier}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest())
    # During a rotation there are several signatures, and one that fits is enough.
    signatures = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(expected, signature.encode()) for signature in signatures)


class Receiver(BaseHTTPRequestHandler):
    timeout = TIMEOUT_S  # of each wait for the sender

    def do_POST(self):
        try:
            status = self.receive()
        except OSError:  # the sender went away or was too slow
            self.close_connection = True
            return
        except Exception as problem:  # an error of the code below: Touchstone tries again
            print("not received:", type(problem).__name__, file=sys.stderr)
            status = 500
        self.answer(status)

    def receive(self):
        """Takes one webhook; gives the status to answer with."""
        length = self.headers.get("content-length", "")
        if not re.fullmatch("[0-9]{1,12}", length):
            return 411
        if int(length) > LARGEST_BODY:
            return 413
        body = self.rfile.read(int(length))
        if not is_genuine(self.headers, body):
            return 401
        if self.headers["webhook-id"] not in seen:  # a retry has the same id
            event = json.loads(body)
            data = event["data"]
            print("verified", event["type"], data.get("order_id"), data.get("recommended_action"), flush=True)
            seen.add(self.headers["webhook-id"])
        return 204

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver)
    print(f"listening on port {server.server_port}", flush=True)
    server.serve_forever()
