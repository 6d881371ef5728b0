package import ReenvioModel
package import ReenvioStore

/// Lets a node's engine time follow the clock of the server that nodes share, so that they agree on what is due and
/// whose lease has ended, whatever their own clocks say (`docs/architecture.md`, rule 9).
package final class ServerClock: Stepping {
    private static let every: Duration = .seconds(10)

    package let name = "server clock"
    package let doorbell = Doorbell()
    private let store: Store
    private let clock: SystemClock

    package init(store: Store, clock: SystemClock) {
        self.store = store
        self.clock = clock
    }

    /// How far the server's clock is ahead of this machine's, to half the time of a round trip; nil without a server.
    package static func ahead(of clock: SystemClock, _ store: Store) async throws -> Duration? {
        let before = clock.wall
        guard let server = try await store.serverTime() else { return nil }
        let after = clock.wall
        return (server - before - (after - server)) / 2
    }

    package func step(now: Moment) async throws -> Step {
        guard let ahead = try await Self.ahead(of: clock, store) else { return .wait(.seconds(3_600)) }
        clock.follow(ahead: ahead)
        return .wait(Self.every)
    }

    package func finish() async {}
}
