// Receives Touchstone's webhooks (Standard Webhooks). Needs Node 18 and nothing else.
//
//   TOUCHSTONE_WEBHOOK_SECRET=whsec_… PORT=9000 node receive-webhook.mjs

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const SECRET = Buffer.from(process.env.TOUCHSTONE_WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
const TOLERANCE_S = 300;
const LARGEST_BODY = 1 << 20;
const TIMEOUT_MS = 15_000;

const seen = new Set(); // your database, with a unique key on the id

// Whether Touchstone signed exactly these bytes, just now.
function isGenuine(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures = "" } = headers;
  if (!/^\d{1,12}$/.test(timestamp ?? "") || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_S) return false;
  const hmac = createHmac("sha256", SECRET).update(`${id}.${timestamp}.`).update(body);
  const expected = Buffer.from(`v1,${hmac.digest("base64")}`);
  // During a rotation there are several signatures, and one that fits is enough.
  return signatures.split(" ").some((text) => {
    const signature = Buffer.from(text);
    return signature.length === expected.length && timingSafeEqual(signature, expected);
  });
}

// The raw bytes, or null when there are too many of them.
async function read(request) {
  if (Number(request.headers["content-length"] ?? 0) > LARGEST_BODY) return null;
  const chunks = [];
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    length += chunk.length;
    if (length > LARGEST_BODY) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

// Takes one webhook; gives the status to answer with.
async function receive(request) {
  const body = await read(request);
  if (body === null) return 413;
  if (!isGenuine(request.headers, body)) return 401;
  const id = request.headers["webhook-id"];
  if (!seen.has(id)) { // a retry has the same id
    const { type, data } = JSON.parse(body);
    console.log("verified", type, data.order_id, data.recommended_action);
    seen.add(id);
  }
  return 204;
}

const server = createServer(async (request, response) => {
  let status = 500; // makes Touchstone try again
  try {
    status = await receive(request);
  } catch (problem) { // the sender went away, or an error of the code above
    console.error("not received:", problem.message);
  }
  // What is left of a request that was not read to its end must not be taken for the next one.
  response.writeHead(status, request.complete ? {} : { Connection: "close" }).end();
});
server.headersTimeout = server.requestTimeout = TIMEOUT_MS;

server.listen(Number(process.env.PORT ?? 9000), "127.0.0.1", () => {
  console.log(`listening on port ${server.address().port}`);
});
