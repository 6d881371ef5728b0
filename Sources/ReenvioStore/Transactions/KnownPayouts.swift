import ReenvioModel

/// The payouts that lines of an import may meet: those that have an id or an invoice of theirs, and what earlier lines
/// of the same transaction became. Read under the locked clocks of the merchants, so it holds until the commit; the
/// primary key and the partial unique index `payouts_invoice` keep watch over it.
struct KnownPayouts {
    private struct Change {
        var status: PayoutStatus
        var at: Timestamp
        var seq: Int64?
        var notificationID: Int64?
        /// Whether it has an unacknowledged webhook.
        var isUnacked = false
    }

    /// What a line is to the payouts known so far.
    enum Meeting {
        /// The payout at this place has what the line says.
        case unchanged(Int)
        case refused(ImportRefusal)
    }

    /// The webhook of a stored change that a line says was acknowledged.
    struct Unacknowledged {
        var payoutID: Int64
        var merchantID: Int64
        var seq: Int64
        var notificationID: Int64
    }

    private struct Known {
        /// The place of the line that makes it, among those accepted; nil for a stored payout.
        var accepted: Int?
        /// Nil for a line whose id is yet to be drawn.
        var id: Int64?
        var merchantID: Int64
        var invoice: String
        var amount: Money
        var url: String?
        var createdAt: Timestamp
        /// As the payout stands now.
        var status: PayoutStatus
        var endToEnd: String?
        var statusDetail: String?
        var latestSeq: Int64?
        /// The first status after Awaiting, which is what an import stores; nil while there is none.
        var change: Change?
        /// The webhook of that change; read only where later ones have come.
        var body: [UInt8]?
    }

    /// Texts are compared byte for byte, which is stricter than Swift's `==`.
    private struct InvoiceKey: Hashable {
        var merchantID: Int64
        var invoice: [UInt8]

        init(_ merchantID: Int64, _ invoice: String) {
            self.merchantID = merchantID
            self.invoice = Array(invoice.utf8)
        }
    }

    private var payouts: [Known] = []
    private var positions: [Int64: Int] = [:]
    private var invoices: [InvoiceKey: [Int]] = [:]

    init(_ lines: [ImportLine], in db: any SQLConnection) throws {
        var ids = SQLRows([("id", .int)])
        var blocking = SQLRows([("merchant_id", .int), ("invoice", .text)])
        var sharing = blocking
        for line in lines {
            let key: [SQLValue] = [.int(line.merchantID), .text(line.invoice)]
            if let id = line.id { ids.append([.int(id)]) } else { sharing.append(key) }
            if line.id == nil || line.status != .invalidData { blocking.append(key) }
        }
        try load(Self.byID, ids, in: db)
        // Each with the condition of its partial index.
        try load(Self.byInvoice(holding: true), blocking, in: db)
        try load(Self.byInvoice(holding: false), sharing, in: db)
        if !payouts.isEmpty { try loadHistory(in: db) }
    }

    /// Nil when the line is new to all of them.
    func meeting(_ line: ImportLine) -> Meeting? {
        let sharing = invoices[InvoiceKey(line.merchantID, line.invoice)] ?? []
        if let id = line.id {
            if let position = positions[id] {
                let fields = Self.differences(payouts[position], line)
                return fields.isEmpty ? .unchanged(position) : .refused(.idTaken(differsIn: fields))
            }
        } else if let position = sharing.first(where: { Self.differences(payouts[$0], line).isEmpty }) {
            return .unchanged(position)
        }
        let isBlocked = line.status != .invalidData && sharing.contains { payouts[$0].status != .invalidData }
        return isBlocked ? .refused(.invoiceTaken) : nil
    }

    /// Returns the stored webhook at a place if it is unacknowledged, and counts it as acknowledged from now on.
    mutating func acknowledge(_ position: Int) -> Unacknowledged? {
        let known = payouts[position]
        guard let id = known.id, let change = known.change, change.isUnacked, let seq = change.seq,
            let notificationID = change.notificationID
        else { return nil }
        payouts[position].change?.isUnacked = false
        return Unacknowledged(
            payoutID: id, merchantID: known.merchantID, seq: seq, notificationID: notificationID)
    }

    /// The line of this transaction, among those accepted, that makes the payout at a place; nil for a stored one.
    func acceptedPlace(_ position: Int) -> Int? { payouts[position].accepted }

    /// Remembers a line that will be stored, for the lines after it.
    mutating func add(_ line: ImportLine, accepted: Int) {
        let known = Known(
            accepted: accepted, id: line.id, merchantID: line.merchantID, invoice: line.invoice, amount: line.amount,
            url: line.notificationURL?.text,
            createdAt: line.createdAt, status: line.status, endToEnd: line.endToEnd,
            statusDetail: line.statusDetail.map(StatusChanges.detailJSON), latestSeq: nil,
            change: line.status == .awaiting ? nil : Change(status: line.status, at: line.updatedAt)
        )
        add(known)
    }

    private mutating func add(_ known: Known) {
        let position = payouts.count
        payouts.append(known)
        if let id = known.id { positions[id] = position }
        invoices[InvoiceKey(known.merchantID, known.invoice), default: []].append(position)
    }
}

// MARK: - Comparing

extension KnownPayouts {
    /// The fields in which a payout differs from a line. What happened after the change that the line tells of does not
    /// count: a payout that went on since its import still has what the line says at the beginning of its history.
    private static func differences(_ known: Known, _ line: ImportLine) -> [String] {
        var fields: [String] = []
        func compare(_ field: String, _ isEqual: Bool) {
            if !isEqual { fields.append(field) }
        }
        compare("merchant_id", known.merchantID == line.merchantID)
        compare("invoice", isSame(known.invoice, line.invoice))
        compare("amount", known.amount.minor == line.amount.minor)
        compare("currency", known.amount.currency == line.amount.currency)
        compare("notification_url", isSame(known.url, line.notificationURL?.text))
        compare("created_at", known.createdAt == line.createdAt)
        let isLatest: Bool
        if line.status == .awaiting {
            isLatest = known.change == nil
        } else {
            compare("status_id", known.change?.status == line.status)
            compare("updated_at", known.change == nil || known.change?.at == line.updatedAt)
            isLatest = known.change.map { $0.seq == known.latestSeq } ?? true
        }
        if isLatest {
            compare("end_to_end", isSame(known.endToEnd, line.endToEnd))
            compare("status_detail", isSame(known.statusDetail, line.statusDetail.map(StatusChanges.detailJSON)))
        } else if fields.isEmpty, line.status != .awaiting, let id = known.id, let body = known.body {
            compare("end_to_end or status_detail", body == line.body(payoutID: id))
        }
        return fields
    }

    private static func isSame(_ left: String?, _ right: String?) -> Bool {
        guard let left, let right else { return left == nil && right == nil }
        return left.utf8.elementsEqual(right.utf8)
    }
}

// MARK: - Loading

extension KnownPayouts {
    private mutating func load(_ sql: String, _ rows: SQLRows, in db: any SQLConnection) throws {
        try db.batch(sql, rows) { row in
            let id = row.int(0)
            if positions[id] != nil { return }
            guard let status = PayoutStatus(id: row.int(7)) else { throw StoreError.failed("unknown status") }
            let known = Known(
                id: id, merchantID: row.int(1), invoice: row.text(2),
                amount: Money(minor: row.int(3), currency: row.text(4)), url: row.textIfPresent(5),
                createdAt: row.time(6), status: status, endToEnd: row.textIfPresent(8),
                statusDetail: row.textIfPresent(9), latestSeq: row.int(10)
            )
            add(known)
        }
    }

    /// Follows each history back to its beginning: one more change of each payout with every round.
    private mutating func loadHistory(in db: any SQLConnection) throws {
        var open = positions.values.compactMap { position in payouts[position].latestSeq.map { (position, $0) } }
        while !open.isEmpty {
            var rows = SQLRows([("position", .int), ("merchant_id", .int), ("seq", .int)])
            for (position, seq) in open {
                rows.append([.int(position), .int(payouts[position].merchantID), .int(seq)])
            }
            open.removeAll(keepingCapacity: true)
            try db.batch(Self.changes, rows) { row in
                // The first change of all is Awaiting, which every payout has; the one after it is wanted.
                guard let previous = row.intIfPresent(5) else { return }
                guard let status = PayoutStatus(id: row.int(2)) else { throw StoreError.failed("unknown status") }
                let position = Int(row.int(0))
                payouts[position].change = Change(
                    status: status, at: row.time(3), seq: row.int(1), notificationID: row.intIfPresent(4),
                    isUnacked: !row.isNull(4) && row.isNull(6)
                )
                open.append((position, previous))
            }
        }
        try loadBodies(in: db)
    }

    private mutating func loadBodies(in db: any SQLConnection) throws {
        var rows = SQLRows([("position", .int), ("id", .int)])
        for (position, known) in payouts.enumerated() where known.change?.seq != known.latestSeq {
            if let id = known.change?.notificationID { rows.append([.int(position), .int(id)]) }
        }
        try db.batch("SELECT rows.position, n.body FROM notifications n, {rows} WHERE n.id = rows.id", rows) { row in
            payouts[Int(row.int(0))].body = row.blob(1)
        }
    }

    private static let columns = """
        SELECT p.id, p.merchant_id, p.invoice, p.amount_minor, p.currency, p.notification_url, p.created_at,
            p.status_id, p.end_to_end, p.status_detail, p.latest_seq
        FROM
        """

    private static let byID = "\(columns) payouts p, {rows} WHERE p.id = rows.id"

    /// The order, of which there is one, keeps PostgreSQL from walking the whole partial index for all rows at once,
    /// which it thinks best while there are few payouts.
    private static func byInvoice(holding: Bool) -> String {
        """
        \(columns) {rows} CROSS JOIN LATERAL (
            SELECT * FROM payouts WHERE merchant_id = rows.merchant_id AND invoice = rows.invoice
                AND holds_invoice = \(holding ? 1 : 0)
            ORDER BY invoice) AS p
        """
    }

    private static let changes = """
        SELECT rows.position, c.seq, c.status_id, c.changed_at, c.notification_id, c.previous_seq, n.acked_at
        FROM status_changes c LEFT JOIN notifications n ON n.id = c.notification_id, {rows}
        WHERE c.merchant_id = rows.merchant_id AND c.seq = rows.seq
        """
}
