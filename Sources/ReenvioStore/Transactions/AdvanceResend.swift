package import ReenvioModel
import Synchronization

/// What a step of the runner did.
package struct ResendStep: Sendable, Equatable {
    package enum Progress: Sendable, Equatable {
        /// No resend is running.
        case idle
        /// Every running resend waits for its deliveries to drain.
        case waiting
        /// One step of this resend was committed.
        case advanced
        /// This resend ended with the step.
        case ended(Resend.State)
    }

    package var progress: Progress
    package var resendID: Int64?
    /// Deliveries enqueued by the step.
    package var queued = 0
    /// Items that it could not enqueue, by reason.
    package var failures: [AttemptFailure: Int] = [:]

    package var failed: Int { failures.values.reduce(0, +) }
}

/// A resend whose next chunk cannot be written, however often it is tried.
package struct ResendBroken: Error, Equatable {
    package var resendID: Int64
    /// For the log; never shown outside.
    package var why: String
}

/// Where and under which rules a chunk's deliveries go.
package struct ChunkRules: Sendable {
    /// Wall time, shown as `updated_at`.
    package var now: Timestamp
    /// Engine time of the first attempts.
    package var due: Timestamp
    /// Judges URLs by syntax and literal address; a refused one counts as failed (`docs/contract.md` 5).
    package var policy: AddressPolicy
    /// Most deliveries of one resend that may wait undelivered.
    package var backlogMax: Int64
    /// Engine time. The first attempts of a v3 resend, which has a schedule of its own, are due at once
    /// (`docs/contract.md` 6.4).
    package var engineNow: Timestamp

    package init(
        now: Timestamp, due: Timestamp, engineNow: Timestamp? = nil, policy: AddressPolicy, backlogMax: Int64
    ) {
        self.now = now
        self.due = due
        self.engineNow = engineNow ?? due
        self.policy = policy
        self.backlogMax = backlogMax
    }
}

extension Store {
    /// Takes one step of the next running resend after `last` that can go on: at most 200 items and 5,000 index
    /// entries. The chunk's deliveries, the cursor and the counters are one commit (`docs/contract.md` 5). A resend
    /// waits while its backlog is full, its pace has no room, or its canary is not decided.
    package func advanceResend(after last: Int64?, _ rules: ChunkRules) async throws -> ResendStep {
        // What is sent without waiting may fail as late as at the commit.
        let attempted = Mutex<Int64?>(nil)
        do {
            let (step, told) = try await engine.write(.chunks) { db in
                let step = try Self.step(after: last ?? 0, rules, in: db) { id in attempted.withLock { $0 = id } }
                guard case .ended = step.progress, let id = step.resendID else { return (step, WrittenNotices()) }
                return (step, try tellEnd(ofJob: id, in: db))
            }
            announce(told)
            return step
        } catch StoreError.failed(let why) {
            guard let id = attempted.withLock({ $0 }) else { throw StoreError.failed(why) }
            throw ResendBroken(resendID: id, why: why)
        }
    }

    private static func step(
        after last: Int64, _ rules: ChunkRules, in db: any SQLConnection, attempting: (Int64?) -> Void
    ) throws -> ResendStep {
        attempting(nil)
        let running = try RunningResend.inTurn(after: last, backlogMax: rules.backlogMax, in: db)
        for resend in running {
            attempting(resend.id)
            do {
                if let step = try advance(resend, rules, in: db) { return step }
            } catch StoreError.failed(let why) {
                throw ResendBroken(resendID: resend.id, why: why)
            }
        }
        attempting(nil)
        let isAnyRunning = try db.first("SELECT id FROM resends WHERE state = 'processing' LIMIT 1") { $0.int(0) }
        // Where more wait than one step looks at, the next one looks at the others.
        return ResendStep(progress: isAnyRunning == nil ? .idle : .waiting, resendID: running.last?.id)
    }

    /// Nil where the resend has to wait.
    private static func advance(
        _ seen: RunningResend, _ rules: ChunkRules, in db: any SQLConnection
    ) throws -> ResendStep? {
        if !seen.awaitsCanary, seen.chunkRoom(now: rules.engineNow) == 0 { return nil }
        guard let resend = try seen.locked(in: db) else { return nil }
        if resend.awaitsCanary { return try ResendCanary(resend, now: rules.now).decide(in: db) }
        let room = resend.chunkRoom(now: rules.engineNow)
        if room == 0 { return nil }
        if let category = resend.kind.category { return try LogChunk(resend, category, rules).run(in: db) }
        return try ResendChunk(resend, rules, room: room).run(in: db)
    }

    /// Ends a resend that cannot go on, so that it never holds the lock for ever (`docs/contract.md` 4.4).
    package func failResend(id: Int64, reason: String, now: Timestamp) async throws {
        let told = try await engine.write(.chunks) { db in
            let failed = try db.run(
                """
                UPDATE resends SET state = 'failed', ended = 'failed', reason = $2, ended_at = $3, updated_at = $3,
                    log_status = CASE WHEN log_status IS NULL THEN NULL ELSE 'FAILED' END
                WHERE id = $1 AND state = 'processing'
                """,
                [.int(id), .text(reason), .time(now)]
            )
            return failed > 0 ? try tellEnd(ofJob: id, in: db) : WrittenNotices()
        }
        announce(told)
    }
}
