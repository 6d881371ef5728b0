package import ReenvioModel

/// Who asks for a v3 resend.
package struct LogOpening: Sendable {
    package var user: User
    package var requester: Requester
    package var claim: IdempotencyClaim?
    /// That of the request, where it had one.
    package var trace: TraceParent?

    package init(user: User, requester: Requester, claim: IdempotencyClaim? = nil, trace: TraceParent? = nil) {
        self.trace = trace
        self.user = user
        self.requester = requester
        self.claim = claim
    }
}

/// What became of a v3 resend request (`docs/contract.md` 6.3).
package enum LogOpened: Sendable, Equatable {
    case opened(ResendLog)
    case objectNotFound
    case accountNotFound
    case accountClosed
    /// An equal request with the same `Idempotency-Key` made this one (`docs/contract.md` 13.8).
    case replayed(ResendLog)
    case keyReused
}

extension Store {
    /// Stores the log with what it covers frozen: the set is what is stored now (`docs/contract.md` 6.3).
    package func openLog(_ request: ResendLogRequest, _ opening: LogOpening, now: Timestamp) async throws -> LogOpened {
        let opened = try await engine.write(.intake) { db -> LogOpened in
            guard let claim = opening.claim else { return try open(request, opening, now: now, in: db) }
            switch try IdempotencyKeys.claim(claim, now: now, in: db) {
            case .made(let id):
                let log = try db.first("\(LogList.columns) WHERE id = $1", [.int(id)], LogList.log)
                return log.map { .replayed($0.atCreation) } ?? .keyReused
            case .otherBody: return .keyReused
            case .new: break
            }
            let result = try open(request, opening, now: now, in: db)
            if case .opened(let log) = result {
                try IdempotencyKeys.fill(claim, objectID: log.id, in: db)
            } else {
                try IdempotencyKeys.release(claim, in: db)
            }
            return result
        }
        if case .opened = opened { announceWork() }
        return opened
    }

    private func open(
        _ request: ResendLogRequest, _ opening: LogOpening, now: Timestamp, in db: any SQLConnection
    ) throws -> LogOpened {
        var merchant: Merchant?
        if let account = request.range?.account {
            merchant = try db.first(
                "\(Self.merchantColumns) WHERE branch = $1 AND number = $2",
                [.text(account.branch), .text(account.number)], Self.merchant)
            guard let merchant, opening.user.mayUse(merchantID: merchant.id, accountID: merchant.accountID) else {
                return .accountNotFound
            }
            if merchant.closedAt != nil { return .accountClosed }
        }
        if let objectID = request.objectID {
            let owner = try self.owner(of: objectID, request.category, in: db)
            guard let owner, opening.user.mayUse(merchantID: owner.id, accountID: owner.accountID),
                merchant == nil || merchant?.id == owner.id
            else { return .objectNotFound }
            if owner.closedAt != nil { return .accountClosed }
            merchant = owner
        }
        guard let merchant else { return .objectNotFound }
        var clocks = try MerchantClocks(locking: [merchant.id], in: db)
        let frozen = clocks.current(merchant.id)
        if let objectID = request.objectID {
            let latest = try LatestEvent.find(
                merchantID: merchant.id, request.category, objectID: objectID, frozenSeq: frozen, in: db)
            guard let latest, request.range.map({ $0.window.contains(latest.second) }) ?? true else {
                return .objectNotFound
            }
        }
        _ = clocks.next(merchant.id)
        let log = ResendLog(
            id: try db.nextIDs(.resend, 1)[0], category: request.category, status: .pending,
            objectID: request.objectID, mirrorID: request.range.map { _ in merchant.id },
            window: request.range?.window, userID: opening.user.id,
            createdAt: Timestamp(seconds: now.seconds), updatedAt: Timestamp(seconds: now.seconds))
        try insert(log, request, merchant: merchant, opening, frozenSeq: frozen, in: db)
        try clocks.save(in: db)
        try Self.probeSoon(merchantID: merchant.id, now: now, in: db)
        let entry = Audit.Entry(
            at: now, accountID: merchant.accountID, by: opening.requester, action: "resend.create",
            target: "log \(log.id)", parameters: Self.auditText(log, request, merchantID: merchant.id))
        try Audit.write(entry, in: db)
        return .opened(log)
    }

    /// The merchant of an object, where it is an account mirror.
    private func owner(
        of objectID: Int64, _ category: EventCategory, in db: any SQLConnection
    ) throws -> Merchant? {
        let sql =
            switch category {
            case .cashIn: "SELECT merchant_id FROM qr_codes WHERE id = $1"
            case .cashOut: "SELECT merchant_id FROM payouts WHERE id = $1"
            }
        guard let id = try db.first(sql, [.int(objectID)], { $0.int(0) }) else { return nil }
        return try db.first("\(Self.merchantColumns) WHERE id = $1 AND number IS NOT NULL", [.int(id)], Self.merchant)
    }

    private static func auditText(_ log: ResendLog, _ request: ResendLogRequest, merchantID: Int64) -> String {
        var text = "merchant \(merchantID), \(log.category.rawValue)"
        if let objectID = log.objectID { text += ", object \(objectID)" }
        if let window = log.window {
            let start = TimeText.zulu(Timestamp(seconds: window.startSeconds))
            text += ", \(start) to \(TimeText.zulu(Timestamp(seconds: window.endSeconds)))"
        }
        return text + ResendOptions(maxPerSecond: request.maxPerSecond).auditText
    }

    private func insert(
        _ log: ResendLog, _ request: ResendLogRequest, merchant: Merchant, _ opening: LogOpening, frozenSeq: Int64,
        in db: any SQLConnection
    ) throws {
        try db.run(
            """
            INSERT INTO resends (id, merchant_id, account_id, kind, user_id, requested_by, state, log_status,
                window_start, window_end, statuses, object_id, mirror_id, frozen_seq, cursor_s, cursor_seq, total,
                started_at, updated_at, max_per_second, trace)
            VALUES ($1, $2, $3, $4, $5, $6, 'processing', $7, $8, $9, '', $10, $11, $12, $13, 0, 0, $14, $14, $15, $16)
            """,
            [
                .int(log.id), .int(merchant.id), .int(merchant.accountID), .text(log.category.resendKind.rawValue),
                .int(log.userID), .text(opening.requester.actor), .text(log.status.rawValue),
                .optional(log.window?.startSeconds), .optional(log.window?.endSeconds), .optional(log.objectID),
                .optional(log.mirrorID), .int(frozenSeq), .int(log.window?.startSeconds ?? 0), .time(log.createdAt),
                .optional(request.maxPerSecond), .optional(opening.trace?.bytes),
            ])
    }
}

/// The event that a resend of one object sends: its latest (`docs/contract.md` 6.4).
struct LatestEvent {
    var id: Int64
    var seq: Int64
    var type: EventType
    var second: Int64
    var notificationID: Int64

    /// The latest of an object among those stored when the resend was made; nil where it has none.
    static func find(
        merchantID: Int64, _ category: EventCategory, objectID: Int64, frozenSeq: Int64, in db: any SQLConnection
    ) throws -> LatestEvent? {
        let found = try db.first(
            """
            SELECT id, seq, type, occurred_s, notification_id FROM object_events
            WHERE merchant_id = $1 AND category = $2 AND object_id = $3 AND seq <= $4 ORDER BY seq DESC LIMIT 1
            """, [.int(merchantID), .text(category.rawValue), .int(objectID), .int(frozenSeq)]
        ) { row in
            EventType(rawValue: row.text(2)).map {
                LatestEvent(
                    id: row.int(0), seq: row.int(1), type: $0, second: row.int(3), notificationID: row.int(4))
            }
        }
        return found ?? nil
    }
}
