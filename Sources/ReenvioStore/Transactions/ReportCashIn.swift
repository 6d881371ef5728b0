package import ReenvioModel

/// Times and random bits of events that a request makes.
package struct EventStamp: Sendable {
    /// Wall time.
    package var now: Timestamp
    /// Engine time of the first attempts.
    package var due: Timestamp
    package var nonce: UInt64
    /// That of the request, where it had one.
    package var trace: TraceParent?

    package init(now: Timestamp, due: Timestamp, nonce: UInt64, trace: TraceParent? = nil) {
        self.now = now
        self.due = due
        self.nonce = nonce
        self.trace = trace
    }
}

extension Store {
    /// Stores a QR code with its first event, in one commit (`docs/contract.md` 8.4).
    /// - Returns: nil where the merchant is no account mirror.
    package func createQRCode(_ draft: QRCodeDraft, _ stamp: EventStamp) async throws -> QRCode? {
        let sealing = sealing
        return try await engine.write(.intake) { db in
            guard try Mirrors([draft.merchantID], in: db)[draft.merchantID] != nil else { return nil }
            var clocks = try MerchantClocks(locking: [draft.merchantID], in: db)
            let qrCode = QRCode(id: try db.nextIDs(.qrCode, 1)[0], status: .new, data: draft.data)
            try db.run(
                """
                INSERT INTO qr_codes (id, merchant_id, amount_minor, status, created_at, updated_at)
                VALUES ($1, $2, $3, $4, $5, $5)
                """,
                [
                    .int(qrCode.id), .int(draft.merchantID), .int(draft.data.amountMinor ?? 0),
                    .text(qrCode.status.rawValue), .time(stamp.now),
                ])
            var report = CashInReporting(
                merchantID: draft.merchantID, qrCode: qrCode, type: .qrCodeCreated, occurredAt: nil, sealing: sealing)
            try report.save(stamp, &clocks, in: db)
            try clocks.save(in: db)
            return qrCode
        }
    }

    /// Stores what happened to a QR code: its data, its status and the event, in one commit.
    /// - Returns: the QR code afterwards; nil for an unknown id.
    package func reportCashIn(_ report: CashInReport, qrCodeID: Int64, _ stamp: EventStamp) async throws -> QRCode? {
        let sealing = sealing
        return try await engine.write(.intake) { db in
            let merchantID = try db.first("SELECT merchant_id FROM qr_codes WHERE id = $1", [.int(qrCodeID)]) {
                $0.int(0)
            }
            guard let merchantID else { return nil }
            var clocks = try MerchantClocks(locking: [merchantID], in: db)
            guard var qrCode = try CashInReporting.load(qrCodeID, merchantID: merchantID, sealing: sealing, in: db)
            else { return nil }
            qrCode.data = qrCode.data.updated(with: report.data)
            qrCode.status = QRCode.status(after: report.type, from: qrCode.status)
            try db.run(
                """
                UPDATE qr_codes SET status = $2, amount_minor = $3,
                    updated_at = CASE WHEN updated_at < $4 THEN $4 ELSE updated_at END
                WHERE id = $1
                """,
                [
                    .int(qrCodeID), .text(qrCode.status.rawValue), .int(qrCode.data.amountMinor ?? 0), .time(stamp.now),
                ])
            var reporting = CashInReporting(
                merchantID: merchantID, qrCode: qrCode, type: report.type, occurredAt: report.occurredAt,
                sealing: sealing)
            try reporting.save(stamp, &clocks, in: db)
            try clocks.save(in: db)
            return qrCode
        }
    }

    static func qrCodeContext(id: Int64) -> String { "data of QR code \(id)" }
}

/// What one event of a QR code writes besides the QR code's own row.
private struct CashInReporting {
    let merchantID: Int64
    let qrCode: QRCode
    let type: EventType
    /// As it was reported; nil: now.
    let occurredAt: GivenTime?
    let sealing: SealingKey

    static func load(
        _ id: Int64, merchantID: Int64, sealing: SealingKey, in db: any SQLConnection
    ) throws -> QRCode? {
        let found = try db.first(
            """
            SELECT q.status, q.amount_minor, s.sealed, s.key_id FROM qr_codes q
            LEFT JOIN parties s ON s.merchant_id = $2 AND s.kind = 'qr_code' AND s.object_id = $1
            WHERE q.id = $1
            """, [.int(id), .int(merchantID)]
        ) { (status: $0.text(0), minor: $0.int(1), sealed: $0.blobIfPresent(2), keyID: $0.textIfPresent(3)) }
        guard let found, let status = QRCode.Status(rawValue: found.status) else { return nil }
        var stored = JSONObject()
        if let sealed = found.sealed, let keyID = found.keyID {
            let plain = try sealing.open(sealed, keyID: keyID, context: Store.qrCodeContext(id: id))
            if case .object(let object) = try JSONParser.parse(plain) { stored = object }
        }
        // What was erased keeps its amount (docs/contract.md 14).
        return QRCode(id: id, status: status, data: QRCode.Data(stored: stored).keeping(amountMinor: found.minor))
    }

    mutating func save(_ stamp: EventStamp, _ clocks: inout MerchantClocks, in db: any SQLConnection) throws {
        let sealed = try sealing.seal(qrCode.data.json, context: Store.qrCodeContext(id: qrCode.id))
        try db.run(
            """
            INSERT INTO parties (merchant_id, kind, object_id, sealed, key_id, created_at)
            VALUES ($1, 'qr_code', $2, $3, $4, $5)
            ON CONFLICT (merchant_id, kind, object_id) DO UPDATE SET sealed = excluded.sealed, key_id = excluded.key_id
            """, [.int(merchantID), .int(qrCode.id), .blob(sealed), .text(sealing.id), .time(stamp.now)])
        guard let mirror = try Mirrors([merchantID], in: db)[merchantID] else { return }
        let last = try db.first(
            """
            SELECT coalesce(max(e.sequence), 0), max(e.occurred_at) FROM \(NewEvents.chosen)
            WHERE i.merchant_id = $1 AND i.category = 'CASHIN' AND i.object_id = $2
            """, [.int(merchantID), .int(qrCode.id)]
        ) { (sequence: $0.int(0), at: $0.timeIfPresent(1)) }
        // Of the same moment at its own precision as the event before, it follows that one.
        let at = occurredAt.map { given in last?.at.map { given.raised(to: $0) } ?? given.moment }
        let envelope = CashInEvent(
            type: type, qrCode: qrCode, accountNumber: mirror.number, agencyNumber: mirror.branch)
        let event = NewEvent(
            merchantID: merchantID, type: type, objectID: qrCode.id, seq: clocks.next(merchantID),
            sequence: (last?.sequence ?? 0) + 1, occurredAt: at ?? stamp.now, nonce: stamp.nonce, trace: stamp.trace,
            body: envelope.body)
        var wakes = QueueWakes()
        var writer = NewEvents(sealing: sealing, now: stamp.now)
        try writer.write([event], due: stamp.due, wakes: &wakes, in: db)
        try wakes.save(in: db)
    }
}
