// Receives Touchstone's webhooks (Standard Webhooks). Needs Node 18 and nothing else.
//
//   TOUCHSTONE_WEBHOOK_SECRET=whsec_… PORT=9000 node receive-webhook.mjs

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const SECRET = Buffer.from(process.env.TOUCHSTONE_WEBHOOK_SECRET.replace(/^whsec_/, ""), "base64");
const TOLERANCE_S = 300;
const LARGEST_BODY = 1 << 20;

const seen = new Set(); // your database, with a unique key on the id

// Whether Touchstone signed exactly these bytes, just now.
function isGenuine(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures = "" } = headers;
  if (!/^\d+$/.test(timestamp ?? "") || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE_S) return false;
  const hmac = createHmac("sha256", SECRET).update(`${id}.${timestamp}.`).update(body);
  const expected = Buffer.from(`v1,${hmac.digest("base64")}`);
  // During a rotation there are several signatures, and one that fits is enough.
  return signatures.split(" ").some((text) => {
    const signature = Buffer.from(text);
    return signature.length === expected.length && timingSafeEqual(signature, expected);
  });
}

const server = createServer(async (request, response) => {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > LARGEST_BODY) return response.writeHead(413).end();
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  if (!isGenuine(request.headers, body)) return response.writeHead(401).end();
  const id = request.headers["webhook-id"];
  if (!seen.has(id)) { // a retry has the same id
    const { type, data } = JSON.parse(body);
    console.log("verified", type, data.order_id, data.recommended_action);
    seen.add(id);
  }
  response.writeHead(204).end();
});

server.listen(Number(process.env.PORT ?? 9000), "127.0.0.1", () => {
  console.log(`listening on port ${server.address().port}`);
});
