import ReenvioModel

/// One chunk of a v3 resend: a message is one event for one registration that exists when the resend begins
/// (`docs/contract.md` 6.4). Deliveries, cursor and counters are one commit, as in v2.
struct LogChunk {
    private struct Registration {
        var id: Int64
        var receiverID: Int64
        var selection: EventSelection
        var url: String
        var isDeleted: Bool
    }

    private struct Event {
        var id: Int64
        var type: EventType
        var notificationID: Int64
    }

    private let resend: RunningResend
    private let category: EventCategory
    private let rules: ChunkRules
    private var registrations: [Registration] = []
    private var cursorSecond: Int64
    private var cursorSeq: Int64
    private var isAtEnd = false
    private var queued = 0
    private var failures: FailedItems
    private var failure: LogFailure?

    init(_ resend: RunningResend, _ category: EventCategory, _ rules: ChunkRules) {
        self.resend = resend
        failures = FailedItems(merchantID: resend.merchantID, resendID: resend.id)
        self.category = category
        self.rules = rules
        cursorSecond = resend.cursorSecond
        cursorSeq = resend.cursorSeq
    }

    func run(in db: any SQLConnection) throws -> ResendStep {
        var chunk = self
        chunk.registrations = try chunk.takeRegistrations(in: db)
        let events = try chunk.nextEvents(in: db)
        try chunk.enqueue(events, in: db)
        let ended = try chunk.save(in: db)
        return ResendStep(
            progress: ended.map { .ended($0) } ?? .advanced, resendID: resend.id, queued: chunk.queued,
            failures: chunk.failures.reasons)
    }

    /// Those that exist when the first chunk begins; later chunks keep to them, deleted or not.
    private func takeRegistrations(in db: any SQLConnection) throws -> [Registration] {
        let known = resend.registrations.map { text in Set(text.split(separator: ",").compactMap { Int64($0) }) }
        let found = try db.all(
            """
            SELECT id, receiver_id, type, url, deleted_at IS NOT NULL FROM registrations
            WHERE merchant_id = $1 ORDER BY id FOR SHARE
            """, [.int(resend.merchantID)]
        ) { row in
            EventSelection(rawValue: row.text(2)).map {
                Registration(
                    id: row.int(0), receiverID: row.int(1), selection: $0, url: row.text(3), isDeleted: row.bool(4))
            }
        }.compactMap { $0 }
        if let known { return found.filter { known.contains($0.id) } }
        return found.filter { registration in
            !registration.isDeleted
                && EventType.allCases.contains { $0.category == category && registration.selection.takes($0) }
        }
    }

    // MARK: Events

    private mutating func nextEvents(in db: any SQLConnection) throws -> [Event] {
        guard let objectID = resend.objectID else { return try walk(in: db) }
        isAtEnd = true
        let latest = try LatestEvent.find(
            merchantID: resend.merchantID, category, objectID: objectID, frozenSeq: resend.frozenSeq, in: db)
        guard let latest else { return [] }
        return [Event(id: latest.id, type: latest.type, notificationID: latest.notificationID)]
    }

    /// The next events of the range in their original order, until their messages fill a chunk; bounded by entries
    /// looked at, too. Where each event has a message, no more is read than a chunk takes; else the steps grow.
    private mutating func walk(in db: any SQLConnection) throws -> [Event] {
        var found = Walk()
        var lookedAt = 0
        var step = Limits.resendChunk
        while !found.isFull, lookedAt < Limits.resendEntriesPerStep, !isAtEnd {
            let limit = min(step, Limits.resendEntriesPerStep - lookedAt)
            lookedAt += try walk(entries: limit, into: &found, in: db)
            step *= 5
        }
        return found.events
    }

    private struct Walk {
        var events: [Event] = []
        var messages = 0
        var isFull = false
    }

    /// Looks at up to `limit` entries after the cursor, and returns how many it looked at.
    private mutating func walk(entries limit: Int, into found: inout Walk, in db: any SQLConnection) throws -> Int {
        var entries = 0
        try db.query(
            """
            SELECT occurred_s, seq, id, type, notification_id FROM object_events
            WHERE merchant_id = $1 AND category = $2 AND (occurred_s, seq) > ($3, $4) AND occurred_s <= $5
            ORDER BY occurred_s, seq LIMIT $6
            """,
            [
                .int(resend.merchantID), .text(category.rawValue), .int(cursorSecond), .int(cursorSeq),
                .int(resend.windowEnd), .int(limit),
            ]
        ) { row in
            if found.isFull { return }
            var event: Event?
            if row.int(1) <= resend.frozenSeq, let type = EventType(rawValue: row.text(3)) {
                event = Event(id: row.int(2), type: type, notificationID: row.int(4))
            }
            let more = event.map { event in registrations.count { $0.selection.takes(event.type) } } ?? 0
            if found.messages > 0, found.messages + more > Limits.resendChunk {
                found.isFull = true
                return
            }
            found.messages += more
            entries += 1
            (cursorSecond, cursorSeq) = (row.int(0), row.int(1))
            if let event, more > 0 { found.events.append(event) }
        }
        isAtEnd = !found.isFull && entries < limit
        return entries
    }

    // MARK: Writing

    private mutating func enqueue(_ events: [Event], in db: any SQLConnection) throws {
        let erased = try erased(among: events, in: db)
        var messages: [(event: Event, registration: Registration)] = []
        for event in events {
            for registration in registrations where registration.selection.takes(event.type) {
                if let why = refusal(event, registration, erased) {
                    failures.add(
                        event: event.id, registration: registration.id, notification: event.notificationID, why)
                    failure = LogFailure(.stopped, reason: why, statusCode: nil)
                } else {
                    messages.append((event, registration))
                }
            }
        }
        let ids = try db.nextIDs(.delivery, messages.count)
        let slots = try ResendPaces.take(messages.count, of: resend, from: rules.engineNow, in: db)
        var rows = SQLRows(Self.deliveryColumns)
        var wakes = QueueWakes()
        for (index, (event, registration)) in messages.enumerated() {
            let queue = QueueID(receiverID: registration.receiverID, lane: .resend)
            let due = slots?[index] ?? rules.engineNow
            rows.append([
                .int(resend.merchantID), .int(ids[index]), .int(queue.raw), .time(due), .int(event.notificationID),
                .int(resend.id), .int(event.id), .int(registration.id), .time(rules.now), .bool(slots != nil),
            ])
            wakes.add(resend.merchantID, queue, due: due)
        }
        try db.send(Self.insertDeliveries, rows)
        try wakes.save(in: db)
        try failures.save(in: db)
        queued = rows.count
    }

    private func refusal(_ event: Event, _ registration: Registration, _ erased: Set<Int64>) -> AttemptFailure? {
        if erased.contains(event.notificationID) { return .erased }
        if registration.isDeleted { return .canceled }
        let isAllowed = (try? ReceiverURL(parsing: registration.url, policy: rules.policy)) != nil
        return isAllowed ? nil : .addressForbidden
    }

    /// Those whose body was destroyed with the people's data in it: it has no key any more.
    private func erased(among events: [Event], in db: any SQLConnection) throws -> Set<Int64> {
        var rows = SQLRows([("id", .int)])
        for event in events { rows.append([.int(event.notificationID)]) }
        var erased: Set<Int64> = []
        try db.batch(
            "SELECT n.id FROM notifications n, {rows} WHERE n.id = rows.id AND n.key_id IS NULL", rows
        ) { erased.insert($0.int(0)) }
        return erased
    }

    /// Saves cursor and counters, and ends the walk where it is at its end: the log waits for outcomes from then on.
    private func save(in db: any SQLConnection) throws -> Resend.State? {
        let total = try db.first(
            """
            UPDATE resends SET queued = queued + $2, failed = failed + $3, total = total + $2 + $3, cursor_s = $4,
                cursor_seq = $5, updated_at = CASE WHEN updated_at < $6 THEN $6 ELSE updated_at END,
                log_status = 'PROCESSING', registrations = $9, failure = coalesce($10, failure), state = $11
            WHERE id = $1 AND state = 'processing' AND cursor_s = $7 AND cursor_seq = $8
            RETURNING total
            """,
            [
                .int(resend.id), .int(queued), .int(failures.count), .int(cursorSecond), .int(cursorSeq),
                .time(rules.now), .int(resend.cursorSecond), .int(resend.cursorSeq),
                .text(registrations.map { String($0.id) }.joined(separator: ",")), .optional(failure?.text),
                .text(isAtEnd ? Resend.State.awaiting.rawValue : Resend.State.processing.rawValue),
            ]
        ) { $0.int(0) }
        guard let total else { throw StoreError.unavailable("another node took this step of resend \(resend.id)") }
        guard isAtEnd else { return nil }
        if total == 0 {
            let isEmpty = try !hasEvents(in: db)
            try EndLogs.end(
                id: resend.id, isEmpty ? .completed : .failed, message: isEmpty ? nil : LogFailure.noRegistration,
                now: rules.now, in: db)
            return isEmpty ? .completed : .failed
        }
        try EndLogs(ids: [resend.id], now: rules.now).run(in: db)
        return nil
    }

    /// Whether there was anything to send, had somebody been registered for it.
    private func hasEvents(in db: any SQLConnection) throws -> Bool {
        if resend.objectID != nil { return true }
        let sql = """
            SELECT 1 FROM object_events
            WHERE merchant_id = $1 AND category = $2 AND occurred_s BETWEEN $3 AND $4 AND seq <= $5
            ORDER BY occurred_s, seq LIMIT 1
            """
        let parameters: [SQLValue] = [
            .int(resend.merchantID), .text(category.rawValue), .int(resend.windowStart), .int(resend.windowEnd),
            .int(resend.frozenSeq),
        ]
        return try db.first(sql, parameters) { $0.int(0) } != nil
    }

    private static let deliveryColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("merchant_id", .int), ("id", .int), ("queue_id", .int), ("due", .int), ("notification_id", .int),
        ("resend_id", .int), ("event_id", .int), ("registration_id", .int), ("at", .int), ("has_slot", .int),
    ]

    private static let insertDeliveries = """
        INSERT INTO deliveries (merchant_id, id, queue_id, due_at, notification_id, resend_id, event_id,
            registration_id, created_at, has_slot)
        SELECT rows.merchant_id, rows.id, rows.queue_id, rows.due, rows.notification_id, rows.resend_id, rows.event_id,
            rows.registration_id, rows.at, rows.has_slot
        FROM {rows}
        """
}
