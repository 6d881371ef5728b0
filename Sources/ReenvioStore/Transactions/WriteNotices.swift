package import ReenvioModel
import Synchronization

/// What a process knows of the notices that it writes. A store without one has nobody to tell, and writes none.
package final class NoticeOutbox: Sendable {
    private struct State {
        var ring: (@Sendable () -> Void)?
        var dropped = 0
    }

    private let state = Mutex(State())

    package init() {}

    /// Calls `ring` after each commit of this process that wrote notices or left some out.
    package func onWrite(_ ring: @escaping @Sendable () -> Void) {
        state.withLock { $0.ring = ring }
    }

    /// How many were left out since this was asked last, because too many wait.
    package func takeDropped() -> Int {
        state.withLock { state in
            defer { state.dropped = 0 }
            return state.dropped
        }
    }

    fileprivate func note(dropped: Int) {
        let ring = state.withLock { state in
            state.dropped += dropped
            return state.ring
        }
        ring?()
    }
}

/// What a transaction wrote for the operator.
struct WrittenNotices: Sendable {
    var written = 0
    var dropped = 0
}

extension Store {
    /// Writes notices in the transaction that causes them. Asks for them only where there is somebody to tell.
    func tell(
        _ notices: @autoclosure () throws -> [OperatorNotice], in db: any SQLConnection
    ) throws -> WrittenNotices {
        guard outbox != nil else { return WrittenNotices() }
        let all = try notices()
        if all.isEmpty { return WrittenNotices() }
        let kept = try withinBounds(all, in: db)
        var rows = SQLRows([("id", .int), ("type", .text), ("body", .blob), ("at", .int)], reserving: kept.count)
        for (notice, id) in zip(kept, try db.nextIDs(.notice, kept.count)) {
            rows.append([.int(id), .text(notice.type), .blob(notice.body), .time(notice.at)])
        }
        try db.send(
            """
            INSERT INTO notices (id, type, body, due_at, created_at)
            SELECT rows.id, rows.type, rows.body, 0, rows.at FROM {rows}
            """, rows)
        return WrittenNotices(written: kept.count, dropped: all.count - kept.count)
    }

    /// Tells of the end of a job of v2, as its row stands now.
    func tellEnd(ofJob id: Int64, in db: any SQLConnection) throws -> WrittenNotices {
        try tell(
            try db.all("\(Self.resendColumns) WHERE id = $1 AND kind = 'v2-payout'", [.int(id)], Self.resend)
                .map { .ended($0, as: $0.state.rawValue, at: $0.endedAt ?? $0.updatedAt) }, in: db)
    }

    /// After the commit: wakes whoever sends them, here and at other nodes.
    func announce(_ notices: WrittenNotices) {
        guard let outbox, notices.written + notices.dropped > 0 else { return }
        outbox.note(dropped: notices.dropped)
        if notices.written > 0 { announceWork() }
    }

    /// All but those of the frequent ones that there is no room for.
    private func withinBounds(_ notices: [OperatorNotice], in db: any SQLConnection) throws -> [OperatorNotice] {
        guard notices.contains(where: \.isFrequent) else { return notices }
        let waiting = try db.first(
            "SELECT count(*) FROM (SELECT 1 FROM notices ORDER BY id LIMIT $1) AS waiting",
            [.int(Limits.noticesWaiting)]
        ) { Int($0.int(0)) }
        var room = Limits.noticesWaiting - (waiting ?? 0)
        return notices.filter { notice in
            guard notice.isFrequent else { return true }
            room -= 1
            return room >= 0
        }
    }
}

/// A delivery that was given up, as its notice names it.
struct ExhaustedDelivery: Sendable {
    var merchantID: Int64
    var receiverID: Int64
    var notificationID: Int64
    /// Where it is known; looked up by the notification otherwise.
    var webhookID: WebhookID?
    var payoutID: Int64?
    var attempts: Int
    var reason: AttemptFailure?
}

extension ExhaustedDelivery {
    init(_ record: AttemptRecord) {
        let claimed = record.claimed
        self.init(
            merchantID: claimed.merchantID, receiverID: claimed.queue.receiverID,
            notificationID: claimed.notificationID, webhookID: claimed.webhookID, attempts: claimed.attempt,
            reason: record.reason)
        if case .payout(let id, _, _) = claimed.message { payoutID = id }
    }
}

extension OperatorNotice {
    /// What a commit of outcomes has to tell: breakers that opened or closed, deliveries that were given up.
    static func of(_ recorded: RecordResult, at now: Timestamp, in db: any SQLConnection) throws -> [OperatorNotice] {
        let receivers = recorded.events.compactMap { event -> OperatorNotice? in
            switch event.what {
            case .opened(let reason):
                OperatorNotice(
                    .receiverBroken(receiverID: event.receiverID, merchantID: event.merchantID, reason: reason), at: now
                )
            case .closed(let duration):
                OperatorNotice(
                    .receiverRecovered(
                        receiverID: event.receiverID, merchantID: event.merchantID, brokenFor: duration), at: now)
            case .held: nil
            }
        }
        return receivers + (try exhausted(recorded.exhausted, at: now, in: db))
    }

    static func exhausted(
        _ deliveries: [ExhaustedDelivery], at now: Timestamp, in db: any SQLConnection
    ) throws -> [OperatorNotice] {
        var unnamed = SQLRows([("id", .int)])
        for delivery in deliveries where delivery.webhookID == nil { unnamed.append([.int(delivery.notificationID)]) }
        var names: [Int64: WebhookID] = [:]
        try db.batch("SELECT n.id, n.nonce FROM notifications n, {rows} WHERE n.id = rows.id", unnamed) { row in
            names[row.int(0)] = WebhookID(id: row.int(0), nonce: UInt64(bitPattern: row.int(1)))
        }
        return deliveries.compactMap { delivery in
            guard let webhookID = delivery.webhookID ?? names[delivery.notificationID] else { return nil }
            return OperatorNotice(
                .deliveryExhausted(
                    webhookID: webhookID, receiverID: delivery.receiverID, merchantID: delivery.merchantID,
                    payoutID: delivery.payoutID, attempts: delivery.attempts, reason: delivery.reason), at: now)
        }
    }
}
