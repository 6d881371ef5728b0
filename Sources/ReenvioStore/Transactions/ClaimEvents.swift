import ReenvioModel

/// A claimed event of v3 as the store has it. It is opened after the commit: the writer has other things to do.
struct SealedEvent: Sendable {
    var candidate: Turns.Candidate
    var token: Int64
    var probe: Breaker.Occasion?
    var deliveryID: Int64
    var attempt: Int
    var createdAt: Timestamp
    var eventID: Int64
    var registrationID: Int64
    var category: EventCategory
    var objectID: Int64
    var url: String
    var authorization: [UInt8]?
    var functionsKey: [UInt8]?
    var registrationKeyID: String?
    var notificationID: Int64
    var webhookID: WebhookID
    var sequence: Int64
    var changeSeq: Int64
    var bodyKeyID: String?
    var body: [UInt8]
    var resendID: Int64?
    var resendPublicID: String?
    var trace: TraceParent?
}

/// The v3 part of a claim: where an event goes is the registration's to say at each attempt (`docs/contract.md` 6.5).
struct ClaimEvents {
    private let candidate: Turns.Candidate
    private let token: Int64
    private let probe: Breaker.Occasion?
    private var rows = SQLRows([("merchant_id", .int), ("id", .int)])
    private var added: [Int64] = []

    init(_ candidate: Turns.Candidate, token: Int64, probe: Breaker.Occasion?) {
        self.candidate = candidate
        self.token = token
        self.probe = probe
    }

    mutating func add(deliveryID: Int64) {
        added.append(deliveryID)
        rows.append([.int(candidate.merchantID), .int(deliveryID)])
    }

    /// Reads what is to be sent and returns the deliveries to lease. What belongs to another receiver by now moves
    /// there; what a deleted registration left behind is leased and waits for the janitor.
    func run(_ order: ClaimOrder, into result: inout ClaimResult, in db: any SQLConnection) throws -> [Int64] {
        if rows.isEmpty { return [] }
        var leased: [Int64] = []
        var found: Set<Int64> = []
        var moved = SQLRows([("merchant_id", .int), ("id", .int), ("queue_id", .int)])
        var wakes = QueueWakes()
        try db.batch(Self.load, rows) { row in
            let receiverID = row.int(15)
            found.insert(row.int(0))
            if receiverID != candidate.queue.receiverID, !row.bool(16) {
                let queue = QueueID(receiverID: receiverID, lane: candidate.queue.lane)
                moved.append([.int(candidate.merchantID), .int(row.int(0)), .int(queue.raw)])
                wakes.add(candidate.merchantID, queue, due: order.now)
                return
            }
            leased.append(row.int(0))
            if row.bool(16) { return }
            let resend = try row.intIfPresent(5).flatMap { try result.resends.find($0, in: db) }
            if let event = sealedEvent(row, resend) { result.sealedEvents.append(event) }
        }
        try db.send(MovedDeliveries.move, moved)
        try wakes.save(in: db)
        // A damaged row is leased like the others, and not met each time.
        for id in added where !found.contains(id) {
            leased.append(id)
            result.damaged.append(
                ClaimResult.Damaged(
                    merchantID: candidate.merchantID, deliveryID: id,
                    why: "its event, notification or registration is gone"))
        }
        return leased
    }

    private func sealedEvent(_ row: any SQLRow, _ resend: ClaimedResends.Found?) -> SealedEvent? {
        guard let category = EventCategory(rawValue: row.text(18)) else { return nil }
        return SealedEvent(
            candidate: candidate, token: token, probe: probe, deliveryID: row.int(0),
            attempt: Int(row.int(1)) + 1, createdAt: row.time(2), eventID: row.int(3), registrationID: row.int(4),
            category: category, objectID: row.int(17), url: row.text(11), authorization: row.blobIfPresent(12),
            functionsKey: row.blobIfPresent(13), registrationKeyID: row.textIfPresent(14), notificationID: row.int(6),
            webhookID: WebhookID(id: row.int(6), nonce: UInt64(bitPattern: row.int(7))), sequence: row.int(8),
            changeSeq: row.int(19), bodyKeyID: row.textIfPresent(9), body: row.blob(10), resendID: row.intIfPresent(5),
            resendPublicID: resend?.name,
            trace: row.isNull(5) ? row.blobIfPresent(20).flatMap(TraceParent.init(bytes:)) : resend?.trace)
    }

    private static let load = """
        SELECT d.id, d.attempts, d.created_at, d.event_id, d.registration_id, d.resend_id, n.id, n.nonce, n.sequence,
            n.key_id, n.body, g.url, g.authorization_sealed, g.functions_key_sealed, g.key_id, g.receiver_id,
            g.deleted_at IS NOT NULL, e.object_id, e.category, n.change_seq, n.trace
        FROM deliveries d
        JOIN registrations g ON g.merchant_id = d.merchant_id AND g.id = d.registration_id
        JOIN notifications n ON n.id = d.notification_id
        JOIN object_events e ON e.merchant_id = d.merchant_id AND e.seq = n.change_seq, {rows}
        WHERE d.merchant_id = rows.merchant_id AND d.id = rows.id
        """
}

/// Deliveries that follow their registration to another receiver.
enum MovedDeliveries {
    static let move = """
        UPDATE deliveries SET queue_id = rows.queue_id FROM {rows}
        WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
        """
}

extension Store {
    /// Opens what a claim took. What does not open stays leased, and is counted.
    func open(_ claimed: ClaimResult) -> ClaimResult {
        if claimed.sealedEvents.isEmpty { return claimed }
        var opened = claimed
        opened.sealedEvents = []
        for sealed in claimed.sealedEvents {
            if let delivery = try? open(sealed) {
                opened.deliveries.append(delivery)
            } else {
                opened.unreadable += 1
                opened.damaged.append(
                    ClaimResult.Damaged(
                        merchantID: sealed.candidate.merchantID, deliveryID: sealed.deliveryID,
                        why: "its message cannot be opened"))
            }
        }
        return opened
    }

    private func open(_ sealed: SealedEvent) throws -> ClaimedDelivery {
        let body = try sealing.open(
            sealed.body, keyID: sealed.bodyKeyID ?? "", context: NewEvents.bodyContext(eventID: sealed.eventID))
        func token(_ value: [UInt8]?, _ kind: RegistrationToken) throws -> String? {
            guard let value else { return nil }
            let plain = try sealing.open(
                value, keyID: sealed.registrationKeyID ?? "",
                context: Self.registrationContext(kind, id: sealed.registrationID))
            return String(decoding: plain, as: UTF8.self)
        }
        let event = ClaimedDelivery.Event(
            id: sealed.eventID, registrationID: sealed.registrationID, category: sealed.category,
            objectID: sealed.objectID, authorization: try token(sealed.authorization, .authorization),
            functionsKey: try token(sealed.functionsKey, .functionsKey))
        return ClaimedDelivery(sealed, event, body: body)
    }
}
