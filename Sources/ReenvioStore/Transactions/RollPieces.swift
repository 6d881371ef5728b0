package import ReenvioModel

/// What became of the pieces of histories (`TimePieces`).
package struct PiecesRolled: Sendable, Equatable {
    package var made = 0
    package var dropped = 0

    package init() {}
}

extension Store {
    /// Makes the pieces that will be needed, and drops one of each history whose last row has outlived its retention.
    /// Nothing to do where the engine keeps histories whole. Waits only a moment for whoever reads a history: the next
    /// call tries again.
    package func rollPieces(retention: Retention, now: Timestamp) async throws -> PiecesRolled {
        guard engine.sharing != nil else { return PiecesRolled() }
        var rolled = PiecesRolled()
        for (pieces, kind) in [(TimePieces.settled, Retention.Kind.deliveries), (.attempts, .attempts)] {
            let keptSeconds = retention.seconds[kind, default: 0]
            let cutoff = retention.cutoff(kind, now: now)
            let (made, dropped) = try await engine.write(.janitor) { db in
                // Another node may be at it.
                for statement in db.dialect.beforeCutting { try db.run(statement) }
                let made = try pieces.extend(now: now, keptSeconds: keptSeconds, in: db)
                return (made, try Self.dropOldest(of: pieces, cutoff: cutoff, in: db))
            }
            rolled.made += made
            rolled.dropped += dropped ? 1 : 0
        }
        return rolled
    }

    /// Never ended deliveries that the ledger of a resend still shows: those ended after the resend began.
    private static func dropOldest(
        of pieces: TimePieces, cutoff: Timestamp, in db: any SQLConnection
    ) throws -> Bool {
        guard let oldest = try pieces.pieces(in: db).first, oldest.until <= cutoff.microseconds else { return false }
        if pieces.table == TimePieces.settled.table {
            guard try ForgottenDeliveries.mayGo(endedBefore: oldest.until, in: db) else { return false }
            try ForgottenDeliveries.note(endedBefore: Timestamp(microseconds: oldest.until), in: db)
        }
        try db.run("DROP TABLE \(oldest.name)")
        return true
    }
}

/// Since when ended deliveries are all there: `check --deep` does not miss those from before.
enum ForgottenDeliveries {
    private static let name = "deliveries_forgotten_before"

    static func note(endedBefore end: Timestamp, in db: any SQLConnection) throws {
        try db.run(
            """
            INSERT INTO meta (name, value) VALUES ($1, $2)
            ON CONFLICT (name) DO UPDATE SET value = CASE
                WHEN CAST(meta.value AS BIGINT) > CAST(excluded.value AS BIGINT) THEN meta.value ELSE excluded.value END
            """, [.text(name), .text(String(end.microseconds))])
    }

    /// In statements: whether something from that time may be forgotten.
    static func mayBeForgotten(_ time: String) -> String {
        "\(time) < coalesce((SELECT CAST(value AS BIGINT) FROM meta WHERE name = '\(name)'), 0)"
    }

    /// Whether no resend that is kept began before. Resends are numbered as they begin, give or take what a transaction
    /// takes.
    static func mayGo(endedBefore end: Int64, in db: any SQLConnection) throws -> Bool {
        let oldest = try db.first("SELECT started_at FROM resends ORDER BY id LIMIT 1") { $0.int(0) }
        return (oldest ?? Int64.max) - 3_600_000_000 >= end
    }
}
