package import ReenvioModel

/// Somebody signed in at the dashboard with a key.
package struct DashboardSession: Sendable, Equatable {
    package var keyID: String
    package var createdAt: Timestamp
    package var seenAt: Timestamp

    package init(keyID: String, createdAt: Timestamp, seenAt: Timestamp) {
        self.keyID = keyID
        self.createdAt = createdAt
        self.seenAt = seenAt
    }

    /// Ends after half an hour without a request, and after twelve hours in any case.
    package func isOver(now: Timestamp) -> Bool {
        now - seenAt >= .seconds(Limits.sessionIdleSeconds) || now - createdAt >= .seconds(Limits.sessionSeconds)
    }
}

/// The row of the audit of a sign-in or a sign-out.
package struct SessionNote: Sendable {
    package var requester: Requester
    package var parameters: String

    package init(by requester: Requester, parameters: String = "") {
        self.requester = requester
        self.parameters = parameters
    }

    func write(_ action: String, _ key: APIKey, _ now: Timestamp, in db: any SQLConnection) throws {
        try Audit.write(
            Audit.Entry(
                at: now, accountID: key.accountID, by: requester, action: action, target: "key \(key.id)",
                parameters: parameters), in: db)
    }
}

extension Store {
    private static let sessionsForgotten = 1_000

    /// Signs in: the session, its row in the audit where it has one, and the end of sessions that are long over, in one
    /// commit.
    package func openSession(
        _ token: SessionToken, key: APIKey, noting noted: SessionNote?, now: Timestamp
    ) async throws {
        let cutoff = now - .seconds(Limits.sessionSeconds)
        try await engine.write(.intake) { db in
            try db.run(
                """
                DELETE FROM dashboard_sessions WHERE hash IN (
                    SELECT hash FROM dashboard_sessions WHERE seen_at < $1 LIMIT $2)
                """, [.time(cutoff), .int(Self.sessionsForgotten)])
            try db.run(
                "INSERT INTO dashboard_sessions (hash, key_id, created_at, seen_at) VALUES ($1, $2, $3, $3)",
                [.blob(token.hash), .text(key.id), .time(now)])
            try noted?.write("dashboard.sign-in", key, now, in: db)
            return ()
        }
    }

    /// The session of a cookie and the key that opened it, whatever became of either since.
    package func session(_ token: SessionToken) async throws -> (session: DashboardSession, key: APIKey)? {
        let hash = token.hash
        return try await engine.lookup { db in
            let session = try db.first(
                "SELECT key_id, created_at, seen_at FROM dashboard_sessions WHERE hash = $1", [.blob(hash)]
            ) { DashboardSession(keyID: $0.text(0), createdAt: $0.time(1), seenAt: $0.time(2)) }
            guard let session else { return nil }
            let key = try db.first("\(Self.keyColumns) WHERE id = $1", [.text(session.keyID)], Self.key)
            return key.map { (session, $0) }
        }
    }

    /// Puts off the idle end.
    package func touchSession(_ token: SessionToken, now: Timestamp) async throws {
        try await engine.write(.intake) { db in
            try db.run(
                "UPDATE dashboard_sessions SET seen_at = $2 WHERE hash = $1 AND seen_at < $2",
                [.blob(token.hash), .time(now)])
            return ()
        }
    }

    package func closeSession(
        _ token: SessionToken, key: APIKey, noting noted: SessionNote?, now: Timestamp
    ) async throws {
        try await engine.write(.intake) { db in
            try db.run("DELETE FROM dashboard_sessions WHERE hash = $1", [.blob(token.hash)])
            try noted?.write("dashboard.sign-out", key, now, in: db)
            return ()
        }
    }

    /// Notes that a caller is shown people of many payouts unmasked (`docs/contract.md` 14).
    package func recordPeopleRead(
        accountID: Int64?, parameters: String, by requester: Requester, now: Timestamp
    ) async throws {
        try await engine.write(.intake) { db in
            try Audit.write(
                Audit.Entry(
                    at: now, accountID: accountID, by: requester, action: "people.read", target: "payouts",
                    parameters: parameters), in: db)
        }
    }

    /// Notes that somebody is shown the people of a payout unmasked (`docs/contract.md` 14).
    package func recordReveal(
        payout: Payout, by requester: Requester, now: Timestamp
    ) async throws {
        try await engine.write(.intake) { db in
            let owner = try db.first("SELECT account_id FROM merchants WHERE id = $1", [.int(payout.merchantID)]) {
                $0.int(0)
            }
            try Audit.write(
                Audit.Entry(
                    at: now, accountID: owner, by: requester, action: "payout.reveal", target: "payout \(payout.id)"),
                in: db)
        }
    }
}
