package import ReenvioModel

/// Destroys the bodies of an object's events, which name people, and ends what would still send them
/// (`docs/contract.md` 14). The events themselves stay, without a key: a resend of one counts as failed.
struct EraseEvents {
    let merchantID: Int64
    let category: EventCategory
    let objectID: Int64

    func run(now: Timestamp, in db: any SQLConnection) throws {
        var notifications = SQLRows(Self.columns)
        var events: [Int64] = []
        try db.query(
            """
            SELECT e.id, e.notification_id FROM \(NewEvents.chosen)
            WHERE i.merchant_id = $1 AND i.category = $2 AND i.object_id = $3 ORDER BY i.seq
            """, [.int(merchantID), .text(category.rawValue), .int(objectID)]
        ) { row in
            events.append(row.int(0))
            notifications.append(Self.row(notificationID: row.int(1)))
        }
        if notifications.isEmpty { return }
        try Self.erase(notifications, in: db)
        var ended = EndedDeliveries(now: now)
        try db.batch(EndedDeliveries.loadOfEvents, try atRegistrations(events, in: db)) {
            ended.add($0, end: .stopped, reason: .erased)
        }
        try ended.save(in: db)
    }

    /// Each event at each registration of the merchant, ended ones too.
    private func atRegistrations(_ events: [Int64], in db: any SQLConnection) throws -> SQLRows {
        var rows = SQLRows([("merchant_id", .int), ("registration_id", .int), ("event_id", .int)])
        let registrations = try db.all(
            "SELECT id FROM registrations WHERE merchant_id = $1 ORDER BY id", [.int(merchantID)]
        ) { $0.int(0) }
        for registration in registrations {
            for event in events { rows.append([.int(merchantID), .int(registration), .int(event)]) }
        }
        return rows
    }

    static let columns: [(name: String, type: SQLRows.ColumnType)] = [("id", .int), ("body", .blob)]

    static func row(notificationID: Int64) -> [SQLValue] { [.int(notificationID), .blob([])] }

    static func erase(_ rows: SQLRows, in db: any SQLConnection) throws {
        try db.send(
            "UPDATE notifications SET body = rows.body, key_id = NULL FROM {rows} WHERE notifications.id = rows.id",
            rows)
    }
}

extension Store {
    /// Destroys the people's data of QR codes, and keeps ids, amounts and history.
    /// - Returns: the ids that exist, erased now or before.
    package func eraseQRCodes(ids: [Int64], by requester: Requester, now: Timestamp) async throws -> [Int64] {
        try await engine.write(.intake) { db in
            var found: [Int64] = []
            for id in ids.prefix(Self.partiesPerPage) {
                let owner = try db.first(
                    """
                    SELECT q.merchant_id, m.account_id FROM qr_codes q JOIN merchants m ON m.id = q.merchant_id
                    WHERE q.id = $1
                    """, [.int(id)]
                ) { (merchantID: $0.int(0), accountID: $0.int(1)) }
                guard let owner else { continue }
                found.append(id)
                let deleted = try db.run(
                    "DELETE FROM parties WHERE merchant_id = $1 AND kind = 'qr_code' AND object_id = $2",
                    [.int(owner.merchantID), .int(id)])
                try EraseEvents(merchantID: owner.merchantID, category: .cashIn, objectID: id).run(now: now, in: db)
                guard deleted > 0 else { continue }
                let entry = Audit.Entry(
                    at: now, accountID: owner.accountID, by: requester, action: "qr_code.erase",
                    target: "qr code \(id)")
                try Audit.write(entry, in: db)
            }
            return found
        }
    }

    /// Looks through a page of QR codes for a debtor's document, as `findParties` does among payouts.
    package func findQRCodes(
        document: DocumentNumber, after key: PartiesKey?
    ) async throws -> (ids: [Int64], seen: Int, next: PartiesKey?) {
        let rows = try await engine.read { db in
            try db.all(
                """
                SELECT merchant_id, object_id, sealed, key_id FROM parties
                WHERE kind = 'qr_code' AND (merchant_id, object_id) > ($1, $2)
                ORDER BY merchant_id, object_id LIMIT $3
                """, [.int(key?.merchantID ?? 0), .int(key?.payoutID ?? 0), .int(Self.partiesPerPage)]
            ) { row in
                (
                    key: PartiesKey(merchantID: row.int(0), payoutID: row.int(1)), sealed: row.blob(2),
                    keyID: row.text(3)
                )
            }
        }
        let matching = try rows.filter { row in
            let context = Self.qrCodeContext(id: row.key.payoutID)
            let plain = try sealing.open(row.sealed, keyID: row.keyID, context: context)
            guard case .object(let object) = try JSONParser.parse(plain) else { return false }
            return QRCode.Data(stored: object).names(document: document)
        }
        let next = rows.count < Self.partiesPerPage ? nil : rows.last?.key
        return (matching.map(\.key.payoutID), rows.count, next)
    }
}
