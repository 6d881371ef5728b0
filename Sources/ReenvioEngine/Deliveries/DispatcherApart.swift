import Logging
import ReenvioModel
import ReenvioStore

/// What a commit that fails for one bad row or page is split into.
extension Dispatcher {
    /// What one bad row or page stops is found and set aside; everything else is written.
    func writeApart(now: Moment) async throws {
        let changes = takeChanges()
        let told = await Apart.write(changes) { part in
            let recorded = try await self.store.recordAndClaim([], changes: part, now: now.wall, claim: nil).recorded
            self.took([], recorded, part, ClaimResult(), at: now)
        }
        for bad in told.bad {
            logger.error(
                "what was learned of a receiver cannot be written; it is left out",
                metadata: ["receiver": "\(bad.item.receiverID)", "error": "\(bad.why)"])
        }
        let records = told.error == nil ? recorder.take(atMost: Limits.outcomesPerCommit) : []
        let written = await write(apart: records, now: now)
        await quarantine.hold(written.bad, now: now)
        putBack(written.left, told.left)
        if let error = told.error ?? written.error { throw error }
    }

    private func write(apart records: [AttemptRecord], now: Moment) async -> Apart.Outcome<AttemptRecord> {
        await Apart.write(records, merchant: \.claimed.merchantID) { part in
            let recorded = try await self.store.recordAndClaim(part, now: now.wall, claim: nil).recorded
            self.took(part, recorded, [], ClaimResult(), at: now)
        }
    }

    /// Lock timeouts: of a commit of many merchants, and of a retry for one whose row was locked before.
    static let lockWait: Duration = .milliseconds(500)
    private static let retryLockWait: Duration = .milliseconds(100)

    /// Writes everything but the results whose rows are locked, and keeps those for a retry.
    func writeAround(_ records: [AttemptRecord], _ changes: [ReceiverChange], now: Moment) async throws {
        let receivers = Dictionary(grouping: changes, by: \.receiverID).values
        let told = await Apart.write(around: Array(receivers)) { part in
            let changes = part.flatMap { $0 }
            let recorded = try await self.store.recordAndClaim(
                [], changes: changes, now: now.wall, claim: nil, lockWait: Self.retryLockWait
            ).recorded
            self.took([], recorded, changes, ClaimResult(), at: now)
        }
        let merchants = Dictionary(grouping: records, by: \.claimed.merchantID).values
        let written = await Apart.write(around: Array(merchants)) { part in
            let records = part.flatMap { $0 }
            let recorded = try await self.store.recordAndClaim(
                records, now: now.wall, claim: nil, lockWait: Self.retryLockWait
            ).recorded
            self.took(records, recorded, [], ClaimResult(), at: now)
        }
        locked.hold(written.locked.flatMap { $0 }, told.locked.flatMap { $0 }, now: .now)
        putBack(written.left.flatMap { $0 }, told.left.flatMap { $0 })
        if let error = told.error ?? written.error { throw error }
    }

    /// What waited for a lock, a merchant or receiver at a time; and results that were set aside, once an hour.
    func retryHeld(now: Moment) async throws {
        let (records, changes) = locked.takeDue(now: .now)
        if !records.isEmpty || !changes.isEmpty { try await writeAround(records, changes, now: now) }
        let due = quarantine.due(now: now.engine)
        if due.isEmpty { return }
        var done: [AttemptRecord] = []
        let written = await Apart.write(due) { part in
            let recorded = try await self.store.recordAndClaim(part, now: now.wall, claim: nil).recorded
            self.took(part, recorded, [], ClaimResult(), at: now)
            done += part
        }
        await quarantine.release(done)
        await quarantine.hold(written.bad, now: now)
        recorder.putBack(written.left)
    }

    /// Claims from ever fewer queues, until those that cannot be read are known; then from the receivers to be probed.
    func claimApart(now: Moment) async throws -> ClaimResult {
        guard let order = claimOrder(now: now) else { return ClaimResult() }
        var all = ClaimResult()
        let queues = try await store.claimable(order)
        let found = await Apart.write(queues, merchant: \.merchantID) { part in
            guard var order = self.claimOrder(now: now) else { return }
            order.only = Set(part)
            order.probesMax = 0
            try await self.claim(order, into: &all, now: now)
        }
        await quarantine.passOver(found.bad, now: now)
        if let error = found.error {
            guard all.deliveries.isEmpty else { return all }
            throw error
        }
        for _ in 0..<Limits.probesInFlight {
            guard var order = claimOrder(now: now) else { break }
            order.only = []
            do {
                try await claim(order, into: &all, now: now)
                break
            } catch let broken as ProbeBroken {
                await quarantine.passOver(broken, now: now)
            } catch {
                guard all.deliveries.isEmpty else { break }
                throw error
            }
        }
        return all
    }

    private func claim(_ order: ClaimOrder, into all: inout ClaimResult, now: Moment) async throws {
        let (recorded, claimed) = try await store.recordAndClaim([], now: now.wall, claim: order)
        took([], recorded, [], claimed, at: now)
        all.deliveries += claimed.deliveries
        all.damaged += claimed.damaged
        all.unreadable += claimed.unreadable
        all.passedOver += claimed.passedOver
        (all.turns, all.canceled) = (claimed.turns, claimed.canceled)
    }
}
