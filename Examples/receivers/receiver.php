<?php
// Receives Reenvio's webhooks with PHP 8.1 or later, no packages: verifies, stores, answers 200.
//
//     WEBHOOK_SECRET=whsec_... EVENTS_FILE=events.jsonl php -S 127.0.0.1:9000 receiver.php
//
// `php -S` is for trying out; the same script runs under PHP-FPM, behind a web server that speaks HTTPS.
// The work is done later, by whoever reads the events.

declare(strict_types=1);

const BODY_BYTES_MAX = 64 * 1024;
const TOLERANCE_S = 300;

// PHP may answer 200 when a script fails. Whatever fails here must not acknowledge, so this comes first.
http_response_code(500);
ini_set('display_errors', '0');

/** The bytes behind `whsec_`. Too short a key is refused: with an empty one anybody could sign. */
function signing_key(string $secret): string
{
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret), true);
    if (!str_starts_with($secret, 'whsec_') || $key === false || strlen($key) < 24) {
        throw new RuntimeException('WEBHOOK_SECRET must be whsec_ and the base64 of at least 24 bytes');
    }
    return $key;
}

/** Whether the webhook was signed with the key, not long ago. `$body` is the bytes as they came in. */
function is_genuine(string $key, array $headers, string $body): bool
{
    $id = $headers['HTTP_WEBHOOK_ID'] ?? '';
    $timestamp = $headers['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    // There are several signatures while a secret is being changed. One that fits is enough.
    $fits = false;
    foreach (explode(' ', $headers['HTTP_WEBHOOK_SIGNATURE'] ?? '') as $one) {
        $fits = hash_equals($expected, $one) || $fits;
    }
    return $fits && $id !== '' && ctype_digit($timestamp) && abs(time() - (int) $timestamp) <= TOLERANCE_S;
}

/**
 * Returns once the event is on disk. One that is known already, or older than what is known, changes nothing.
 * The file has one JSON document a line. In your system: a table with a unique index on `webhook_id`.
 */
function take(string $path, array $event): void
{
    $file = fopen($path, 'c+') ?: throw new RuntimeException('EVENTS_FILE cannot be opened');
    flock($file, LOCK_EX) || throw new RuntimeException('EVENTS_FILE cannot be locked');
    while (($line = fgets($file)) !== false) {
        $known = json_decode($line, true);
        if (!is_array($known)) {
            continue; // an empty line, or one that a crash cut off before it was acknowledged
        }
        $is_older = $known['payout_id'] === $event['payout_id'] && $known['sequence'] > $event['sequence'];
        if ($known['webhook_id'] === $event['webhook_id'] || $is_older) {
            return;
        }
    }
    // A line break in front, too: whatever a crash cut off cannot spoil this line.
    $line = "\n" . json_encode($event, JSON_THROW_ON_ERROR) . "\n";
    if (fwrite($file, $line) !== strlen($line) || !fsync($file)) {
        throw new RuntimeException('the event could not be stored');
    }
}

/** The status code that answers the request. */
function receive(): int
{
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        return 405;
    }
    $body = file_get_contents('php://input', false, null, 0, BODY_BYTES_MAX + 1);
    if (strlen($body) > BODY_BYTES_MAX) {
        return 413;
    }
    if (!is_genuine(signing_key((string) getenv('WEBHOOK_SECRET')), $_SERVER, $body)) {
        return 401;
    }
    $payout_id = json_decode($body, true)['id'] ?? null;
    $sequence = $_SERVER['HTTP_X_WEBHOOK_SEQUENCE'] ?? '';
    if (!is_int($payout_id) || !ctype_digit($sequence)) {
        return 400;
    }
    take((string) getenv('EVENTS_FILE'), [
        'webhook_id' => $_SERVER['HTTP_WEBHOOK_ID'],
        'payout_id' => $payout_id,
        'sequence' => (int) $sequence,
        'body' => $body,
    ]);
    return 200;
}

http_response_code(receive());
