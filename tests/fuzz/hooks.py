"""What the API fuzzer knows of Touchstone: how requests are signed, which ids exist, and what a pass demands.

Everything goes by the OpenAPI document: an operation's `security` says how it is signed, its parameters what ids it
takes. So an operation that is added is fuzzed without a change here.

Environment, set by the test:
    FUZZ_PASS         rightful: the credentials are right; mangled: and the bytes of the bodies are not;
                      strangers: the credentials are missing or wrong, so every answer must be a refusal
    FUZZ_CREDENTIALS  JSON: api_key, hmac_secret, key_id, secret, connector_token
    FUZZ_SEED         of the choices made here
    FUZZ_TALLY        a file that is written at the end: how often each operation gave which status
"""

import atexit
import base64
import collections
import hashlib
import hmac
import json
import os
import random
import re
import time
from urllib.parse import unquote, urlsplit

import requests
import schemathesis
from schemathesis.core import NotSet
from schemathesis.core.parameters import ParameterLocation

PASS = os.environ["FUZZ_PASS"]
CREDENTIALS = json.loads(os.environ["FUZZ_CREDENTIALS"])
# Apart from the generator's own randomness, so that neither disturbs the other; the same in every run.
CHANCE = random.Random(int(os.environ["FUZZ_SEED"]))
# Ids that the service has named, by what they are called and by the collection that they were found in.
KNOWN = collections.defaultdict(lambda: collections.deque(maxlen=64))
# What an upload is signed by, in place of its bytes.
BODY_HASH = "X-Content-SHA256"
TALLY = collections.defaultdict(collections.Counter)

KNOWN["connector_token"].append(CREDENTIALS["connector_token"])
# Some times are refused for being long ago.
KNOWN["since"].append(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600)))


@atexit.register
def write_tally():
    with open(os.environ["FUZZ_TALLY"], "w", encoding="utf-8") as file:
        json.dump(TALLY, file)


class Credentials(requests.auth.AuthBase):
    """Signs the bytes as they go out, by the scheme that the operation names."""

    def __init__(self, case):
        operation, raw = case.operation, case.operation.schema.raw_schema
        self.schemes = raw.get("components", {}).get("securitySchemes", {})
        self.alternatives = operation.definition.raw.get("security", raw.get("security", []))
        self.hashes_body = any(parameter.name == BODY_HASH for parameter in operation.headers)
        header = case.meta and case.meta.components.get(ParameterLocation.HEADER)
        self.keeps_header = bool(header and header.mode.is_negative)
        body = case.meta and case.meta.components.get(ParameterLocation.BODY)
        self.spoils_body = bool(body and body.mode.is_negative)

    def __call__(self, request):
        # Read leniently, many a document that is not as described is accepted, with warnings.
        if self.spoils_body and "Prefer" not in request.headers:
            request.headers["Prefer"] = "handling=strict"
        if PASS == "mangled" and request.body and CHANCE.random() < 0.9:
            mangle(request)
        if not self.alternatives:
            return request
        wrongly = CHANCE.choice(["", "secret", "key", "spoilt"]) if PASS == "strangers" else None
        if wrongly != "":
            for scheme in CHANCE.choice(self.alternatives):
                self.apply(self.schemes[scheme], request, wrongly)
        return request

    def apply(self, scheme, request, wrongly):
        api_key, secret = CREDENTIALS["api_key"], CREDENTIALS["secret"]
        if wrongly == "key":
            api_key = api_key[:-1] + ("a" if api_key[-1] != "a" else "b")
        if wrongly == "secret":
            secret = secret[::-1]
        match scheme:
            case {"type": "http", "scheme": "bearer"}:
                request.headers["Authorization"] = f"Bearer {api_key}"
            case {"type": "http", "scheme": "basic"}:
                pair = CREDENTIALS["key_id"] + ":" + (secret if wrongly != "key" else api_key)
                request.headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
            case {"type": "apiKey", "in": "header", "name": "X-Fraudshield-Signature"}:
                self.sign(request, wrongly)
            case {"type": "apiKey", "in": "header", "name": name} if name.startswith("X-Fraudshield-"):
                request.headers["X-Fraudshield-Key"] = api_key
            case {"type": "apiKey", "in": "header", "name": name}:
                request.headers[name] = {"secret": secret, "spoilt": api_key[:-1]}.get(wrongly, api_key)
            case _:
                raise NotImplementedError(f"the fuzzer cannot present credentials of the scheme {scheme}")
        if wrongly == "spoilt" and "Authorization" in request.headers:
            request.headers["Authorization"] = request.headers["Authorization"][:-4]

    def sign(self, request, wrongly):
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        if self.hashes_body:
            # A header that is wrong on purpose stays so: the signature covers whatever it says.
            if not self.keeps_header:
                request.headers[BODY_HASH] = hashlib.sha256(body).hexdigest()
            body = request.headers.get(BODY_HASH, "")
            body = body if isinstance(body, bytes) else body.encode("latin-1", "replace")
        timestamp, nonce = str(int(time.time())), os.urandom(16).hex()
        target = "" if is_analyze(request) else f"{request.method} {request.path_url}."
        secret = CREDENTIALS["hmac_secret"] if wrongly != "secret" else CREDENTIALS["hmac_secret"][::-1]
        signed = f"{timestamp}.{nonce}.{target}".encode() + body
        signature = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        request.headers["X-Fraudshield-Timestamp"] = timestamp if wrongly != "spoilt" else "0"
        request.headers["X-Fraudshield-Nonce"] = nonce
        request.headers["X-Fraudshield-Signature"] = signature


def is_analyze(request):
    return (request.method, request.path_url) == ("POST", "/v1/analyze")


def mangle(request):
    """Makes of a document what no schema describes: broken, doubled, enormous, mislabelled."""
    body = request.body.encode() if isinstance(request.body, str) else request.body
    at = CHANCE.randrange(len(body) + 1)
    match CHANCE.randrange(9):
        case 0:
            body = body[:at]
        case 1:
            body = body[:at] + bytes([CHANCE.randrange(256)]) + body[at:]
        case 2:
            body = body[:at] + b'","a":1,"a":1,"' + body[at:]
        case 3:
            body = body.replace(b'"', b'"\\u0000', 1)
        case 4:
            body = b"[" * 100_000
        case 5:
            body = body + b" " * 300_000
        case 6:
            body = re.sub(rb"-?\d+(\.\d+)?", lambda _: CHANCE.choice(NUMBERS), body)
        case 7:
            request.headers["Content-Type"] = CHANCE.choice(["text/plain", "application/json; charset=latin1", ";", ""])
        case 8:
            request.headers["Content-Encoding"] = CHANCE.choice(["gzip", "identity", "br, br"])
    request.body = body
    request.headers["Content-Length"] = str(len(body))


NUMBERS = [b"1e400", b"-1e400", b"1e-400", b"9" * 400, b"0." + b"1" * 400, b"-0", b"9223372036854775808", b"1E5", b"00"]


def path_of(case):
    return case.operation.path


def collection(path):
    """`/v1/lists` of `/v1/lists/{id}`."""
    return path.split("/{")[0]


@schemathesis.serializer("text/csv", "application/x-ndjson", "application/javascript")
def rows_of_file(context, value):
    """A file of rows: texts and bytes as they are, and whatever else as JSON lines."""
    if isinstance(value, (str, bytes)):
        return {"data": value if isinstance(value, bytes) else value.encode("utf-8", "replace")}
    rows = value if isinstance(value, list) else [value]
    return {"data": "\n".join(json.dumps(row) for row in rows).encode()}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Presents credentials, and puts ids that exist in the place of half of those that were made up."""
    kwargs["auth"] = Credentials(case)
    kwargs["allow_redirects"] = False
    if PASS == "strangers":
        return
    singular = re.sub("ies$", "y", collection(path_of(case)).rsplit("/", 1)[-1]).removesuffix("s")
    for name in case.path_parameters or {}:
        names = [name, f"{singular}_id"] if name != "id" else [f"{singular}_id"]
        found = KNOWN[collection(path_of(case))] or next((KNOWN[key] for key in names if KNOWN[key]), None)
        if found and CHANCE.random() < 0.6:
            case.path_parameters[name] = CHANCE.choice(found)
    substitute(case.body)
    substitute(case.query)
    query = case.meta and case.meta.components.get(ParameterLocation.QUERY)
    # An order id that was made up fits no transaction, and a list of none names no ids to go on with.
    if query and not query.mode.is_negative and case.query and CHANCE.random() < 0.8:
        case.query.pop("order_id", None)


def substitute(document):
    """The same in the members of a body and in a query, `cursor` among them."""
    if isinstance(document, list):
        for item in document:
            substitute(item)
    if not isinstance(document, dict):
        return
    for name, value in document.items():
        if isinstance(value, str) and KNOWN[name] and CHANCE.random() < 0.3:
            document[name] = CHANCE.choice(KNOWN[name])
        else:
            substitute(value)


@schemathesis.hook
def after_call(context, case, response):
    """Counts the answer, and remembers the ids that it and its request name."""
    TALLY[case.operation.label][str(response.status_code)] += 1
    if not 200 <= response.status_code < 300 or case.method.upper() != case.operation.method.upper():
        return
    for location in response.headers.get("location", []):
        path, _, name = urlsplit(location).path.rpartition("/")
        remember(path, unquote(name))
    if "json" in "".join(response.headers.get("content-type", [])) and case.operation.path.startswith("/v"):
        harvest(collection(path_of(case)), response.json())
    if not isinstance(case.body, NotSet):
        harvest(None, case.body)


def harvest(path, document):
    for value in document if isinstance(document, list) else []:
        harvest(path, value)
    for name, value in document.items() if isinstance(document, dict) else []:
        if isinstance(value, str) and value:
            if name == "id" and path:
                remember(path, value)
            elif name == "next_cursor":
                remember("cursor", value)
            elif name.endswith(("_id", "_token")):
                remember(name, value)
        else:
            harvest(path, value)


def remember(name, value):
    if value not in KNOWN[name]:
        KNOWN[name].append(value)


@schemathesis.check
def refusal_tells_strangers_nothing(ctx, response, case):
    """Without right credentials the answer is 401 or 403, or what is said of a request before anybody is asked."""
    if PASS != "strangers" or not case.operation.path.startswith("/v"):
        return
    assert response.status_code in (401, 403, 405, 413, 431), f"a stranger was answered {response.status_code}"


@schemathesis.check
def answer_has_request_id(ctx, response, case):
    """Every answer can be found in the logs."""
    assert response.headers.get("x-request-id"), "the answer has no X-Request-Id"
