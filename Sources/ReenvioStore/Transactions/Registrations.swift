package import ReenvioModel

/// What became of a registration that was to be made or changed.
package enum RegistrationOutcome: Equatable, Sendable {
    case saved(Registration)
    /// Deleted meanwhile, or never there.
    case notFound
    /// The merchant has the same URL for the same type already (`docs/contract.md` 6.5).
    case alreadyRegistered
    /// It would be one more than `Limits.registrationsPerMerchant`.
    case tooMany

    /// The registration as it is stored now; nil where nothing was saved.
    package var registration: Registration? {
        if case .saved(let registration) = self { registration } else { nil }
    }
}

extension Store {
    /// A token of a registration, as it is bound to its row.
    package enum RegistrationToken: String, Sendable {
        case authorization
        case functionsKey = "functions key"
    }

    static func registrationContext(_ token: RegistrationToken, id: Int64) -> String {
        "\(token.rawValue) of registration \(id)"
    }

    /// Registers a URL for events of a merchant. Whether it is open, and whose it is, is the caller's to judge.
    package func createRegistration(
        _ draft: RegistrationDraft, of merchant: Merchant, by requester: Requester, now: Timestamp
    ) async throws -> RegistrationOutcome {
        try await engine.write(.intake) { db in
            try Self.lockRegistrations(of: merchant.id, in: db)
            let known = try Self.registeredURLs(of: merchant.id, in: db)
            let isKnown = known.contains { $0.url == draft.url.identity && $0.type == draft.selection.rawValue }
            if isKnown { return .alreadyRegistered }
            guard known.count < Limits.registrationsPerMerchant else { return .tooMany }
            let id = try db.nextIDs(.registration, 1)[0]
            try db.run(
                """
                INSERT INTO registrations (merchant_id, id, receiver_id, url, type, authorization_sealed,
                    functions_key_sealed, key_id, created_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                """,
                [
                    .int(merchant.id), .int(id),
                    .optional(try Self.receiverID(of: draft.url, merchantID: merchant.id, now, in: db)),
                    .text(draft.url.text), .text(draft.selection.rawValue),
                    .optional(try seal(draft.authorizationToken, .authorization, id: id)),
                    .optional(try seal(draft.functionsKey, .functionsKey, id: id)), .text(sealing.id), .time(now),
                ])
            try Self.audit(
                webhook: id, of: merchant.accountID, "webhook.create",
                parameters: "merchant \(merchant.id), \(draft.selection.rawValue) to \(draft.url.origin)",
                by: requester, now, in: db)
            return try Self.findRegistration(id, in: db).map { .saved($0) } ?? .notFound
        }
    }

    /// Changes what is asked for and leaves the rest. Where the URL goes to another receiver from now on, the row says
    /// that what waits has to follow, and a token that is not given again is cleared: it was meant for the old origin.
    package func updateRegistration(
        id: Int64, _ change: RegistrationChange, by requester: Requester, now: Timestamp
    ) async throws -> RegistrationOutcome {
        try await engine.write(.intake) { db in
            // A registration never changes its merchant, so that may be read before it is locked.
            guard let merchantID = try Self.findRegistration(id, in: db)?.merchantID else { return .notFound }
            if change.url != nil || change.selection != nil { try Self.lockRegistrations(of: merchantID, in: db) }
            guard let known = try Self.lockRegistration(id, in: db) else { return .notFound }
            if change.fields.isEmpty { return .saved(known) }
            if try Self.isTaken(change, known, in: db) { return .alreadyRegistered }
            let origin = try Self.origin(of: known, in: db)
            let isLeaving = change.url.map { $0.origin != origin } ?? false
            if let url = change.url {
                let receiverID = try Self.receiverID(of: url, merchantID: known.merchantID, now, in: db)
                try db.run(
                    """
                    UPDATE registrations SET url = $3,
                        is_moving = CASE WHEN receiver_id = $4 THEN is_moving ELSE 1 END, receiver_id = $4
                    WHERE merchant_id = $1 AND id = $2
                    """,
                    [.int(known.merchantID), .int(id), .text(url.text), .optional(receiverID)])
            }
            if let selection = change.selection {
                try db.run(
                    "UPDATE registrations SET type = $3 WHERE merchant_id = $1 AND id = $2",
                    [.int(known.merchantID), .int(id), .text(selection.rawValue)])
            }
            let change = isLeaving ? change.clearingTokens : change
            try replace(change.authorizationToken, .authorization, of: known, in: db)
            try replace(change.functionsKey, .functionsKey, of: known, in: db)
            var parameters = change.fields.joined(separator: ", ")
            if isLeaving, let url = change.url { parameters += "; from \(origin ?? "nowhere") to \(url.origin)" }
            try Self.audit(
                webhook: id, of: try Self.accountID(of: known, in: db), "webhook.update", parameters: parameters,
                by: requester, now, in: db)
            return try Self.findRegistration(id, in: db).map { .saved($0) } ?? .notFound
        }
    }

    /// Ends a registration: nothing more is enqueued for it, and the row says that what waits has to go.
    /// - Returns: false where there is none (any more).
    package func deleteRegistration(id: Int64, by requester: Requester, now: Timestamp) async throws -> Bool {
        try await engine.write(.intake) { db in
            guard let known = try Self.lockRegistration(id, in: db) else { return false }
            try db.run(
                """
                UPDATE registrations SET deleted_at = $3, is_moving = 1, authorization_sealed = NULL,
                    functions_key_sealed = NULL
                WHERE merchant_id = $1 AND id = $2
                """,
                [.int(known.merchantID), .int(id), .time(now)])
            try Self.audit(
                webhook: id, of: try Self.accountID(of: known, in: db), "webhook.delete", by: requester, now, in: db)
            return true
        }
    }

    /// One create or change of a merchant's registrations after the other, so that what was looked at still holds.
    private static func lockRegistrations(of merchantID: Int64, in db: any SQLConnection) throws {
        try db.query("SELECT id FROM merchants WHERE id = $1 FOR UPDATE", [.int(merchantID)]) { _ in }
    }

    /// What is registered already. The index on these columns compares texts; equal URLs may be spelled differently.
    private static func registeredURLs(
        of merchantID: Int64, in db: any SQLConnection
    ) throws -> [(id: Int64, url: String, type: String)] {
        try db.all(
            "SELECT id, url, type FROM registrations WHERE merchant_id = $1 AND deleted_at IS NULL",
            [.int(merchantID)]
        ) { (id: $0.int(0), url: ReceiverURL.identity(of: $0.text(1)), type: $0.text(2)) }
    }

    /// Whether a change would make a registration equal to another one.
    private static func isTaken(
        _ change: RegistrationChange, _ known: Registration, in db: any SQLConnection
    ) throws -> Bool {
        guard change.url != nil || change.selection != nil else { return false }
        let url = change.url?.identity ?? ReceiverURL.identity(of: known.url)
        let type = (change.selection ?? known.selection).rawValue
        return try registeredURLs(of: known.merchantID, in: db).contains {
            $0.id != known.id && $0.url == url && $0.type == type
        }
    }

    /// Where it goes now; nil for one whose receiver is not known.
    private static func origin(of registration: Registration, in db: any SQLConnection) throws -> String? {
        try db.first(
            """
            SELECT e.origin FROM registrations r JOIN receivers e ON e.id = r.receiver_id
            WHERE r.merchant_id = $1 AND r.id = $2
            """,
            [.int(registration.merchantID), .int(registration.id)]
        ) { $0.text(0) }
    }

    private static func lockRegistration(_ id: Int64, in db: any SQLConnection) throws -> Registration? {
        try db.query("SELECT id FROM registrations WHERE id = $1 FOR UPDATE", [.int(id)]) { _ in }
        return try findRegistration(id, in: db)
    }

    private static func receiverID(
        of url: ReceiverURL, merchantID: Int64, _ now: Timestamp, in db: any SQLConnection
    ) throws -> Int64? {
        try Receivers.find(or: [(merchantID, url.origin)], now, in: db)[0]
    }

    func seal(_ token: String?, _ kind: RegistrationToken, id: Int64) throws -> [UInt8]? {
        guard let token else { return nil }
        return try sealing.seal(Array(token.utf8), context: Self.registrationContext(kind, id: id))
    }

    private func replace(
        _ token: RegistrationChange.Token, _ kind: RegistrationToken, of registration: Registration,
        in db: any SQLConnection
    ) throws {
        if token == .unchanged { return }
        let column = kind == .authorization ? "authorization_sealed" : "functions_key_sealed"
        try db.run(
            "UPDATE registrations SET \(column) = $3, key_id = $4 WHERE merchant_id = $1 AND id = $2",
            [
                .int(registration.merchantID), .int(registration.id),
                .optional(try seal(token.value, kind, id: registration.id)), .text(sealing.id),
            ])
    }

    private static func accountID(of registration: Registration, in db: any SQLConnection) throws -> Int64? {
        try db.first("SELECT account_id FROM merchants WHERE id = $1", [.int(registration.merchantID)]) { $0.int(0) }
    }

    static func audit(
        webhook id: Int64, of accountID: Int64?, _ action: String, parameters: String = "", by requester: Requester,
        _ now: Timestamp, in db: any SQLConnection
    ) throws {
        let entry = Audit.Entry(
            at: now, accountID: accountID, by: requester, action: action, target: "webhook \(id)",
            parameters: parameters)
        try Audit.write(entry, in: db)
    }
}
