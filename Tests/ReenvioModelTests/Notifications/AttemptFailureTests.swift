import ReenvioModel
import Testing

@Suite struct AttemptFailureTests {
    /// The closed list of `docs/contract.md` 13.10.
    @Test func isTheClosedList() {
        let list = [
            "address_forbidden", "name_not_resolved", "connection_refused", "connection_failed", "tls_untrusted",
            "tls_expired", "tls_wrong_host", "tls_failed", "timed_out", "connection_reset", "malformed_response",
            "http_status", "gone", "receiver_broken", "canceled", "acknowledged_elsewhere", "erased",
        ]
        #expect(AttemptFailure.allCases.map(\.rawValue) == list)
    }
}
