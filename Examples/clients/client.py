#!/usr/bin/env python3
"""Creates payouts, and resends webhooks, through Reenvio's API. Python 3.9 or later with `requests`.

    export API_URL=https://api.example.com API_KEY=...
    ./client.py pay payout.json
    ./client.py resend 303 '2026-03-24 08:00:00' '2026-03-24 11:00:00'

Prints the API's last answer. Exit code: 0 done, 10 the key is wrong (401), 11 a job is running already (409), 12 the
request is wrong (422), anything else: it failed.
"""

import json
import os
import sys
import time

import requests

API_URL = os.environ["API_URL"].rstrip("/")
POLL_S = float(os.environ.get("POLL_SECONDS", "3"))
PAYMENTS = "/v2/payout/payments"
RESEND = "/v2/payout/notifications/resend"
EXIT_CODES = {401: 10, 409: 11, 422: 12}

session = requests.Session()
session.headers.update({"Authorization": f"Bearer {os.environ['API_KEY']}", "Content-Type": "application/json"})


def say(text):
    print(text, file=sys.stderr, flush=True)


def call(expected, method, path, body=None):
    """The JSON of the expected answer. Any other ends the program and says what was wrong."""
    for _ in range(5):
        answer = session.request(method, API_URL + path, data=body, timeout=30)
        if answer.status_code != 429:
            break
        wait_s = int(answer.headers.get("Retry-After", "1"))
        say(f"too many requests; again in {wait_s} s")
        time.sleep(wait_s)
    if answer.status_code == expected:
        return answer.json()
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    say(f"{answer.status_code}: {problem.get('message', 'no answer of the API')}")
    for field, texts in problem.get("errors", {}).items():
        say(f"{field}: {' '.join(texts)}")
    sys.exit(EXIT_CODES.get(answer.status_code, 1))


def pay(file):
    """The file goes out as it is: amounts do not pass through floating point. The invoice is what keeps a payout from
    being made twice, so after a time-out the same file may be sent again."""
    with open(file, "rb") as body:
        print(json.dumps(call(201, "POST", PAYMENTS, body.read())))


def resend(merchant_id, start_time, end_time):
    window = {"merchant_id": int(merchant_id), "start_time": start_time, "end_time": end_time}
    total = call(200, "POST", RESEND, json.dumps(window | {"dry_run": True}))["total"]
    say(f"{total} payouts match")
    if total == 0:
        return
    job_id = call(202, "POST", RESEND, json.dumps(window))["job_id"]
    say(f"job {job_id}")
    while (state := call(200, "GET", f"{RESEND}/{job_id}"))["status"] == "processing":
        say(f"processing: {state['queued']} of {state['total']} queued; next look in {POLL_S:g} s")
        time.sleep(POLL_S)
    print(json.dumps(state))
    sys.exit(0 if state["status"] == "completed" else 1)


if __name__ == "__main__":
    {"pay": pay, "resend": resend}[sys.argv[1]](*sys.argv[2:])
