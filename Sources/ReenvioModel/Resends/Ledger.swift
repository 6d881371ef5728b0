/// What became of one payout of a job, or of one message of a log. The counts of a resend by outcome are those of
/// `docs/contract.md` 13.1; `failed` is its own count.
package enum LedgerOutcome: String, Sendable, CaseIterable {
    case delivered
    /// Attempts exhausted or stopped.
    case undelivered
    case pending
    /// Canceled, or acknowledged meanwhile.
    case skipped
    /// Could not be enqueued.
    case failed

    package init(_ end: DeliveryEnd) {
        switch end {
        case .acknowledged: self = .delivered
        case .exhausted, .stopped: self = .undelivered
        case .skipped: self = .skipped
        }
    }
}

/// A row of a ledger, in each of its forms.
package protocol LedgerRow: Sendable {
    /// The header row of CSV.
    static var columns: [String] { get }
    /// The same in the order of `columns`; null is empty.
    var fields: [String] { get }
    func writeMembers(into writer: inout JSONWriter)
}

/// One payout of a job, and what was sent for it (`docs/contract.md` 13.4).
package struct LedgerItem: LedgerRow, Equatable {
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

    package static let columns = [
        "payout_id", "invoice", "webhook_id", "outcome", "attempts", "last_status_code", "last_reason",
        "last_attempt_at",
    ]

    package var fields: [String] {
        [
            String(payoutID), invoice ?? "", webhookID?.description ?? "", outcome.rawValue, String(attempts),
            lastStatusCode.map { String($0) } ?? "", lastReason ?? "", lastAttemptAt.map(TimeText.zulu) ?? "",
        ]
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
    /// RFC 4180: a header row, lines end with CR LF, null is empty. A field that a spreadsheet would take for a formula
    /// begins with an apostrophe.
    case csv
    /// A JSON object a line.
    case ndjson

    package var contentType: String {
        switch self {
        case .csv: "text/csv; charset=utf-8"
        case .ndjson: "application/x-ndjson"
        }
    }

    /// The bytes before the first item.
    package func head<Row: LedgerRow>(of _: Row.Type) -> [UInt8] {
        switch self {
        case .csv: Self.line(Row.columns)
        case .ndjson: []
        }
    }

    package func bytes(_ items: [some LedgerRow]) -> [UInt8] {
        items.flatMap { item in
            switch self {
            case .csv: return Self.line(item.fields)
            case .ndjson:
                var writer = JSONWriter()
                writer.object { item.writeMembers(into: &$0) }
                return writer.bytes + [UInt8(ascii: "\n")]
            }
        }
    }

    private static func line(_ fields: [String]) -> [UInt8] {
        Array((fields.map(quoted).joined(separator: ",") + "\r\n").utf8)
    }

    /// Spreadsheets evaluate what begins with these, and send what is in other cells where a formula says so.
    private static let formulaStarts = Array("=+-@\t\r\n".utf8)

    /// By bytes: CR LF is one character of Swift, and equal to neither of its halves.
    private static func quoted(_ field: String) -> String {
        if let first = field.utf8.first, formulaStarts.contains(first) {
            return "\"'" + field.replacing("\"", with: "\"\"") + "\""
        }
        let special = Array(",\"\r\n".utf8)
        guard field.utf8.contains(where: special.contains) else { return field }
        return "\"" + field.replacing("\"", with: "\"\"") + "\""
    }
}

/// What `GET .../resend/{job_id}/items` asks for, checked as a whole (`docs/contract.md` 13.4; of a log, 13.18).
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
        if format != nil { reader.refuse(["limit", "cursor"], with: "format") }
        try reader.throwFaults()
    }
}
