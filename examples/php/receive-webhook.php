<?php
// Receives Touchstone's webhooks (Standard Webhooks). Needs PHP 8.1 and nothing else.
//
//   TOUCHSTONE_WEBHOOK_SECRET=whsec_… php -S 127.0.0.1:9000 receive-webhook.php

declare(strict_types=1);

const TOLERANCE_S = 300;
const LARGEST_BODY = 1 << 20;

// Whether Touchstone signed exactly these bytes, just now.
function is_genuine(string $secret, string $id, string $timestamp, string $signatures, string $body): bool
{
    if (preg_match('/^\d{1,12}$/D', $timestamp) !== 1 || abs(time() - (int) $timestamp) > TOLERANCE_S) {
        return false;
    }
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret), true);
    if ($key === false || $key === '') {
        return false;
    }
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    // During a rotation there are several signatures, and one that fits is enough.
    foreach (explode(' ', $signatures) as $signature) {
        if (hash_equals($expected, $signature)) {
            return true;
        }
    }
    return false;
}

// Until all is done the answer is a failure, so that an error here makes Touchstone try again.
http_response_code(500);

// The raw bytes: a document that was parsed and written again has another signature.
$body = (string) file_get_contents('php://input', length: LARGEST_BODY + 1);
// How long a request may take is the web server's to limit; PHP begins once it has read the body.
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
$timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
$signatures = $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '';
if (strlen($body) > LARGEST_BODY) {
    http_response_code(413);
    exit;
}
if (!is_genuine((string) getenv('TOUCHSTONE_WEBHOOK_SECRET'), $id, $timestamp, $signatures, $body)) {
    http_response_code(401);
    exit;
}

// A retry has the same id. Use your database, with a unique key on the id: a file does for a trial.
$seen = fopen(sys_get_temp_dir() . '/touchstone-webhooks', 'c+');
flock($seen, LOCK_EX);
$ids = explode("\n", (string) stream_get_contents($seen));
if (!in_array($id, $ids, true)) {
    $event = json_decode($body, true, flags: JSON_THROW_ON_ERROR);
    $data = $event['data'];
    error_log("verified {$event['type']} " . ($data['order_id'] ?? '') . ' ' . ($data['recommended_action'] ?? ''));
    fwrite($seen, "$id\n");
}
fclose($seen);
http_response_code(204);
