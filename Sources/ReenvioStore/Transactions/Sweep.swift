package import ReenvioModel

/// Where the janitor goes on.
package struct SweepPosition: Sendable, Equatable {
    /// The merchant whose attempts were looked at last; nil before and after a pass over all of them.
    package var merchantID: Int64?
    /// The attempt whose answer was looked at last; nil before and after a pass over all of them.
    package var answer: Answer?
    /// The walk over ended deliveries, and the day on which the last one began.
    var ended: SweepDeliveries.Position?
    var endedWalkedOn: Int64?

    package struct Answer: Sendable, Equatable {
        package var merchantID: Int64
        package var deliveryID: Int64
        package var number: Int64
        package var attemptID: [UInt8]
    }

    package init() {}

    /// Whether a pass is under way.
    package var isUnderWay: Bool { merchantID != nil || answer != nil || ended != nil }
}

/// What a sweep looks at, in this order.
package enum SweepKind: Sendable, CaseIterable {
    case attempts, deliveries, answers, resends, parties, audit, idempotencyKeys, queues

    package static let all = Set(allCases)
}

/// What one bounded sweep of the janitor removed, by kind.
package struct SweepResult: Sendable, Equatable {
    package var attempts = 0
    package var deliveries = 0
    package var answers = 0
    package var resends = 0
    package var parties = 0
    package var audit = 0
    package var idempotencyKeys = 0
    package var queues = 0
    package var position = SweepPosition()

    package init() {}

    /// Whether sweeping again at once is worth it.
    package var hasMore: Bool {
        position.isUnderWay
            || [resends, parties, audit, idempotencyKeys, queues].contains { $0 >= Store.sweepMax }
    }

    /// Kinds of which something was removed, for the log.
    package var removed: [(kind: String, count: Int)] {
        [
            ("attempts", attempts), ("deliveries", deliveries), ("answers", answers), ("resends", resends),
            ("parties", parties),
            ("audit", audit), ("idempotency_keys", idempotencyKeys),
        ].filter { $0.1 > 0 }
    }
}

extension Store {
    /// Most rows of a kind that one sweep removes.
    package static let sweepMax = 1_000
    private static let merchantsPerSweep = 200

    /// Forgets what has outlived its use (`docs/contract.md` 14). Each call is one bounded write; `position` is where
    /// the last one stopped. `kinds`: where one cannot be swept, the others are swept without it.
    package func sweep(
        from position: SweepPosition, retention: Retention, now: Timestamp, kinds: Set<SweepKind> = SweepKind.all
    ) async throws -> SweepResult {
        try await engine.write(.janitor) { db in
            var result = SweepResult()
            result.position = position
            for kind in SweepKind.allCases where kinds.contains(kind) {
                try sweep(kind, from: position, retention, now, into: &result, in: db)
            }
            return result
        }
    }

    private func sweep(
        _ kind: SweepKind, from position: SweepPosition, _ retention: Retention, _ now: Timestamp,
        into result: inout SweepResult, in db: any SQLConnection
    ) throws {
        switch kind {
        case .attempts:
            let cutoff = TimePieces.rowCutoff(.attempts, retention, now, db.dialect)
            result.position.merchantID = nil
            try sweepAttempts(after: position.merchantID ?? 0, &result, cutoff: cutoff, now: now, in: db)
        case .deliveries:
            let cutoff = TimePieces.rowCutoff(.deliveries, retention, now, db.dialect)
            result.deliveries = try SweepDeliveries(cutoff: cutoff, now: now).run(&result.position, in: db)
        case .answers:
            result.position.answer = nil
            guard retention.dropsAnswersFirst else { return }
            try sweepAnswers(after: position.answer, &result, cutoff: retention.cutoff(.answers, now: now), in: db)
        case .resends:
            result.resends = try sweepResends(endedBefore: retention.cutoff(.resends, now: now), in: db)
            try Self.sweepBatch(endedBefore: retention.cutoff(.resends, now: now), in: db)
        case .parties:
            result.parties = try sweepParties(cutoff: retention.cutoff(.parties, now: now), now: now, in: db)
        case .audit:
            result.audit = try db.run(
                "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY id LIMIT $2)",
                [.time(retention.cutoff(.audit, now: now)), .int(Self.sweepMax)])
        case .idempotencyKeys:
            result.idempotencyKeys = try sweepIdempotencyKeys(cutoff: IdempotencyKeys.oldest(now), in: db)
        case .queues:
            result.queues = try db.run(Self.deleteQueues, [.int(Int64.max), .int(Self.sweepMax)])
        }
    }

    /// People's data, and with it the v3 bodies that repeat it. Never what a running resend could still need.
    private func sweepParties(cutoff: Timestamp, now: Timestamp, in db: any SQLConnection) throws -> Int {
        let old = try db.all(
            """
            SELECT p.merchant_id, p.kind, p.object_id FROM parties p
            WHERE p.created_at < $1 AND p.merchant_id NOT IN (
                SELECT merchant_id FROM resends WHERE state = 'processing'
                UNION ALL SELECT merchant_id FROM resends WHERE state = 'awaiting')
            ORDER BY p.created_at LIMIT $2
            """, [.time(cutoff), .int(Self.sweepMax)]
        ) { (merchantID: $0.int(0), kind: $0.text(1), objectID: $0.int(2)) }
        var rows = SQLRows([("merchant_id", .int), ("kind", .text), ("object_id", .int)])
        for party in old { rows.append([.int(party.merchantID), .text(party.kind), .int(party.objectID)]) }
        try db.send(
            """
            DELETE FROM parties USING {rows}
            WHERE parties.merchant_id = rows.merchant_id AND parties.kind = rows.kind
                AND parties.object_id = rows.object_id
            """, rows)
        let mirrors = try Mirrors(old.map(\.merchantID), in: db)
        for party in old where mirrors[party.merchantID] != nil {
            let category: EventCategory = party.kind == "qr_code" ? .cashIn : .cashOut
            try EraseEvents(merchantID: party.merchantID, category: category, objectID: party.objectID)
                .run(now: now, in: db)
        }
        return rows.count
    }

    /// One batch at a time: it may have many merchants. Its jobs go by themselves.
    private static func sweepBatch(endedBefore: Timestamp, in db: any SQLConnection) throws {
        let id = try db.first(
            "SELECT id FROM resend_batches WHERE ended_at < $1 ORDER BY ended_at LIMIT 1", [.time(endedBefore)]
        ) { $0.int(0) }
        guard let id else { return }
        try db.run("DELETE FROM resend_batch_merchants WHERE batch_id = $1", [.int(id)])
        try db.run("DELETE FROM resend_batches WHERE id = $1", [.int(id)])
    }

    /// Found first: SQLite would look at all keys of an account for each one. One that was used anew meanwhile stays.
    private func sweepIdempotencyKeys(cutoff: Timestamp, in db: any SQLConnection) throws -> Int {
        var rows = SQLRows([
            ("account_id", .int), ("method", .text), ("path", .text), ("key", .text), ("cutoff", .int),
        ])
        try db.query(
            """
            SELECT account_id, method, path, key FROM idempotency_keys WHERE created_at <= $1
            ORDER BY created_at LIMIT $2
            """, [.time(cutoff), .int(Self.sweepMax)]
        ) { rows.append([.int($0.int(0)), .text($0.text(1)), .text($0.text(2)), .text($0.text(3)), .time(cutoff)]) }
        return try db.changes(
            """
            DELETE FROM idempotency_keys USING {rows}
            WHERE idempotency_keys.account_id = rows.account_id AND idempotency_keys.method = rows.method
                AND idempotency_keys.path = rows.path AND idempotency_keys.key = rows.key
                AND idempotency_keys.created_at <= rows.cutoff
            """, rows)
    }

    private static let deleteQueues = """
        DELETE FROM queues WHERE (merchant_id, id) IN (
            SELECT merchant_id, id FROM queues
            WHERE next_due = $1 AND parked = 0 AND lane IN (0, 1, 2) LIMIT $2) AND next_due = $1
        """

    /// Answers that go before their attempts: a walk over all attempts, a bounded piece at a time. There is no index on
    /// time, which every delivery would pay for.
    private func sweepAnswers(
        after last: SweepPosition.Answer?, _ result: inout SweepResult, cutoff: Timestamp, in db: any SQLConnection
    ) throws {
        var seen = 0
        var next: SweepPosition.Answer?
        var rows = SQLRows([("merchant_id", .int), ("delivery_id", .int), ("number", .int), ("attempt_id", .blob)])
        try db.query(
            """
            SELECT merchant_id, delivery_id, number, attempt_id, started_at, answer IS NULL AND location IS NULL
            FROM attempts
            WHERE (merchant_id, delivery_id, number, attempt_id) > ($1, $2, $3, $4)
            ORDER BY merchant_id, delivery_id, number, attempt_id LIMIT $5
            """,
            [
                .int(last?.merchantID ?? 0), .int(last?.deliveryID ?? 0), .int(last?.number ?? 0),
                .blob(last?.attemptID ?? []), .int(Self.sweepMax),
            ]
        ) { row in
            seen += 1
            let key = SweepPosition.Answer(
                merchantID: row.int(0), deliveryID: row.int(1), number: row.int(2), attemptID: row.blob(3))
            next = key
            guard row.time(4) < cutoff, !row.bool(5) else { return }
            rows.append([.int(key.merchantID), .int(key.deliveryID), .int(key.number), .blob(key.attemptID)])
        }
        result.answers = try db.changes(
            """
            UPDATE attempts SET answer = NULL, location = NULL FROM {rows}
            WHERE attempts.merchant_id = rows.merchant_id AND attempts.delivery_id = rows.delivery_id
                AND attempts.number = rows.number AND attempts.attempt_id = rows.attempt_id
            """, rows)
        result.position.answer = seen < Self.sweepMax ? nil : next
    }

    /// Deliveries are numbered as time goes by, so one mark a day finds old attempts by their key, without an index on
    /// time.
    private func sweepAttempts(
        after first: Int64, _ result: inout SweepResult, cutoff: Timestamp, now: Timestamp, in db: any SQLConnection
    ) throws {
        try db.run(
            "INSERT INTO delivery_marks (day, delivery_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            [.int(now.seconds / 86_400), .int(try db.idCeiling(.delivery))]
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
                result.position.merchantID = nil
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
            result.position.merchantID = deleted < room ? next : next - 1
            merchantID = next
        }
    }

    private func sweepResends(endedBefore: Timestamp, in db: any SQLConnection) throws -> Int {
        let ended = try db.all(
            "SELECT merchant_id, id, failed > 0 FROM resends WHERE ended_at < $1 ORDER BY ended_at LIMIT $2",
            [.time(endedBefore), .int(Self.sweepMax)]
        ) { (merchantID: $0.int(0), id: $0.int(1), hasFailures: $0.bool(2)) }
        var rows = SQLRows([("merchant_id", .int), ("id", .int)])
        // A resend goes once its failed items are gone, of which there may be more than one sweep removes.
        var room = Self.sweepMax
        for resend in ended where room > 0 {
            if resend.hasFailures {
                room -= try FailedItems.forget(
                    merchantID: resend.merchantID, resendID: resend.id, limit: room, in: db)
            }
            if room > 0 { rows.append([.int(resend.merchantID), .int(resend.id)]) }
        }
        try db.send(
            """
            DELETE FROM resend_tallies USING {rows}
            WHERE resend_tallies.merchant_id = rows.merchant_id AND resend_tallies.resend_id = rows.id
            """, rows
        )
        let deleted = try db.changes("DELETE FROM resends USING {rows} WHERE resends.id = rows.id", rows)
        return room > 0 ? deleted : Self.sweepMax
    }
}
