// Screens an order with Touchstone. Needs Node 18 and nothing else.
//
//   TOUCHSTONE_API_KEY=fcc_live_… TOUCHSTONE_HMAC_SECRET=… node score-order.mjs [order.json]

import { createHmac, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const URL_BASE = (process.env.TOUCHSTONE_URL ?? "http://127.0.0.1:8080").replace(/\/$/, "");
const { TOUCHSTONE_API_KEY: API_KEY, TOUCHSTONE_HMAC_SECRET: HMAC_SECRET } = process.env;
const TIMEOUT_MS = 5000;
const ATTEMPTS = 3;

// Signs and sends one request.
async function send(method, path, body = "") {
  const timestamp = Math.floor(Date.now() / 1000).toString();
  const nonce = randomUUID();
  // POST /v1/analyze signs the body alone, every other route its method and path too.
  const target = method === "POST" && path === "/v1/analyze" ? "" : `${method} ${path}.`;
  const canonical = `${timestamp}.${nonce}.${target}${body}`;
  return fetch(URL_BASE + path, {
    method,
    headers: {
      ...(body && { "Content-Type": "application/json" }),
      "Authorization": `Bearer ${API_KEY}`,
      "X-Fraudshield-Key": API_KEY,
      "X-Fraudshield-Timestamp": timestamp,
      "X-Fraudshield-Nonce": nonce,
      "X-Fraudshield-Signature": createHmac("sha256", HMAC_SECRET).update(canonical).digest("hex"),
    },
    body: body || undefined,
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
}

// The verdict of an order, or null when there is none yet: then your own rule for outages applies.
async function scoreOrder(order) {
  const body = JSON.stringify(order);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    let retryAfter = 1;
    try {
      const answer = await send("POST", "/v1/analyze", body);
      if (answer.status === 200) return await answer.json();
      if (answer.status === 202) {
        console.error(`accepted; the verdict will be at ${answer.headers.get("location")} and in the webhook`);
        return null;
      }
      if (![429, 503].includes(answer.status)) {
        throw Object.assign(new Error(`${answer.status}: ${await answer.text()}`), { final: true });
      }
      retryAfter = Number(answer.headers.get("retry-after") ?? 1);
    } catch (problem) {
      if (problem.final) throw problem;
      console.error(`no answer: ${problem.message}`); // the same order can be sent again
    }
    if (attempt < ATTEMPTS) await sleep(Math.min(retryAfter * 1000, TIMEOUT_MS));
  }
  return null;
}

if (!API_KEY || !HMAC_SECRET) throw new Error("set TOUCHSTONE_API_KEY and TOUCHSTONE_HMAC_SECRET");
const file = process.argv[2] ?? new URL("../order.json", import.meta.url);
const verdict = await scoreOrder(JSON.parse(await readFile(file, "utf8")));
if (verdict) {
  console.log(`recommended_action: ${verdict.recommended_action}`);
  console.log(`risk_score: ${verdict.risk_score} (${verdict.risk_level})`);
  for (const { points, code, detail } of verdict.reasons) console.log(`  ${points} ${code}: ${detail}`);
} else {
  console.error("no verdict in time");
  process.exitCode = 1;
}
