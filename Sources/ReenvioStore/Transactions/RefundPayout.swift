package import ReenvioModel

/// What became of a reported refund.
package enum Refunded: Sendable, Equatable {
    case applied
    case notFound
    /// Only a paid payout is refunded, and once.
    case notPaid(PayoutStatus)
    case alreadyRefunded
}

extension Store {
    /// Notes that the recipient's bank returned a payout: status and `updated_at` stay, v3 tells it
    /// (`docs/contract.md` 8.4).
    package func refundPayout(id: Int64, _ report: RefundReport, _ stamp: EventStamp) async throws -> Refunded {
        let sealing = sealing
        return try await engine.write(.intake) { db in
            let merchantID = try db.first("SELECT merchant_id FROM payouts WHERE id = $1", [.int(id)]) { $0.int(0) }
            guard let merchantID else { return .notFound }
            var clocks = try MerchantClocks(locking: [merchantID], in: db)
            let found = try db.first(
                """
                SELECT p.status_id, p.refunded_at IS NOT NULL, p.invoice, p.amount_minor, p.currency, p.end_to_end,
                    p.paid_at, p.latest_sequence, s.sealed, s.key_id, p.updated_at
                FROM payouts p
                LEFT JOIN parties s ON s.merchant_id = $2 AND s.kind = 'payout' AND s.object_id = $1
                WHERE p.id = $1
                """, [.int(id), .int(merchantID)]
            ) { try RefundedPayout($0, id: id, merchantID: merchantID, sealing: sealing) }
            guard let found else { return .notFound }
            guard found.status == .paid else { return .notPaid(found.status) }
            guard !found.isRefunded else { return .alreadyRefunded }
            // By default no earlier than the payment, whose time may have been given and lie ahead.
            let at = report.occurredAt?.raised(to: found.updatedAt) ?? max(stamp.now, found.updatedAt)
            try db.run("UPDATE payouts SET refunded_at = $2 WHERE id = $1", [.int(id), .time(at)])
            if let mirror = try Mirrors([merchantID], in: db)[merchantID] {
                let event = NewEvent(
                    merchantID: merchantID, type: .pixCashOutRefund, objectID: id, seq: clocks.next(merchantID),
                    sequence: found.latestSequence + 1, occurredAt: at, nonce: stamp.nonce, trace: stamp.trace,
                    body: found.event(report, fromAccount: mirror.number).body)
                var wakes = QueueWakes()
                var writer = NewEvents(sealing: sealing, now: stamp.now)
                try writer.write([event], due: stamp.due, wakes: &wakes, in: db)
                try wakes.save(in: db)
            }
            try clocks.save(in: db)
            return .applied
        }
    }
}

/// A payout as its refund needs it.
private struct RefundedPayout {
    var id: Int64
    var status: PayoutStatus
    var isRefunded: Bool
    var amount: Money
    var endToEnd: String?
    var paidAt: Timestamp?
    var latestSequence: Int64
    var updatedAt: Timestamp
    var parties: Parties?

    init(_ row: any SQLRow, id: Int64, merchantID: Int64, sealing: SealingKey) throws {
        guard let status = PayoutStatus(id: row.int(0)) else { throw StoreError.failed("unknown status") }
        self.id = id
        self.status = status
        isRefunded = row.bool(1)
        amount = Money(minor: row.int(3), currency: row.text(4))
        endToEnd = row.textIfPresent(5)
        paidAt = row.timeIfPresent(6)
        latestSequence = row.int(7)
        updatedAt = row.time(10)
        guard let sealed = row.blobIfPresent(8), let keyID = row.textIfPresent(9) else { return }
        let context = Store.partiesContext(merchantID: merchantID, invoice: row.text(2))
        let plain = try sealing.open(sealed, keyID: keyID, context: context)
        if case .object(let object) = try JSONParser.parse(plain) { parties = Parties(json: object) }
    }

    func event(_ report: RefundReport, fromAccount: String) -> CashOutEvent {
        CashOutEvent(
            type: .pixCashOutRefund, transactionID: id, endToEnd: report.endToEnd, amount: amount,
            pixKey: parties?.pix.pixKey, paymentDate: paidAt, fromAccount: fromAccount,
            recipientName: parties?.beneficiary.name, addition: .refund(originEndToEnd: endToEnd))
    }
}
