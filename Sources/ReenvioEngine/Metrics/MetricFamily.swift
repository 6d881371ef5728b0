package import ReenvioModel
package import ReenvioStore

/// Every family that `GET /metrics` shows: a closed list, like the values of its labels, so that the number of series
/// is known and no label ever names a merchant, a receiver, a URL or an invoice (`docs/operations.md`).
package enum MetricFamily: String, CaseIterable, Sendable {
    case changes = "reenvio_changes_total"
    case attempts = "reenvio_attempts_total"
    case ackSeconds = "reenvio_ack_seconds"
    case attemptSeconds = "reenvio_attempt_seconds"
    case backlog = "reenvio_backlog"
    case oldestDueSeconds = "reenvio_oldest_due_seconds"
    case resendItems = "reenvio_resend_items"
    case storeSeconds = "reenvio_store_seconds"
    case droppedCalls = "reenvio_dropped_calls_total"
    case storeLogBytes = "reenvio_store_log_bytes"
    case possibleDuplicates = "reenvio_possible_duplicates_total"
    case senderShortages = "reenvio_sender_shortages_total"
    case clockDistrusted = "reenvio_clock_distrusted"
    case acceptPauses = "reenvio_accept_pauses_total"
    case peopleRead = "reenvio_people_read_total"
    case failedAuthentications = "reenvio_failed_authentications_total"
    case setAside = "reenvio_set_aside"
    case residentBytes = "process_resident_memory_bytes"
    case cpuSeconds = "process_cpu_seconds_total"

    package enum Kind: Sendable, Equatable {
        /// Only ever rises.
        case counter
        /// The same, but the system keeps it; read when it is shown.
        case readCounter
        case gauge
        /// The upper bounds of its buckets in seconds, ascending; one without a bound follows.
        case histogram([Double])

        package var word: String {
            switch self {
            case .counter, .readCounter: "counter"
            case .gauge: "gauge"
            case .histogram: "histogram"
            }
        }
    }

    package var kind: Kind {
        switch self {
        case .changes, .attempts, .possibleDuplicates, .senderShortages, .acceptPauses,
            .failedAuthentications, .peopleRead:
            .counter
        case .cpuSeconds, .droppedCalls: .readCounter
        case .backlog, .oldestDueSeconds, .resendItems, .clockDistrusted, .storeLogBytes, .residentBytes, .setAside:
            .gauge
        // To the end of the default schedule, a day and four hours.
        case .ackSeconds:
            .histogram([
                0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200, 28_800, 108_000,
            ])
        case .attemptSeconds: .histogram([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 7.5])
        case .storeSeconds: .histogram([0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1])
        }
    }

    /// The name of its one label and every value that it may have; nil for a family of one series.
    package var label: (name: String, values: [String])? {
        switch self {
        case .attempts: ("reason", [Self.acknowledged] + AttemptFailure.allCases.map(\.rawValue))
        case .senderShortages: ("resource", SenderShortage.allCases.map(\.rawValue))
        case .failedAuthentications: ("reason", FailedAuthentication.allCases.map(\.rawValue))
        case .backlog, .oldestDueSeconds: ("lane", Lane.allCases.map { "\($0)" })
        case .resendItems: ("state", ResendItems.State.allCases.map(\.rawValue))
        case .storeSeconds:
            (
                "operation",
                WritePriority.allCases.filter { $0 != .changes }.map(\.operation)
                    + [Self.readOperation, Self.lookupOperation]
            )
        default: nil
        }
    }

    package var help: String {
        switch self {
        case .changes: "Status changes committed."
        case .attempts: "Attempts that ended, by reason; ok is an acknowledgement."
        case .ackSeconds: "From a change's commit to its acknowledgement, live deliveries only."
        case .attemptSeconds: "How long attempts took."
        case .backlog: "Open deliveries by lane."
        case .oldestDueSeconds: "How long the oldest due delivery of a lane has been waiting beyond its time."
        case .resendItems: "Items of the newest resends by state."
        case .storeSeconds: "How long calls of the store took, waiting for their turn included."
        case .droppedCalls: "Calls refused without having begun: too many waited for the store, or one for too long."
        case .storeLogBytes: "Length of the log of a SQLite store."
        case .possibleDuplicates: "Webhooks that a receiver may have got twice."
        case .senderShortages: "Attempts put off because this machine lacked a resource; none was spent."
        case .clockDistrusted: "1 while the wall clock contradicts the last good time, and nothing is removed by it."
        case .acceptPauses: "How often no connection was accepted for a moment, for want of descriptors or of room."
        case .peopleRead: "Payouts whose people were shown unmasked."
        case .failedAuthentications: "Requests whose credential was refused."
        case .setAside: "What is passed over because its row or page is damaged."
        case .residentBytes: "Resident memory."
        case .cpuSeconds: "Processor time used, user and system."
        }
    }

    /// The value of `reason` for an acknowledged attempt.
    static let acknowledged = "ok"
    static let readOperation = "read"
    static let lookupOperation = "lookup"
}
