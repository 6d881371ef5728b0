#!/usr/bin/env bash
# Receives Reenvio's webhooks with bash 5, socat, openssl and jq: verifies, stores, answers 200.
#
#     WEBHOOK_SECRET=whsec_... EVENTS_FILE=events.jsonl ./receiver.sh 9000
#
# It listens on 127.0.0.1; a web server in front of it speaks HTTPS. The work is done later, by whoever reads the
# events. Each request is a process of its own: enough for some tens of webhooks a second, not for more.
set -euo pipefail
export LC_ALL=C # lengths are bytes

BODY_BYTES_MAX=65536
TOLERANCE_S=300
STALL_S=10

fail() {
    echo "receiver.sh: $*" >&2
    exit 1
}

# The bytes behind `whsec_`, as numbers. Too short a key is refused: with an empty one anybody could sign.
signing_key() {
    local bytes=''
    if [[ $WEBHOOK_SECRET == whsec_* ]]; then
        bytes=$(printf %s "${WEBHOOK_SECRET#whsec_}" | base64 -d | od -An -v -tu1) || bytes=''
    fi
    read -ra key <<<"${bytes//$'\n'/ }"
    ((${#key[@]} >= 24 && ${#key[@]} <= 64)) || fail "WEBHOOK_SECRET must be whsec_ and the base64 of 24 to 64 bytes"
}

# HMAC-SHA256 of standard input, in base64. Put together from two plain hashes (RFC 2104), because a key that openssl
# gets as an argument can be read by everybody in the list of processes.
hmac() {
    local inner='' outer='' byte i
    for ((i = 0; i < 64; i++)); do
        printf -v byte '\\x%02x' $((${key[i]:-0} ^ 0x36)) && inner+=$byte
        printf -v byte '\\x%02x' $((${key[i]:-0} ^ 0x5c)) && outer+=$byte
    done
    {
        printf '%b' "$outer"
        { printf '%b' "$inner" && cat; } | openssl dgst -sha256 -binary
    } | openssl dgst -sha256 -binary | base64 -w 0
}

# Whether the webhook was signed with the key, not long ago. `$body` is a file with the bytes as they came in.
is_genuine() {
    local expected one signatures
    [[ -n $id && $timestamp =~ ^[0-9]{1,12}$ ]] || return 1
    expected="v1,$({ printf '%s.%s.' "$id" "$timestamp" && cat "$body"; } | hmac)"
    # There are several signatures while a secret is being changed. One that fits is enough. Compared are their own
    # codes, so that the time it takes says nothing about the expected signature.
    read -ra signatures <<<"$signature"
    for one in "${signatures[@]:0:5}"; do
        if [[ $(printf %s "$one" | hmac) == "$(printf %s "$expected" | hmac)" ]]; then
            local age=$((EPOCHSECONDS - 10#$timestamp))
            ((age <= TOLERANCE_S && age >= -TOLERANCE_S))
            return
        fi
    done
    return 1
}

# Returns once the event is on disk. One that is known already, or older than what is known, changes nothing.
# The file has one JSON document a line. In your system: a table with a unique index on `webhook_id`.
take() {
    local event is_known facts=(--arg id "$id" --argjson payout "$payout" --argjson sequence "$sequence")
    event=$(jq -cn "${facts[@]}" --rawfile body "$body" \
        '{webhook_id: $id, payout_id: $payout, sequence: $sequence, body: $body}') || return
    exec {events}>>"$EVENTS_FILE" || return
    flock -w "$STALL_S" "$events" || return
    # What is no JSON is an empty line, or one that a crash cut off before it was acknowledged.
    is_known=$(jq -Rn "${facts[@]}" 'any(inputs | fromjson?;
        .webhook_id == $id or (.payout_id == $payout and .sequence > $sequence))' "$EVENTS_FILE") || return
    [[ $is_known == false ]] || return 0
    # A line break in front, too: whatever a crash cut off cannot spoil this line.
    printf '\n%s\n' "$event" >&"$events" && sync "$EVENTS_FILE"
}

# A line of the request's head, of less than 8 KiB.
read_line() { IFS= read -r -n 8192 -t "$STALL_S" line && ((${#line} < 8192)) && line=${line%$'\r'}; }

answer() {
    printf 'HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1"
    exit 0
}

# One request from standard input, answered on standard output.
receive() {
    local line name value method length='' count
    id='' timestamp='' signature='' sequence=''
    read_line || exit 0
    method=${line%% *}
    for ((count = 0; count < 100; count++)); do
        read_line || exit 0
        [[ -n $line ]] || break
        name=${line%%:*}
        read -r value <<<"${line#*:}"
        case ${name,,} in
        content-length) length=$value ;;
        webhook-id) id=$value ;;
        webhook-timestamp) timestamp=$value ;;
        webhook-signature) signature=$value ;;
        x-webhook-sequence) sequence=$value ;;
        esac
    done
    [[ $method == POST ]] || answer '405 Method Not Allowed'
    [[ $length =~ ^[0-9]{1,9}$ ]] || answer '411 Length Required'
    ((10#$length <= BODY_BYTES_MAX)) || answer '413 Content Too Large'
    body=$(mktemp)
    exec {file}<>"$body" && rm "$body"
    body=/dev/fd/$file # a file without a name is gone however this ends
    timeout "$STALL_S" head -c "$length" >"$body"
    is_genuine || answer '401 Unauthorized'
    payout=$(jq -e '.id | numbers' "$body") || answer '400 Bad Request'
    [[ $sequence =~ ^[1-9][0-9]{0,15}$ ]] || answer '400 Bad Request'
    # What could not be stored is not acknowledged: it will come again.
    take || answer '500 Internal Server Error'
    answer '200 OK'
}

: "${WEBHOOK_SECRET:?}" "${EVENTS_FILE:?}"
signing_key
if [[ ${1:-} == --request ]]; then
    receive
else
    export RECEIVER="$0"
    exec socat -t 0.1 -T "$STALL_S" "TCP-LISTEN:${1:?give a port},bind=127.0.0.1,reuseaddr,fork,max-children=32" \
        'SYSTEM:exec bash \"$RECEIVER\" --request'
fi
