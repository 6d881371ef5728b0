// Creates payouts, and resends webhooks, through Reenvio's API. Node.js 18 or later, built-in fetch.
//
//     export API_URL=https://api.example.com API_KEY=...
//     node client.mjs pay payout.json
//     node client.mjs resend 303 '2026-03-24 08:00:00' '2026-03-24 11:00:00'
//
// Prints the API's last answer. Exit code: 0 done, 10 the key is wrong (401), 11 a job is running already (409), 12 the
// request is wrong (422), anything else: it failed.

import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";

const API_URL = process.env.API_URL.replace(/\/+$/, "");
const POLL_S = Number(process.env.POLL_SECONDS ?? 3);
const PAYMENTS = "/v2/payout/payments";
const RESEND = "/v2/payout/notifications/resend";
const EXIT_CODES = { 401: 10, 409: 11, 422: 12 };

const headers = { authorization: `Bearer ${process.env.API_KEY}`, "content-type": "application/json" };

class Refused extends Error {
    constructor(code, problem) {
        const faults = Object.entries(problem.errors ?? {}).map(([field, texts]) => `${field}: ${texts.join(" ")}`);
        super([`${code}: ${problem.message ?? "no answer of the API"}`, ...faults].join("\n"));
        this.exitCode = EXIT_CODES[code] ?? 1;
    }
}

// The text of the expected answer. Any other is thrown, with what was wrong.
async function call(expected, method, path, body) {
    let answer;
    for (let tries = 0; tries < 5; tries++) {
        answer = await fetch(API_URL + path, { method, headers, body, signal: AbortSignal.timeout(30_000) });
        if (answer.status !== 429) break;
        const wait = Number(answer.headers.get("retry-after") ?? 1);
        console.error(`too many requests; again in ${wait} s`);
        await sleep(wait * 1000);
    }
    const text = await answer.text();
    if (answer.status === expected) return text;
    let problem = {};
    try {
        problem = JSON.parse(text);
    } catch {
        // Not from the API: a proxy's page, perhaps.
    }
    throw new Refused(answer.status, problem);
}

// The file goes out as it is: amounts do not pass through floating point. The invoice is what keeps a payout from being
// made twice, so after a time-out the same file may be sent again.
async function pay(file) {
    console.log(await call(201, "POST", PAYMENTS, await readFile(file)));
}

async function resend(merchant, start_time, end_time) {
    const window = { merchant_id: Number(merchant), start_time, end_time };
    const { total } = JSON.parse(await call(200, "POST", RESEND, JSON.stringify({ ...window, dry_run: true })));
    console.error(`${total} payouts match`);
    if (total === 0) return;
    const { job_id } = JSON.parse(await call(202, "POST", RESEND, JSON.stringify(window)));
    console.error(`job ${job_id}`);
    for (;;) {
        const text = await call(200, "GET", `${RESEND}/${job_id}`);
        const { status, queued, total } = JSON.parse(text);
        if (status !== "processing") {
            console.log(text);
            process.exitCode = status === "completed" ? 0 : 1;
            return;
        }
        console.error(`processing: ${queued} of ${total} queued; next look in ${POLL_S} s`);
        await sleep(POLL_S * 1000);
    }
}

const [command, ...options] = process.argv.slice(2);
try {
    await { pay, resend }[command](...options);
} catch (error) {
    console.error([error.message, error.cause?.message].filter(Boolean).join(": "));
    process.exitCode = error.exitCode ?? 1;
}
