package import ReenvioModel

/// A notice to be sent now, under a lease.
package struct ClaimedNotice: Sendable, Equatable {
    package var id: Int64
    package var type: String
    package var body: [UInt8]
    /// The number of this attempt, from 1.
    package var attempt: Int

    package var webhookID: WebhookID { OperatorNotice.webhookID(id: id, body: body) }
}

/// What became of an attempt at a notice.
package struct NoticeResult: Sendable {
    package enum Next: Sendable, Equatable {
        /// Acknowledged, or given up.
        case end
        /// Engine time.
        case retry(due: Timestamp)
        /// The attempt never began; its number is given back.
        case release(due: Timestamp)
    }

    package var notice: ClaimedNotice
    package var next: Next

    package init(notice: ClaimedNotice, next: Next) {
        self.notice = notice
        self.next = next
    }
}

/// How many notices somebody has room for.
package struct NoticeOrder: Sendable {
    /// Engine time, as is `leaseUntil`.
    package var now: Timestamp
    package var leaseUntil: Timestamp
    /// Wall time.
    package var wall: Timestamp
    package var limit: Int

    package init(now: Timestamp, leaseUntil: Timestamp, wall: Timestamp, limit: Int) {
        self.now = now
        self.leaseUntil = leaseUntil
        self.wall = wall
        self.limit = limit
    }
}

package struct NoticesTaken: Sendable {
    package var notices: [ClaimedNotice] = []
    /// Those that were too old to be told, and are gone.
    package var expired = 0
    /// When the next one comes due; nil when none waits. Engine time.
    package var nextDue: Timestamp?
}

extension Store {
    /// When the next notice comes due, leases included; nil when none waits. Engine time.
    package func nextNoticeDue() async throws -> Timestamp? {
        try await engine.lookup { db in try Notices.nextDue(in: db) }
    }

    /// Writes what became of notices, and claims due ones: each by one node, until its lease ends. One commit.
    package func settleNotices(_ results: [NoticeResult], claim order: NoticeOrder?) async throws -> NoticesTaken {
        try await engine.write(.claims) { db in
            try Notices.save(results, in: db)
            var taken = NoticesTaken()
            if let order { try Notices.claim(order, into: &taken, in: db) }
            taken.nextDue = try Notices.nextDue(in: db)
            return taken
        }
    }
}

enum Notices {
    /// The due time of what waits for the end of a hold.
    private static let never = Int64.max

    static func nextDue(in db: any SQLConnection) throws -> Timestamp? {
        try db.first("SELECT due_at FROM notices WHERE due_at < $1 ORDER BY due_at LIMIT 1", [.int(never)]) {
            $0.time(0)
        }
    }

    /// What is stored now goes out when the hold ends: a restored store would tell again what was told.
    static func hold(in db: any SQLConnection) throws {
        try db.run("UPDATE notices SET due_at = $1", [.int(never)])
    }

    static func endHold(in db: any SQLConnection) throws {
        try db.run("UPDATE notices SET due_at = 0 WHERE due_at = $1", [.int(never)])
    }

    fileprivate static func claim(
        _ order: NoticeOrder, into taken: inout NoticesTaken, in db: any SQLConnection
    ) throws {
        let oldest = order.wall - .seconds(Limits.noticeKeptSeconds)
        var leases = SQLRows([("id", .int), ("lease", .int)])
        var expired = SQLRows([("id", .int)])
        try db.query(due, [.time(order.now), .int(order.limit)]) { row in
            guard row.time(4) >= oldest else { return expired.append([.int(row.int(0))]) }
            leases.append([.int(row.int(0)), .time(order.leaseUntil)])
            taken.notices.append(
                ClaimedNotice(id: row.int(0), type: row.text(1), body: row.blob(2), attempt: Int(row.int(3)) + 1))
        }
        try db.send(lease, leases)
        taken.expired = try db.changes(delete, expired)
    }

    /// An acknowledged one is gone whoever has it by now. The number of the attempt says whether it is still ours to
    /// put off.
    fileprivate static func save(_ results: [NoticeResult], in db: any SQLConnection) throws {
        var ended = SQLRows([("id", .int)])
        var later = SQLRows([
            ("id", .int), ("attempt", .int), ("due", .int), ("given_back", .int), ("never", .int),
        ])
        for result in results.sorted(by: { $0.notice.id < $1.notice.id }) {
            let key: [SQLValue] = [.int(result.notice.id), .int(result.notice.attempt)]
            switch result.next {
            case .end: ended.append([.int(result.notice.id)])
            case .retry(let due): later.append(key + [.time(due), .int(0), .int(never)])
            case .release(let due): later.append(key + [.time(due), .int(1), .int(never)])
            }
        }
        try db.send(delete, ended)
        try db.send(putOff, later)
    }

    private static let due = """
        SELECT id, type, body, attempts, created_at FROM notices WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2
        FOR UPDATE SKIP LOCKED
        """

    private static let lease = """
        UPDATE notices SET due_at = rows.lease, attempts = notices.attempts + 1 FROM {rows} WHERE notices.id = rows.id
        """

    private static let delete = "DELETE FROM notices USING {rows} WHERE notices.id = rows.id"

    private static let putOff = """
        UPDATE notices SET due_at = rows.due, attempts = notices.attempts - rows.given_back FROM {rows}
        WHERE notices.id = rows.id AND notices.attempts = rows.attempt AND notices.due_at < rows.never
        """
}
