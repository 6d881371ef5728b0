package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Lets a node's engine time follow the clock of the server that nodes share, so that they agree on what is due and
/// whose lease has ended, whatever their own clocks say (`docs/architecture.md`, rule 9); and tells nodes that start
/// what it is.
package final class ServerClock: Stepping {
    private static let every: Duration = .seconds(1)
    /// Running nodes answer within `every`, and a little.
    private static let answerWithin: Duration = .milliseconds(2_500)
    private static let look: Duration = .milliseconds(50)

    package let name = "server clock"
    package let doorbell = Doorbell()
    private let store: Store
    private let clock: SystemClock
    private let answered = Mutex<String?>(nil)

    package init(store: Store, clock: SystemClock) {
        self.store = store
        self.clock = clock
    }

    package func step(now: Moment) async throws -> Step {
        let before = clock.wall
        guard let server = try await store.serverMoment() else { return .wait(.seconds(3_600)) }
        clock.follow(ahead: Self.ahead(server.time, before, clock.wall))
        if let question = server.question, answered.withLock({ $0 != question }) {
            let now = clock.now
            try await store.tellEngineTime(now.engine, ahead: now.engine - now.wall)
            answered.withLock { $0 = question }
        }
        return .wait(Self.every)
    }

    /// How far the server's clock is ahead of this machine's, to half the time of a round trip.
    private static func ahead(_ server: Timestamp, _ before: Timestamp, _ after: Timestamp) -> Duration {
        (server - before - (after - server)) / 2
    }

    package func finish() async {}

    // MARK: At the start

    /// The clock of a server that starts on the store.
    package static func start(on store: Store, entropy: any Entropy = SystemEntropy()) async throws -> SystemClock {
        let plain = SystemClock()
        let before = plain.wall
        let server = try await store.serverMoment()
        let ahead = server.map { Self.ahead($0.time, before, plain.wall) } ?? Duration.zero
        let stored = try await store.engineTime()
        var running: Timestamp?
        if store.engine.sharing != nil, EngineStart.asksNodes(reference: plain.wall + ahead, stored: stored.highest) {
            running = try await ask(store, since: stored.answer, entropy)
        }
        let engine = EngineStart.choose(reference: plain.wall + ahead, stored: stored.highest, running: running)
        let clock = SystemClock(ahead: ahead, engine: engine)
        if let time = ClockKeeper.atStart(try await store.trustedTime(), clock.reading) { clock.trust(time) }
        return clock
    }

    /// The engine time of a running node; nil without an answer.
    private static func ask(
        _ store: Store, since known: String?, _ entropy: any Entropy
    ) async throws -> Timestamp? {
        try await store.askEngineTime(entropy.next())
        let asked = ContinuousClock.now
        while ContinuousClock.now - asked < answerWithin {
            let answer = try await store.engineTime().answer
            if answer != known, let time = answer.flatMap({ Int64($0) }) { return Timestamp(microseconds: time) }
            try await Task.sleep(for: look)
        }
        return nil
    }
}
