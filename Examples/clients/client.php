#!/usr/bin/env php
<?php
// Creates payouts, and resends webhooks, through Reenvio's API. PHP 8.1 or later with its curl extension.
//
//     export API_URL=https://api.example.com API_KEY=...
//     php client.php pay payout.json
//     php client.php resend 303 '2026-03-24 08:00:00' '2026-03-24 11:00:00'
//
// Prints the API's last answer. Exit code: 0 done, 10 the key is wrong (401), 11 a job is running already (409), 12 the
// request is wrong (422), anything else: it failed.

declare(strict_types=1);

const PAYMENTS = '/v2/payout/payments';
const RESEND = '/v2/payout/notifications/resend';
const EXIT_CODES = [401 => 10, 409 => 11, 422 => 12];

function say(string $text): void
{
    fwrite(STDERR, "$text\n");
}

/** The text of the expected answer. Any other ends the program and says what was wrong. */
function call(int $expected, string $method, string $path, ?string $body = null): string
{
    $retry_after = 1;
    $request = curl_init(rtrim(getenv('API_URL'), '/') . $path);
    curl_setopt_array($request, [
        CURLOPT_CUSTOMREQUEST => $method,
        CURLOPT_HTTPHEADER => ['Authorization: Bearer ' . getenv('API_KEY'), 'Content-Type: application/json'],
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 30,
        CURLOPT_HEADERFUNCTION => function ($request, string $line) use (&$retry_after): int {
            if (preg_match('/^retry-after: *(\d+)/i', $line, $found)) {
                $retry_after = (int) $found[1];
            }
            return strlen($line);
        },
    ]);
    if ($body !== null) {
        curl_setopt($request, CURLOPT_POSTFIELDS, $body);
    }
    for ($tries = 0; $tries < 5; $tries++) {
        $text = curl_exec($request);
        $code = curl_getinfo($request, CURLINFO_RESPONSE_CODE);
        if ($code !== 429) {
            break;
        }
        say("too many requests; again in $retry_after s");
        sleep($retry_after);
    }
    if ($text === false) {
        say(curl_error($request));
        exit(1);
    }
    if ($code === $expected) {
        return $text;
    }
    $problem = json_decode($text, true);
    say("$code: " . ($problem['message'] ?? 'no answer of the API'));
    foreach ($problem['errors'] ?? [] as $field => $texts) {
        say("$field: " . implode(' ', $texts));
    }
    exit(EXIT_CODES[$code] ?? 1);
}

/**
 * The file goes out as it is: amounts do not pass through floating point. The invoice is what keeps a payout from being
 * made twice, so after a time-out the same file may be sent again.
 */
function pay(string $file): int
{
    echo call(201, 'POST', PAYMENTS, file_get_contents($file)), "\n";
    return 0;
}

function resend(string $merchant, string $start_time, string $end_time): int
{
    $poll_s = (float) (getenv('POLL_SECONDS') ?: 3);
    $window = ['merchant_id' => (int) $merchant, 'start_time' => $start_time, 'end_time' => $end_time];
    $total = json_decode(call(200, 'POST', RESEND, json_encode($window + ['dry_run' => true])))->total;
    say("$total payouts match");
    if ($total === 0) {
        return 0;
    }
    $job_id = json_decode(call(202, 'POST', RESEND, json_encode($window)))->job_id;
    say("job $job_id");
    while (true) {
        $text = call(200, 'GET', RESEND . "/$job_id");
        $state = json_decode($text);
        if ($state->status !== 'processing') {
            echo $text, "\n";
            return $state->status === 'completed' ? 0 : 1;
        }
        say("processing: $state->queued of $state->total queued; next look in $poll_s s");
        usleep((int) ($poll_s * 1_000_000));
    }
}

exit(match ($argv[1] ?? '') {
    'pay' => pay($argv[2]),
    'resend' => resend($argv[2], $argv[3], $argv[4]),
});
