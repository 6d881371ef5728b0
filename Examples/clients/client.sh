#!/usr/bin/env bash
# Creates payouts, and resends webhooks, through Reenvio's API. bash with curl (7.84 or later) and jq.
#
#     export API_URL=https://api.example.com API_KEY=...
#     ./client.sh pay payout.json
#     ./client.sh resend 303 '2026-03-24 08:00:00' '2026-03-24 11:00:00'
#
# Prints the API's last answer. Exit code: 0 done, 10 the key is wrong (401), 11 a job is running already (409), 12 the
# request is wrong (422), anything else: it failed.
set -euo pipefail

: "${API_URL:?}" "${API_KEY:?}"
poll_s=${POLL_SECONDS:-3}
payments=/v2/payout/payments
resend=/v2/payout/notifications/resend

say() { echo "$*" >&2; }

# The key goes through a pipe: as an argument of curl everybody could read it in the list of processes.
request() {
    curl -sS --max-time 30 -w '\n%{http_code} %header{retry-after}' "$@" \
        -H @<(printf 'Authorization: Bearer %s\nContent-Type: application/json\n' "$API_KEY") || true
}

# call EXPECTED PATH [BODY]: the expected answer on standard output. Any other ends the program and says what was wrong.
call() {
    local answer code retry_after tries
    for ((tries = 0; tries < 5; tries++)); do
        if [[ $# -eq 3 ]]; then
            answer=$(printf %s "$3" | request --data-binary @- "${API_URL%/}$2")
        else
            answer=$(request "${API_URL%/}$2")
        fi
        read -r code retry_after <<<"${answer##*$'\n'}"
        [[ $code == 429 ]] || break
        say "too many requests; again in ${retry_after:=1} s"
        sleep "$retry_after"
    done
    answer=${answer%$'\n'*}
    if [[ $code == "$1" ]]; then
        echo "$answer"
        return
    fi
    say "$code: $(jq -er '.message, (.errors // {} | to_entries[] | "\(.key): \(.value | join(" "))")' \
        <<<"$answer" 2>/dev/null || echo 'no answer of the API')"
    case $code in 422) exit 12 ;; 409) exit 11 ;; 401) exit 10 ;; *) exit 1 ;; esac
}

# The file goes out as it is: amounts do not pass through floating point. The invoice is what keeps a payout from being
# made twice, so after a time-out the same file may be sent again.
pay() { call 201 "$payments" "$(<"$1")"; }

resend() {
    local window total job state
    window=$(jq -n --argjson id "$1" --arg from "$2" --arg to "$3" \
        '{merchant_id: $id, start_time: $from, end_time: $to}')
    total=$(call 200 "$resend" "$(jq '. + {dry_run: true}' <<<"$window")" | jq .total)
    say "$total payouts match"
    [[ $total != 0 ]] || return 0
    job=$(call 202 "$resend" "$window" | jq -r .job_id)
    say "job $job"
    while true; do
        state=$(call 200 "$resend/$job")
        [[ $(jq -r .status <<<"$state") == processing ]] || break
        say "processing: $(jq -r '"\(.queued) of \(.total)"' <<<"$state") queued; next look in $poll_s s"
        sleep "$poll_s"
    done
    echo "$state"
    [[ $(jq -r .status <<<"$state") == completed ]]
}

case ${1:-} in
pay | resend) "$@" ;;
*) say "usage: client.sh pay FILE | resend MERCHANT START END" && exit 1 ;;
esac
