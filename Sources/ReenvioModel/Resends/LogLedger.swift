/// One message of a v3 resend, an event for a registration, and what was sent for it (`docs/contract.md` 13.18).
package struct LogLedgerItem: LedgerRow, Equatable {
    package var eventID: Int64
    package var registrationID: Int64
    /// The QR code or payout; nil where the event is not stored any more.
    package var objectID: Int64?
    package var type: String?
    package var webhookID: WebhookID?
    package var outcome: LedgerOutcome
    package var attempts: Int64
    package var lastStatusCode: Int64?
    /// A word of `AttemptFailure`; nil on success.
    package var lastReason: String?
    package var lastAttemptAt: Timestamp?

    package init(
        eventID: Int64, registrationID: Int64, objectID: Int64?, type: String?, webhookID: WebhookID?,
        outcome: LedgerOutcome, attempts: Int64, lastStatusCode: Int64?, lastReason: String?,
        lastAttemptAt: Timestamp?
    ) {
        self.eventID = eventID
        self.registrationID = registrationID
        self.objectID = objectID
        self.type = type
        self.webhookID = webhookID
        self.outcome = outcome
        self.attempts = attempts
        self.lastStatusCode = lastStatusCode
        self.lastReason = lastReason
        self.lastAttemptAt = lastAttemptAt
    }

    package static let columns = [
        "object_reference_id", "type", "webhook_id", "message_id", "outcome", "attempts", "last_status_code",
        "last_reason", "last_attempt_at",
    ]

    package var fields: [String] {
        [
            objectID.map { String($0) } ?? "", type ?? "", String(registrationID), webhookID?.description ?? "",
            outcome.rawValue, String(attempts), lastStatusCode.map { String($0) } ?? "", lastReason ?? "",
            lastAttemptAt.map(TimeText.zulu) ?? "",
        ]
    }

    /// `webhook_id` is the registration, as everywhere in v3; `message_id` is the header `webhook-id`.
    package func writeMembers(into writer: inout JSONWriter) {
        writer.member("object_reference_id", objectID.map { String($0) })
        writer.member("type", type)
        writer.member("webhook_id", registrationID)
        writer.member("message_id", webhookID?.description)
        writer.member("outcome", outcome.rawValue)
        writer.member("attempts", attempts)
        writer.member("last_status_code", lastStatusCode)
        writer.member("last_reason", lastReason)
        writer.member("last_attempt_at", lastAttemptAt.map(TimeText.zulu))
    }
}

/// A place in the ledger of a log: behind a message. Messages stand in order of events, then registrations.
package struct LogLedgerPlace: Sendable, Equatable {
    package var eventID: Int64
    package var registrationID: Int64

    package init(eventID: Int64, registrationID: Int64) {
        self.eventID = eventID
        self.registrationID = registrationID
    }

    package static let start = LogLedgerPlace(eventID: 0, registrationID: 0)

    package var cursor: String { "c\(String(eventID, radix: 32)).\(String(registrationID, radix: 32))" }

    package init?(cursor: String) {
        let parts = cursor.dropFirst().split(separator: ".", omittingEmptySubsequences: false)
        guard cursor.hasPrefix("c"), parts.count == 2, let eventID = Int64(parts[0], radix: 32), eventID > 0,
            let registrationID = Int64(parts[1], radix: 32), registrationID > 0
        else { return nil }
        self.init(eventID: eventID, registrationID: registrationID)
    }
}

/// What `GET /v3/webhooks/resend/{id}/items` asks for (`docs/contract.md` 13.18).
package struct LogLedgerQuery: Sendable, Equatable {
    package var outcome: LedgerOutcome?
    package var format: LedgerFormat?
    package var limit: Int64
    package var after: LogLedgerPlace?

    /// - Throws: every fault at once. A format sends the whole ledger, so it goes with neither `limit` nor `cursor`.
    package init(_ parameters: [(name: String, value: String)]) throws(Faults) {
        var reader = QueryReader(parameters, strictly: ["outcome", "format", "limit", "cursor"])
        outcome = reader.choice("outcome", LedgerOutcome.allCases.map(\.rawValue)).flatMap(LedgerOutcome.init)
        format = reader.choice("format", LedgerFormat.allCases.map(\.rawValue)).flatMap(LedgerFormat.init)
        let page = reader.page { LogLedgerPlace(cursor: $0) }
        (limit, after) = (page.limit, page.after)
        if format != nil { reader.refuse(["limit", "cursor"], with: "format") }
        try reader.throwFaults()
    }
}
