package import ReenvioModel

/// Something that cannot be read or written because a row or page is damaged: passed over for a while, so that nothing
/// else waits for it, and shown to the operator.
package struct SetAside: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        /// A delivery whose message or address cannot be read.
        case delivery
        /// A delivery whose attempt was made and whose result cannot be written.
        case outcome
        /// A queue whose deliveries cannot be claimed.
        case queue
        /// A receiver that cannot be probed.
        case receiver
    }

    package var kind: Kind
    package var merchantID: Int64
    package var id: Int64
    /// In words of ours or of the database; no value of a row.
    package var reason: String
    /// Engine time.
    package var until: Timestamp

    package init(_ kind: Kind, merchantID: Int64, id: Int64, reason: String, until: Timestamp) {
        self.kind = kind
        self.merchantID = merchantID
        self.id = id
        self.reason = reason
        self.until = until
    }

    /// For people.
    package var text: String {
        "\(kind.rawValue) \(id) of merchant \(merchantID) is set aside until \(TimeText.zulu(until)): \(reason)"
    }
}

extension Store {
    /// Most of them that are shown.
    package static let setAsidesShown = 100

    /// Puts off what cannot be read or written, and notes why; forgets what has come due again. One commit.
    package func setAside(_ items: [SetAside], now: Timestamp, engineNow: Timestamp) async throws {
        if items.isEmpty { return }
        try await engine.write(.outcomes) { db in
            let columns: [(name: String, type: SQLRows.ColumnType)] = [
                ("merchant_id", .int), ("id", .int), ("until_at", .int),
            ]
            var deliveries = SQLRows(columns)
            var queues = SQLRows(columns)
            var notes = SQLRows(columns + [("kind", .text), ("reason", .text), ("at", .int)])
            for item in items.sorted(by: { ($0.merchantID, $0.id) < ($1.merchantID, $1.id) }) {
                let row: [SQLValue] = [.int(item.merchantID), .int(item.id), .time(item.until)]
                switch item.kind {
                case .delivery, .outcome: deliveries.append(row)
                case .queue: queues.append(row)
                case .receiver: break
                }
                notes.append(row + [.text(item.kind.rawValue), .text(item.reason), .time(now)])
            }
            try db.send(Self.putQueuesOff, queues)
            try db.send(Self.putDeliveriesOff, deliveries)
            try db.send(Self.noteSetAside, notes)
            try db.run("DELETE FROM set_aside WHERE until_at < $1", [.time(engineNow)])
        }
    }

    /// Takes back what was set aside and is in order again.
    package func takeBack(_ kind: SetAside.Kind, ids: [(merchantID: Int64, id: Int64)]) async throws {
        try await engine.write(.outcomes) { db in
            var rows = SQLRows([("merchant_id", .int), ("id", .int), ("kind", .text)])
            for (merchantID, id) in ids { rows.append([.int(merchantID), .int(id), .text(kind.rawValue)]) }
            try db.send(Self.forgetSetAside, rows)
        }
    }

    /// What is set aside at this moment, bounded. `now` is engine time.
    package func setAsides(now: Timestamp) async throws -> [SetAside] {
        try await engine.read { db in
            try db.all(
                """
                SELECT kind, merchant_id, id, reason, until_at FROM set_aside WHERE until_at >= $1
                ORDER BY merchant_id, kind, id LIMIT $2
                """, [.time(now), .int(Self.setAsidesShown)]
            ) { row in
                SetAside.Kind(rawValue: row.text(0)).map {
                    SetAside($0, merchantID: row.int(1), id: row.int(2), reason: row.text(3), until: row.time(4))
                }
            }.compactMap { $0 }
        }
    }

    private static let putDeliveriesOff = """
        UPDATE deliveries SET due_at = rows.until_at FROM {rows}
        WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
        """

    private static let putQueuesOff = """
        UPDATE queues SET next_due = rows.until_at FROM {rows}
        WHERE queues.merchant_id = rows.merchant_id AND queues.id = rows.id
        """

    private static let noteSetAside = """
        INSERT INTO set_aside (merchant_id, kind, id, reason, at, until_at)
        SELECT rows.merchant_id, rows.kind, rows.id, rows.reason, rows.at, rows.until_at FROM {rows} WHERE true
        ON CONFLICT (merchant_id, kind, id) DO UPDATE SET reason = excluded.reason, until_at = excluded.until_at
        """

    private static let forgetSetAside = """
        DELETE FROM set_aside USING {rows}
        WHERE set_aside.merchant_id = rows.merchant_id AND set_aside.id = rows.id AND set_aside.kind = rows.kind
        """
}
