// Receives Reenvio's webhooks with Node.js 18 or later and nothing else: verifies, stores, answers 200.
//
//     WEBHOOK_SECRET=whsec_... EVENTS_FILE=events.jsonl node receiver.mjs 9000
//
// It listens on 127.0.0.1; a web server in front of it speaks HTTPS. The work is done later, by whoever reads the
// events.

import { createHmac, timingSafeEqual } from "node:crypto";
import { appendFileSync, fsyncSync, openSync, readFileSync } from "node:fs";
import { createServer } from "node:http";

const BODY_BYTES_MAX = 64 * 1024;
const TOLERANCE_S = 300;

// The bytes behind `whsec_`. Too short a key is refused: with an empty one anybody could sign.
function signingKey(secret = "") {
    const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
    if (!secret.startsWith("whsec_") || key.length < 24) {
        throw new Error("WEBHOOK_SECRET must be whsec_ and the base64 of at least 24 bytes");
    }
    return key;
}

// Whether the webhook was signed with the key, not long ago. `body` is the bytes as they came in.
function isGenuine(key, headers, body) {
    const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers;
    if (!id || !timestamp || !signatures) return false;
    const code = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest("base64");
    const expected = Buffer.from(`v1,${code}`);
    // There are several signatures while a secret is being changed. One that fits is enough.
    const fits = signatures.split(" ").map((one) => Buffer.from(one))
        .some((one) => one.length === expected.length && timingSafeEqual(one, expected));
    return fits && /^\d+$/.test(timestamp) && Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_S;
}

// The accepted events, one JSON document a line. In your system: a table with a unique index on `webhook_id`.
class Events {
    seen = new Set();
    newest = new Map();

    constructor(path) {
        this.file = openSync(path, "a");
        for (const line of readFileSync(path, "utf8").split("\n")) {
            try {
                this.remember(JSON.parse(line));
            } catch {
                // An empty line, or one that a crash cut off before it was acknowledged.
            }
        }
    }

    remember({ webhook_id, payout_id, sequence }) {
        this.seen.add(webhook_id);
        this.newest.set(payout_id, Math.max(sequence, this.newest.get(payout_id) ?? 0));
    }

    // Returns once the event is on disk. One that is known already, or older than what is known, changes nothing.
    // Nothing else runs meanwhile, so the same webhook arriving twice at the same moment is stored once.
    take(event) {
        if (this.seen.has(event.webhook_id) || event.sequence < (this.newest.get(event.payout_id) ?? 0)) return;
        // A line break in front, too: whatever a crash cut off cannot spoil this line.
        appendFileSync(this.file, `\n${JSON.stringify(event)}\n`);
        fsyncSync(this.file);
        this.remember(event);
    }
}

async function bytesOf(request) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    return Buffer.concat(chunks);
}

function eventOf(headers, body) {
    const text = body.toString("utf8");
    const sequence = headers["x-webhook-sequence"] ?? "";
    try {
        const payout_id = JSON.parse(text).id;
        if (!Number.isInteger(payout_id) || !/^\d+$/.test(sequence)) return undefined;
        return { webhook_id: headers["webhook-id"], payout_id, sequence: Number(sequence), body: text };
    } catch {
        return undefined;
    }
}

// The status code that answers a request.
async function receive(request, key, events) {
    if (request.method !== "POST") return 405;
    const length = request.headers["content-length"];
    if (length === undefined) return 411;
    if (Number(length) > BODY_BYTES_MAX) return 413;
    const body = await bytesOf(request);
    if (!isGenuine(key, request.headers, body)) return 401;
    const event = eventOf(request.headers, body);
    if (event === undefined) return 400;
    events.take(event);
    return 200;
}

const key = signingKey(process.env.WEBHOOK_SECRET);
const events = new Events(process.env.EVENTS_FILE);
const server = createServer(async (request, response) => {
    // What could not be stored is not acknowledged: it will come again.
    const code = await receive(request, key, events).catch(() => 500);
    response.writeHead(code, { "content-length": 0, ...(code === 200 ? {} : { connection: "close" }) }).end();
});
server.requestTimeout = 10_000; // milliseconds, for a client that stalls
server.listen(Number(process.argv[2]), "127.0.0.1");
