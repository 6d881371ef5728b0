import Logging
import ReenvioModel
import ReenvioStore
import Synchronization

/// Commits a batch around locked rows. A paused node or a database client may hold a merchant's row lock: only changes
/// of that merchant wait for it.
extension Intake {
    /// A commit of many merchants gives up a lock before anybody else would notice, and one that met it before sooner.
    static let lockWait: Duration = .milliseconds(500)
    static let retryLockWait: Duration = .milliseconds(150)

    func commit(_ requests: [IntakeRequest], now: Moment) async {
        defer { line.withLock { $0.ended() } }
        var requests = requests
        if line.withLock({ $0.hasLocks(now: .now) }) {
            guard let groups = await groups(of: requests) else { return }
            requests = line.withLock { $0.passing(groups, now: .now) }.flatMap(\.requests)
            if requests.isEmpty { return }
        }
        do {
            try await write(requests, now: now, lockWait: Self.lockWait)
        } catch {
            await commitAround(requests, now: now)
        }
    }

    /// Finds out whose rows are locked by writing without them.
    private func commitAround(_ requests: [IntakeRequest], now: Moment) async {
        guard let groups = await groups(of: requests) else { return }
        let locked =
            groups.count == 1
            ? groups
            : await Apart.write(around: groups) { part in
                try await self.write(part.flatMap(\.requests), now: now, lockWait: Self.retryLockWait)
            }.locked
        for group in locked { note(locked: group) }
    }

    func tryAgain(_ group: IntakeLine.Group, now: Moment) async {
        defer { line.withLock { $0.ended() } }
        do {
            try await write(group.requests, now: now, lockWait: Self.retryLockWait)
            line.withLock { $0.unlocked(group.merchants) }
        } catch {
            note(locked: group)
        }
    }

    private func note(locked group: IntakeLine.Group) {
        commits.failed(lockingOut: group.merchants)
        line.withLock { $0.locked(group, now: .now) }
    }

    /// Nil, and all are answered, where the store cannot be read.
    private func groups(of requests: [IntakeRequest]) async -> [IntakeLine.Group]? {
        do {
            let merchants = try await store.merchants(of: requests.map(\.batch))
            var groups: [IntakeLine.Group] = []
            var places: [Set<Int64>: Int] = [:]
            for (request, merchants) in zip(requests, merchants) {
                if let place = places[merchants] {
                    groups[place].requests.append(request)
                } else {
                    places[merchants] = groups.count
                    groups.append(IntakeLine.Group(merchants: merchants, requests: [request]))
                }
            }
            return groups
        } catch {
            fail(requests, error)
            return nil
        }
    }
}

/// Answers requests whose time is over, whatever their commit waits for; runs where that is not in this process.
package final class IntakeDeadline: Stepping {
    private static let look: Duration = .milliseconds(100)

    package let name = "intake deadline"
    package var doorbell: Doorbell { intake.deadlineBell }
    private let intake: Intake
    private let patience: Duration

    package init(_ intake: Intake, patience: Duration) {
        self.intake = intake
        self.patience = patience
    }

    package func step(now: Moment) async throws -> Step {
        intake.answerLate(after: patience)
        return .wait(intake.line.withLock(\.isEmpty) ? .seconds(3_600) : Self.look)
    }

    package func finish() async {}
}

extension Intake {
    /// What waits is dropped; what is being written may still be stored.
    fileprivate func answerLate(after patience: Duration) {
        let since = ContinuousClock.now - patience
        let (late, lockedOut, running) = line.withLock { line in
            let late = line.takeLate(since)
            return (late.waiting, late.lockedOut, line.inFlight.filter { $0.since <= since })
        }
        let dropped = StoreError.unavailable("the change could not be written in time")
        let unknown = StoreError.unavailable("the database did not answer in time; whether it is stored is unknown")
        if !late.isEmpty {
            metrics.droppedCalls.add(late.count)
            commits.failed(lockingOut: lockedOut)
            logger.error(
                "changes were refused that could not be written in time", metadata: ["count": "\(late.count)"])
        }
        if !running.isEmpty { commits.failed() }
        for request in late { request.answer(.failure(dropped)) }
        for request in running { request.answer(.failure(unknown)) }
    }
}
