package import ReenvioModel

/// What is known of an `Idempotency-Key` (`docs/contract.md` 13.8).
package enum IdempotencyState: Sendable, Equatable {
    /// Never seen, or forgotten: the request is made.
    case new
    /// The same body made this object; its answer is given again.
    case made(objectID: Int64)
    case otherBody
}

extension Store {
    /// Looks before any work is done; the transaction that does the work looks again.
    package func idempotencyState(_ claim: IdempotencyClaim, now: Timestamp) async throws -> IdempotencyState {
        try await engine.lookup { db in try IdempotencyKeys.find(claim, now: now, in: db) }
    }
}

/// Keys are claimed, then filled or let go, in the transaction that makes the object. Equal requests at the same time
/// therefore wait for the first: on SQLite for the writer, on PostgreSQL for the row.
enum IdempotencyKeys {
    static func find(_ claim: IdempotencyClaim, now: Timestamp, in db: any SQLConnection) throws -> IdempotencyState {
        let state = try db.first(
            """
            SELECT body_hash, object_id FROM idempotency_keys
            WHERE account_id = $1 AND method = $2 AND path = $3 AND key = $4 AND created_at > $5
            """,
            names(claim) + [.time(claim.endedBefore ?? oldest(now))]
        ) { row -> IdempotencyState in
            row.blob(0) == claim.bodyHash ? .made(objectID: row.int(1)) : .otherBody
        }
        return state ?? .new
    }

    /// Takes the key when it is new; says what it stands for otherwise.
    static func claim(_ claim: IdempotencyClaim, now: Timestamp, in db: any SQLConnection) throws -> IdempotencyState {
        let claimed = try db.run(
            """
            INSERT INTO idempotency_keys (account_id, method, path, key, body_hash, object_id, created_at)
            VALUES ($1, $2, $3, $4, $5, 0, $6)
            ON CONFLICT (account_id, method, path, key) DO UPDATE
                SET body_hash = excluded.body_hash, object_id = 0, created_at = excluded.created_at
                WHERE idempotency_keys.created_at <= $7
            """,
            names(claim) + [.blob(claim.bodyHash), .time(now), .time(claim.endedBefore ?? oldest(now))]
        )
        return claimed == 1 ? .new : try find(claim, now: now, in: db)
    }

    static func fill(_ claim: IdempotencyClaim, objectID: Int64, in db: any SQLConnection) throws {
        try db.run(
            """
            UPDATE idempotency_keys SET object_id = $5
            WHERE account_id = $1 AND method = $2 AND path = $3 AND key = $4
            """,
            names(claim) + [.int(objectID)]
        )
    }

    /// Only 2xx answers are remembered: what was refused may be tried again under the same key.
    static func release(_ claim: IdempotencyClaim, in db: any SQLConnection) throws {
        try db.run(
            "DELETE FROM idempotency_keys WHERE account_id = $1 AND method = $2 AND path = $3 AND key = $4",
            names(claim)
        )
    }

    private static func names(_ claim: IdempotencyClaim) -> [SQLValue] {
        [.int(claim.name.accountID), .text(claim.name.method), .text(claim.name.path), .text(claim.name.key)]
    }

    static func oldest(_ now: Timestamp) -> Timestamp {
        now - .seconds(Limits.idempotencyKeptSeconds)
    }
}

/// Creates of one commit, each under its key where it has one.
struct IdempotentCreates {
    private var pending: [Int]
    private(set) var results: [IntakeResult.Created?]

    init(_ payouts: [IntakeBatch.NewPayout]) {
        pending = Array(payouts.indices)
        results = Array(repeating: nil, count: payouts.count)
    }

    /// Requests with a key that stands in the batch twice go one after the other, so that the second sees the first;
    /// all others go at once.
    mutating func run(
        _ payouts: [IntakeBatch.NewPayout], now: Timestamp, in db: any SQLConnection,
        insert: ([Int]) throws -> [IntakeResult.Created]
    ) throws {
        while !pending.isEmpty {
            let round = try nextRound(payouts, now: now, in: db)
            for (index, result) in zip(round, try insert(round)) {
                results[index] = result
                guard let claim = payouts[index].claim else { continue }
                if case .payout(let id) = result {
                    try IdempotencyKeys.fill(claim, objectID: id, in: db)
                } else {
                    try IdempotencyKeys.release(claim, in: db)
                }
            }
        }
    }

    private mutating func nextRound(
        _ payouts: [IntakeBatch.NewPayout], now: Timestamp, in db: any SQLConnection
    ) throws -> [Int] {
        var later: [Int] = []
        var claims: [(index: Int, claim: IdempotencyClaim)] = []
        var names: Set<IdempotencyClaim.Name> = []
        var round: [Int] = []
        for index in pending {
            guard let claim = payouts[index].claim else {
                round.append(index)
                continue
            }
            if names.insert(claim.name).inserted { claims.append((index, claim)) } else { later.append(index) }
        }
        // In one order on every node, so that two of them never wait for each other.
        for (index, claim) in claims.sorted(by: { $0.claim.name < $1.claim.name }) {
            switch try IdempotencyKeys.claim(claim, now: now, in: db) {
            case .new: round.append(index)
            case .made(let id): results[index] = .replayed(id: id)
            case .otherBody: results[index] = .keyReused
            }
        }
        pending = later
        return round
    }
}
