/// What became of one payout of a job. A job's counts by outcome are those of `docs/contract.md` 13.1.
package enum LedgerOutcome: String, Sendable, CaseIterable {
    case delivered
    /// Attempts exhausted or stopped.
    case undelivered
    case pending
    /// Canceled, or acknowledged meanwhile.
    case skipped

    package init(_ end: DeliveryEnd) {
        switch end {
        case .acknowledged: self = .delivered
        case .exhausted, .stopped: self = .undelivered
        case .skipped: self = .skipped
        }
    }
}

/// One payout of a job, and what was sent for it (`docs/contract.md` 13.4).
package struct LedgerItem: Sendable, Equatable {
    package var payoutID: Int64
    package var invoice: String?
    /// Of the notification sent last, or of the payout's latest where nothing was sent.
    package var webhookID: WebhookID?
    package var outcome: LedgerOutcome
    package var attempts: Int64
    /// What was answered last; nil where nothing was, or where it was forgotten (`docs/contract.md` 14).
    package var lastStatusCode: Int64?
    /// A word of `AttemptFailure`; nil on success.
    package var lastReason: String?
    /// Nil where nothing was sent, or where it was forgotten.
    package var lastAttemptAt: Timestamp?

    package init(
        payoutID: Int64, invoice: String?, webhookID: WebhookID?, outcome: LedgerOutcome, attempts: Int64,
        lastStatusCode: Int64?, lastReason: String?, lastAttemptAt: Timestamp?
    ) {
        self.payoutID = payoutID
        self.invoice = invoice
        self.webhookID = webhookID
        self.outcome = outcome
        self.attempts = attempts
        self.lastStatusCode = lastStatusCode
        self.lastReason = lastReason
        self.lastAttemptAt = lastAttemptAt
    }

    package func writeMembers(into writer: inout JSONWriter) {
        writer.member("payout_id", payoutID)
        writer.member("invoice", invoice)
        writer.member("webhook_id", webhookID?.description)
        writer.member("outcome", outcome.rawValue)
        writer.member("attempts", attempts)
        writer.member("last_status_code", lastStatusCode)
        writer.member("last_reason", lastReason)
        writer.member("last_attempt_at", lastAttemptAt.map(TimeText.zulu))
    }
}

/// The forms in which a whole ledger is sent at once (`docs/contract.md` 13.4).
package enum LedgerFormat: String, Sendable, CaseIterable {
    /// RFC 4180: a header row, lines end with CR LF, null is empty.
    case csv
    /// A JSON object a line.
    case ndjson

    package var contentType: String {
        switch self {
        case .csv: "text/csv"
        case .ndjson: "application/x-ndjson"
        }
    }

    /// What stands before the first item.
    package var head: [UInt8] {
        switch self {
        case .csv:
            Array("payout_id,invoice,webhook_id,outcome,attempts,last_status_code,last_reason,last_attempt_at\r\n".utf8)
        case .ndjson: []
        }
    }

    package func bytes(_ items: [LedgerItem]) -> [UInt8] {
        items.flatMap { item in
            switch self {
            case .csv: return Self.csvLine(item)
            case .ndjson:
                var writer = JSONWriter()
                writer.object { item.writeMembers(into: &$0) }
                return writer.bytes + [UInt8(ascii: "\n")]
            }
        }
    }

    private static func csvLine(_ item: LedgerItem) -> [UInt8] {
        let fields = [
            String(item.payoutID), item.invoice ?? "", item.webhookID?.description ?? "", item.outcome.rawValue,
            String(item.attempts), item.lastStatusCode.map { String($0) } ?? "", item.lastReason ?? "",
            item.lastAttemptAt.map(TimeText.zulu) ?? "",
        ]
        return Array((fields.map(quoted).joined(separator: ",") + "\r\n").utf8)
    }

    /// By bytes: CR LF is one character of Swift, and equal to neither of its halves.
    private static func quoted(_ field: String) -> String {
        let special = Array(",\"\r\n".utf8)
        guard field.utf8.contains(where: special.contains) else { return field }
        return "\"" + field.replacing("\"", with: "\"\"") + "\""
    }
}

/// What `GET .../resend/{job_id}/items` asks for, checked as a whole (`docs/contract.md` 13.4).
package struct LedgerQuery: Sendable, Equatable {
    package var outcome: LedgerOutcome?
    /// Nil: a page of JSON.
    package var format: LedgerFormat?
    package var page: CursorPage

    /// - Throws: every fault at once. A format sends the whole ledger, so it goes with neither `limit` nor `cursor`.
    package init(_ parameters: [(name: String, value: String)]) throws(Faults) {
        var reader = QueryReader(parameters, known: ["outcome", "format"] + QueryReader.pageNames)
        outcome = reader.choice("outcome", LedgerOutcome.allCases.map(\.rawValue)).flatMap(LedgerOutcome.init)
        format = reader.choice("format", LedgerFormat.allCases.map(\.rawValue)).flatMap(LedgerFormat.init)
        page = reader.page()
        if format != nil {
            for name in ["limit", "cursor"] where reader.isGiven(name) && reader.faults[name] == nil {
                reader.faults.add(name, "The \(name) field cannot be used with format.")
            }
        }
        try reader.throwFaults()
    }
}
