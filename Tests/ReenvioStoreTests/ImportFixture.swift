import ReenvioModel
import ReenvioStore
import ReenvioTesting

/// Lines to import, and what tests of imports ask a store.
enum ImportFixture {
    static let now = Fixtures.start + .seconds(3_600)
    static let createdAt = Fixtures.start
    static let updatedAt = Fixtures.start + .milliseconds(330_250)

    /// Three hours around `updatedAt`, every status.
    static let everything = ResendRequest(
        merchantID: Fixtures.merchantID,
        window: ResendWindow(startSeconds: createdAt.seconds - 3_600, endSeconds: createdAt.seconds + 7_200),
        statuses: PayoutStatus.notifiable
    )

    static func line(
        id: Int64?, merchantID: Int64 = Fixtures.merchantID, invoice: String? = nil, status: PayoutStatus = .paid,
        url: String? = Fixtures.receiverURL, endToEnd: String? = "E1", detail: StatusChangeRequest.Detail? = nil
    ) throws -> ImportLine {
        ImportLine(
            id: id, merchantID: merchantID, invoice: invoice ?? "imported-\(id ?? 0)",
            amount: Money(minor: 4_334, currency: "BRL"),
            notificationURL: try url.map { try ReceiverURL(parsing: $0, policy: AddressPolicy()) }, status: status,
            endToEnd: endToEnd, statusDetail: detail, createdAt: createdAt,
            updatedAt: status == .awaiting ? createdAt : updatedAt
        )
    }
}

extension Store {
    /// Imports lines as one batch.
    func take(_ lines: [ImportLine], now: Timestamp = ImportFixture.now) async throws -> [ImportOutcome] {
        try await importPayouts(lines, now: now, nonces: lines.indices.map { UInt64($0) + 40 })
    }

    func bodies() async throws -> [String] {
        try await engine.read { db in
            try db.all("SELECT body FROM notifications ORDER BY id") { String(decoding: $0.blob(0), as: UTF8.self) }
        }
    }

    func change(_ sql: String) async throws {
        _ = try await engine.write(.intake) { db in try db.run(sql) }
    }

    /// Numbers that any write changes.
    func fingerprint() async throws -> [Int64?] {
        var result: [Int64?] = []
        for table in ["payouts", "status_changes", "notifications", "deliveries", "queues", "parties", "receivers"] {
            result.append(try await number("SELECT count(*) FROM \(table)"))
        }
        result.append(try await number("SELECT sum(seq) FROM merchant_clocks"))
        result.append(try await number("SELECT sum(current * 31 + unacked * 17 + minute) FROM minute_counts"))
        // The sequences of PostgreSQL do not go back with a transaction.
        result.append(
            try await engine.read { db in
                guard db.dialect == .sqlite else { return nil }
                return try db.first("SELECT sum(next) FROM id_sequences") { $0.int(0) }
            })
        result.append(try await number("SELECT sum(status_id * id) FROM payouts"))
        return result
    }
}
