package import ReenvioModel

/// What one bounded sweep of the janitor removed.
package struct SweepResult: Sendable, Equatable {
    package var attempts = 0
    package var resends = 0
    package var queues = 0
    /// The merchant whose attempts were looked at last; nil once every merchant was.
    package var lastMerchantID: Int64?

    package init() {}

    /// Whether sweeping again at once is worth it.
    package var hasMore: Bool {
        lastMerchantID != nil || resends >= Store.sweepMax || queues >= Store.sweepMax
    }
}

extension Store {
    /// Most rows of a kind that one sweep removes.
    package static let sweepMax = 1_000
    private static let merchantsPerSweep = 200

    /// Forgets what has outlived its use: attempts after 30 days, ended resends after 90, empty queues. `after` is the
    /// merchant to go on from.
    package func sweep(after merchantID: Int64?, now: Timestamp) async throws -> SweepResult {
        try await engine.write(.janitor) { db in
            var result = SweepResult()
            try sweepAttempts(after: merchantID ?? 0, &result, now: now, in: db)
            result.resends = try sweepResends(endedBefore: now - .seconds(Limits.resendKeptSeconds), in: db)
            result.queues = try db.run(
                """
                DELETE FROM queues WHERE (merchant_id, id) IN (
                    SELECT merchant_id, id FROM queues
                    WHERE next_due = $1 AND parked = 0 AND lane IN (0, 1, 2) LIMIT $2) AND next_due = $1
                """,
                [.int(Int64.max), .int(Self.sweepMax)]
            )
            return result
        }
    }

    /// Deliveries are numbered as time goes by, so one mark a day finds old attempts by their key, without an index on
    /// time.
    private func sweepAttempts(
        after first: Int64, _ result: inout SweepResult, now: Timestamp, in db: any SQLConnection
    ) throws {
        let cutoff = now - .seconds(Limits.attemptsKeptSeconds)
        try db.run(
            """
            INSERT INTO delivery_marks (day, delivery_id)
            SELECT $1, next FROM id_sequences WHERE name = 'delivery' ON CONFLICT DO NOTHING
            """,
            [.int(now.seconds / 86_400)]
        )
        let mark = try db.first(
            "SELECT max(delivery_id) FROM delivery_marks WHERE day <= $1", [.int(cutoff.seconds / 86_400)]
        ) { $0.intIfPresent(0) }
        guard let found = mark, let oldest = found else { return }
        var merchantID = first
        for _ in 0..<Self.merchantsPerSweep where result.attempts < Self.sweepMax {
            let next = try db.first("SELECT min(merchant_id) FROM attempts WHERE merchant_id > $1", [.int(merchantID)])
            {
                $0.intIfPresent(0)
            }
            guard let found = next, let next = found else {
                result.lastMerchantID = nil
                return
            }
            let room = Self.sweepMax - result.attempts
            let deleted = try db.run(
                """
                DELETE FROM attempts WHERE (merchant_id, delivery_id, number, attempt_id) IN (
                    SELECT merchant_id, delivery_id, number, attempt_id FROM attempts
                    WHERE merchant_id = $1 AND delivery_id < $2 AND started_at < $3 LIMIT $4)
                """,
                [.int(next), .int(oldest), .time(cutoff), .int(room)]
            )
            result.attempts += deleted
            // A merchant with more than fits comes up again.
            result.lastMerchantID = deleted < room ? next : next - 1
            merchantID = next
        }
    }

    private func sweepResends(endedBefore: Timestamp, in db: any SQLConnection) throws -> Int {
        let ended = try db.all(
            "SELECT merchant_id, id FROM resends WHERE ended_at < $1 ORDER BY ended_at LIMIT $2",
            [.time(endedBefore), .int(Self.sweepMax)]
        ) { ($0.int(0), $0.int(1)) }
        var rows = SQLRows([("merchant_id", .int), ("id", .int)])
        for (merchantID, id) in ended { rows.append([.int(merchantID), .int(id)]) }
        try db.batch(
            """
            DELETE FROM resend_tallies USING {rows}
            WHERE resend_tallies.merchant_id = rows.merchant_id AND resend_tallies.resend_id = rows.id
            """, rows
        )
        return try db.batch("DELETE FROM resends USING {rows} WHERE resends.id = rows.id", rows)
    }
}
