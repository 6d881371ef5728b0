/// Why an attempt did not end in an acknowledgement: a closed list. The same word stands in the attempt row, the API,
/// the log line and the metric (`docs/contract.md` 13.10).
package enum AttemptFailure: String, Sendable, CaseIterable {
    case addressForbidden = "address_forbidden"
    case nameNotResolved = "name_not_resolved"
    case connectionRefused = "connection_refused"
    case connectionFailed = "connection_failed"
    case tlsUntrusted = "tls_untrusted"
    case tlsExpired = "tls_expired"
    case tlsWrongHost = "tls_wrong_host"
    case tlsFailed = "tls_failed"
    case timedOut = "timed_out"
    case connectionReset = "connection_reset"
    case malformedResponse = "malformed_response"
    /// An answer arrived, with any status but 200 and 410.
    case httpStatus = "http_status"
    /// 410: the receiver asked never to be called again for this delivery.
    case gone
    /// An open breaker deferred the delivery for 72 hours.
    case receiverBroken = "receiver_broken"
    case canceled
    /// Another delivery of the same notification was acknowledged first.
    case acknowledgedElsewhere = "acknowledged_elsewhere"
    /// The personal data that the message needs was destroyed.
    case erased
}
