import ReenvioModel

/// The v3 events of status changes: made in the commit of the change, for merchants that are account mirrors
/// (`docs/contract.md` 8.4).
struct PayoutEvents {
    /// A status change that may be an event.
    struct Change {
        var payoutID: Int64
        var merchantID: Int64
        var status: PayoutStatus
        var seq: Int64
        var sequence: Int64
        var at: Timestamp
        var endToEnd: String?
        var rejection: String?
        var statusDetail: String?
        var nonce: UInt64
        var trace: TraceParent?
        var ackedAt: Timestamp?
    }

    private struct Payout {
        var amount: Money
        var rejection: String?
        var parties: Parties?
    }

    private let mirrors: Mirrors
    private let sealing: SealingKey
    private var payouts: [Int64: Payout] = [:]
    private var hasCreated: Set<Int64> = []

    /// Nil where no change belongs to a mirror, which costs next to nothing.
    init?(_ changes: [Change], sealing: SealingKey, in db: any SQLConnection) throws {
        let candidates = changes.filter { CashOutEvent.type(of: $0.status) != nil }
        if candidates.isEmpty { return nil }
        mirrors = try Mirrors(candidates.map(\.merchantID), in: db)
        self.sealing = sealing
        let wanted = candidates.filter { mirrors[$0.merchantID] != nil }
        if wanted.isEmpty { return nil }
        try load(wanted, in: db)
    }

    /// In the order of the changes. Of one payout at most one `PIX_CASHOUT_CREATED` is made.
    mutating func events(of changes: [Change]) -> [NewEvent] {
        changes.compactMap { change in
            guard let mirror = mirrors[change.merchantID], let type = CashOutEvent.type(of: change.status),
                let payout = payouts[change.payoutID]
            else { return nil }
            if type == .pixCashOutCreated, !hasCreated.insert(change.payoutID).inserted { return nil }
            let rejection = change.rejection ?? payout.rejection
            let addition: CashOutEvent.Addition =
                switch type {
                case .pixCashOutError: .error(rejection ?? change.status.name)
                case .pixCashOutCanceled: .cancelDescription(rejection ?? change.statusDetail)
                default: .none
                }
            let event = CashOutEvent(
                type: type, transactionID: change.payoutID, endToEnd: change.endToEnd, amount: payout.amount,
                pixKey: payout.parties?.pix.pixKey, paymentDate: change.status == .paid ? change.at : nil,
                fromAccount: mirror.number, recipientName: payout.parties?.beneficiary.name, addition: addition)
            return NewEvent(
                merchantID: change.merchantID, type: type, objectID: change.payoutID, seq: change.seq,
                sequence: change.sequence, occurredAt: change.at, nonce: Self.mixed(change.nonce),
                trace: change.trace, ackedAt: change.ackedAt, body: event.body)
        }
    }

    /// Another nonce out of a change's own: ids differ by their number, nonces only have to look random.
    private static func mixed(_ nonce: UInt64) -> UInt64 {
        var mixed = (nonce ^ 0x9E37_79B9_7F4A_7C15) &* 0xBF58_476D_1CE4_E5B9
        mixed ^= mixed >> 31
        return mixed &* 0x94D0_49BB_1331_11EB
    }

    private mutating func load(_ changes: [Change], in db: any SQLConnection) throws {
        var rows = SQLRows([("merchant_id", .int), ("id", .int)])
        var seen: Set<Int64> = []
        for change in changes where seen.insert(change.payoutID).inserted {
            rows.append([.int(change.merchantID), .int(change.payoutID)])
        }
        var found: [Int64: Payout] = [:]
        try db.batch(
            """
            SELECT p.id, p.merchant_id, p.invoice, p.amount_minor, p.currency, p.rejection_description, s.sealed,
                s.key_id
            FROM payouts p
            LEFT JOIN parties s ON s.merchant_id = p.merchant_id AND s.kind = 'payout' AND s.object_id = p.id, {rows}
            WHERE p.id = rows.id
            """, rows
        ) { row in
            var parties: Parties?
            if let sealed = row.blobIfPresent(6), let keyID = row.textIfPresent(7) {
                let context = Store.partiesContext(merchantID: row.int(1), invoice: row.text(2))
                // Damage to one payout's people must not keep a whole batch from being written.
                let plain = try? sealing.open(sealed, keyID: keyID, context: context)
                if let plain, case .object(let object)? = try? JSONParser.parse(plain) {
                    parties = Parties(json: object)
                }
            }
            found[row.int(0)] = Payout(
                amount: Money(minor: row.int(3), currency: row.text(4)), rejection: row.textIfPresent(5),
                parties: parties)
        }
        payouts = found
        var created: Set<Int64> = []
        try db.batch(
            """
            SELECT e.object_id FROM {rows} CROSS JOIN LATERAL (
                SELECT merchant_id, seq FROM object_events
                WHERE merchant_id = rows.merchant_id AND category = 'CASHOUT' AND object_id = rows.id ORDER BY seq) AS i
            LEFT JOIN object_events e ON e.merchant_id = i.merchant_id AND e.seq = i.seq
            WHERE coalesce(e.type, '') = 'PIX_CASHOUT_CREATED'
            """, rows
        ) { created.insert($0.int(0)) }
        hasCreated = created
    }
}
