import ReenvioModel

/// An event of v3 that a transaction makes, ready to be stored and sent.
struct NewEvent {
    var merchantID: Int64
    var type: EventType
    /// The payout or the QR code.
    var objectID: Int64
    /// On the merchant's clock.
    var seq: Int64
    /// Within its object.
    var sequence: Int64
    var occurredAt: Timestamp
    var nonce: UInt64
    var trace: TraceParent?
    /// When it was acknowledged elsewhere, before it came here.
    var ackedAt: Timestamp?
    /// The exact envelope; stored sealed, because it names people (`docs/contract.md` 14).
    var body: [UInt8]
}

/// The account mirrors among merchants: only they have a v3 side (`docs/contract.md` 8.4).
struct Mirrors {
    struct Mirror {
        var branch: String
        var number: String
    }

    private var mirrors: [Int64: Mirror] = [:]

    init(_ merchantIDs: some Sequence<Int64>, in db: any SQLConnection) throws {
        var rows = SQLRows([("id", .int)])
        for id in Set(merchantIDs).sorted() { rows.append([.int(id)]) }
        let sql =
            "SELECT m.id, m.branch, m.number FROM merchants m, {rows} WHERE m.id = rows.id AND m.number IS NOT NULL"
        try db.batch(sql, rows) { mirrors[$0.int(0)] = Mirror(branch: $0.textIfPresent(1) ?? "", number: $0.text(2)) }
    }

    var isEmpty: Bool { mirrors.isEmpty }

    subscript(merchantID: Int64) -> Mirror? { mirrors[merchantID] }
}

/// Writes events, each with its notification and one delivery per registration that takes it, in the transaction that
/// makes them (`docs/contract.md` 8.4).
struct NewEvents {
    /// Events that are called `i` where they are chosen (`EndedDeliveries.chosen`), and `e`.
    static let chosen = """
        object_events i LEFT JOIN object_events e ON e.merchant_id = i.merchant_id + 0 AND e.seq = i.seq
        """

    /// Live deliveries written.
    private(set) var deliveries = 0
    private let sealing: SealingKey
    private let now: Timestamp
    private var registrations: [Int64: [Registration]] = [:]

    private struct Registration {
        var id: Int64
        var receiverID: Int64
        var selection: EventSelection
    }

    init(sealing: SealingKey, now: Timestamp) {
        self.sealing = sealing
        self.now = now
    }

    static func bodyContext(eventID: Int64) -> String { "body of event \(eventID)" }

    /// - Parameter due: engine time of the first attempts; nil where nothing is to be sent.
    mutating func write(
        _ events: [NewEvent], due: Timestamp?, wakes: inout QueueWakes, in db: any SQLConnection
    ) throws {
        if events.isEmpty { return }
        let ids = try db.nextIDs(.event, events.count)
        let notificationIDs = try db.nextIDs(.notification, events.count)
        var notifications = SQLRows(Self.notificationColumns)
        var rows = SQLRows(Self.eventColumns)
        for (index, event) in events.enumerated() {
            let sealed = try sealing.seal(event.body, context: Self.bodyContext(eventID: ids[index]))
            notifications.append([
                .int(notificationIDs[index]), .int(event.merchantID), .int(Int64(bitPattern: event.nonce)),
                .int(ids[index]), .int(event.seq), .int(event.sequence), .time(now), .text(sealing.id), .blob(sealed),
                .optional(event.trace?.bytes), .optional(event.ackedAt),
            ])
            rows.append([
                .int(event.merchantID), .int(event.seq), .int(ids[index]), .text(event.type.category.rawValue),
                .int(event.objectID), .text(event.type.rawValue), .int(event.sequence), .time(event.occurredAt),
                .int(event.occurredAt.seconds), .int(notificationIDs[index]),
            ])
        }
        try db.send(Self.insertNotifications, notifications)
        try db.send(Self.insertEvents, rows)
        guard let due else { return }
        try enqueue(events, ids, notificationIDs, due: due, wakes: &wakes, in: db)
    }

    private mutating func enqueue(
        _ events: [NewEvent], _ ids: [Int64], _ notificationIDs: [Int64], due: Timestamp, wakes: inout QueueWakes,
        in db: any SQLConnection
    ) throws {
        var wanted: [(index: Int, registration: Registration)] = []
        for (index, event) in events.enumerated() {
            for registration in try registrations(of: event.merchantID, in: db)
            where registration.selection.takes(event.type) {
                wanted.append((index, registration))
            }
        }
        let deliveryIDs = try db.nextIDs(.delivery, wanted.count)
        var rows = SQLRows(Self.deliveryColumns)
        for ((index, registration), deliveryID) in zip(wanted, deliveryIDs) {
            let merchantID = events[index].merchantID
            let queue = QueueID(receiverID: registration.receiverID, lane: .live)
            rows.append([
                .int(merchantID), .int(deliveryID), .int(queue.raw), .time(due), .int(notificationIDs[index]),
                .int(ids[index]), .int(registration.id), .time(now),
            ])
            wakes.add(merchantID, queue, due: due)
        }
        try db.send(Self.insertDeliveries, rows)
        deliveries += rows.count
    }

    private mutating func registrations(of merchantID: Int64, in db: any SQLConnection) throws -> [Registration] {
        if let known = registrations[merchantID] { return known }
        let found = try db.all(
            """
            SELECT id, receiver_id, type FROM registrations WHERE merchant_id = $1 AND deleted_at IS NULL ORDER BY id
            FOR SHARE
            """, [.int(merchantID)]
        ) { row in
            EventSelection(rawValue: row.text(2)).map {
                Registration(id: row.int(0), receiverID: row.int(1), selection: $0)
            }
        }.compactMap { $0 }
        registrations[merchantID] = found
        return found
    }
}

extension NewEvents {
    private static let notificationColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("id", .int), ("merchant_id", .int), ("nonce", .int), ("event_id", .int), ("seq", .int), ("sequence", .int),
        ("at", .int), ("key_id", .text), ("body", .blob), ("trace", .blob),
        ("acked_at", .int),
    ]

    private static let insertNotifications = """
        INSERT INTO notifications (id, merchant_id, nonce, event_id, change_seq, sequence, created_at, key_id, body,
            trace, acked_at)
        SELECT rows.id, rows.merchant_id, rows.nonce, rows.event_id, rows.seq, rows.sequence, rows.at, rows.key_id,
            rows.body, rows.trace, rows.acked_at
        FROM {rows}
        """

    private static let eventColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("merchant_id", .int), ("seq", .int), ("id", .int), ("category", .text), ("object_id", .int), ("type", .text),
        ("sequence", .int), ("at", .int), ("at_s", .int), ("notification_id", .int),
    ]

    private static let insertEvents = """
        INSERT INTO object_events (merchant_id, seq, id, category, object_id, type, sequence, occurred_at, occurred_s,
            notification_id)
        SELECT rows.merchant_id, rows.seq, rows.id, rows.category, rows.object_id, rows.type, rows.sequence, rows.at,
            rows.at_s, rows.notification_id
        FROM {rows}
        """

    private static let deliveryColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("merchant_id", .int), ("id", .int), ("queue_id", .int), ("due", .int), ("notification_id", .int),
        ("event_id", .int), ("registration_id", .int), ("at", .int),
    ]

    private static let insertDeliveries = """
        INSERT INTO deliveries (merchant_id, id, queue_id, due_at, notification_id, event_id, registration_id,
            created_at)
        SELECT rows.merchant_id, rows.id, rows.queue_id, rows.due, rows.notification_id, rows.event_id,
            rows.registration_id, rows.at
        FROM {rows}
        """
}
