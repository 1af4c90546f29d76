"""Receives Touchstone's webhooks (Standard Webhooks). Needs Python 3.9 and nothing else.

    TOUCHSTONE_WEBHOOK_SECRET=whsec_… PORT=9000 python3 receive_webhook.py
"""

import base64
import hashlib
import hmac
import json
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = base64.b64decode(os.environ["TOUCHSTONE_WEBHOOK_SECRET"].removeprefix("whsec_"))
TOLERANCE_S = 300
LARGEST_BODY = 1 << 20

seen = set()  # your database, with a unique key on the id


def is_genuine(headers, body):
    """Whether Touchstone signed exactly these bytes, just now."""
    identifier, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE_S:
        return False
    signed = f"{identifier}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest())
    # During a rotation there are several signatures, and one that fits is enough.
    signatures = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(expected, signature.encode()) for signature in signatures)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length) if length <= LARGEST_BODY else b""
        if not is_genuine(self.headers, body):
            return self.answer(401)
        if self.headers["webhook-id"] not in seen:  # a retry has the same id
            event = json.loads(body)
            data = event["data"]
            print("verified", event["type"], data.get("order_id"), data.get("recommended_action"), flush=True)
            seen.add(self.headers["webhook-id"])
        self.answer(204)

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
