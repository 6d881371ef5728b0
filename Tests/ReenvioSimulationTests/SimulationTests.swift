import Foundation
import ReenvioTesting
import Testing

/// Real code, simulated world, one seed: invariants after every few steps. `REENVIO_SEEDS` sets how many seeds run, or
/// from which to which (`1001-5000`); `REENVIO_SEED` runs a single one again.
struct SimulationTests {
    private static let actionsPerSeed = 120
    private static let defaultSeeds: UInt64 = 80
    /// A world on PostgreSQL takes about as long as this many on SQLite.
    private static let postgresShare: UInt64 = 8

    static func seeds(_ kind: TestEngine) -> [UInt64] {
        let environment = ProcessInfo.processInfo.environment
        if let one = environment["REENVIO_SEED"].flatMap(UInt64.init) { return [one] }
        let bounds = (environment["REENVIO_SEEDS"] ?? "").split(separator: "-").compactMap { UInt64($0) }
        let last = bounds.last ?? defaultSeeds
        let first = bounds.count == 2 ? bounds[0] : 1
        let share = kind == .sqlite ? 1 : postgresShare
        return Array(max(1, first / share)...max(1, first / share, last / share))
    }

    @Test(
        "nothing accepted is lost, nothing of a job is enqueued twice, and every count is exact",
        arguments: TestEngine.allCases)
    func worldsHold(_ kind: TestEngine) async throws {
        let seeds = Self.seeds(kind)
        var seen = Seen()
        for portion in stride(from: 0, to: seeds.count, by: 2) {
            let pair = seeds[portion..<min(portion + 2, seeds.count)]
            seen += try await withThrowingTaskGroup(of: Seen.self) { tasks in
                for seed in pair { tasks.addTask { try await Self.run(seed, on: kind) } }
                return try await tasks.reduce(into: Seen()) { $0 += $1 }
            }
        }
        // A simulation that never kills proves nothing about crashes, and so with the rest.
        #expect(seen.kills >= seeds.count)
        if seeds.count > 1 {
            #expect(seen.pauses >= seeds.count)
            #expect(seen.breaks >= seeds.count / 4)
            #expect(seen.cancels >= seeds.count / 2)
            #expect(seen.pacedAttempts >= seeds.count)
            #expect(seen.failedCanaries >= seeds.count / 100)
            #expect(seen.notices >= seeds.count)
            #expect(seen.noticesRepeated >= seeds.count / 10)
        }
    }

    @Test(
        "a live delivery that would be acknowledged never waits behind others of its host",
        arguments: TestEngine.allCases)
    func hostsHold(_ kind: TestEngine) async throws {
        let seeds = Self.seeds(kind)
        var seen = SeenHosts()
        for portion in stride(from: 0, to: seeds.count, by: 2) {
            let pair = seeds[portion..<min(portion + 2, seeds.count)]
            seen += try await withThrowingTaskGroup(of: SeenHosts.self) { tasks in
                for seed in pair { tasks.addTask { try await Self.runHost(seed, on: kind) } }
                return try await tasks.reduce(into: SeenHosts()) { $0 += $1 }
            }
        }
        if seeds.count > 1 {
            #expect(seen.kills >= seeds.count / 2)
            #expect(seen.breaks >= seeds.count / 4)
            #expect(seen.probes >= seeds.count)
            #expect(seen.watched >= seeds.count * 20)
            #expect(seen.hung >= seeds.count * 5)
        }
    }

    private struct SeenHosts {
        var kills = 0
        var breaks = 0
        var probes = 0
        var watched = 0
        var hung = 0

        static func += (left: inout SeenHosts, right: SeenHosts) {
            left.kills += right.kills
            left.breaks += right.breaks
            left.probes += right.probes
            left.watched += right.watched
            left.hung += right.hung
        }
    }

    private static func runHost(_ seed: UInt64, on kind: TestEngine) async throws -> SeenHosts {
        let world = try await HostWorld(seed: seed, on: kind)
        do {
            for _ in 0..<HostWorld.steps { try await world.step() }
            try await world.checkSettled()
        } catch {
            throw SimulationFault("\(kind), seed \(seed): \(error)")
        }
        return SeenHosts(
            kills: world.kills, breaks: world.breaks, probes: world.probes, watched: world.watched, hung: world.hung)
    }

    /// What happened in the worlds.
    private struct Seen {
        var kills = 0
        var pauses = 0
        var breaks = 0
        var cancels = 0
        var pacedAttempts = 0
        var failedCanaries = 0
        var notices = 0
        var noticesRepeated = 0

        static func += (left: inout Seen, right: Seen) {
            left.kills += right.kills
            left.pauses += right.pauses
            left.breaks += right.breaks
            left.cancels += right.cancels
            left.pacedAttempts += right.pacedAttempts
            left.failedCanaries += right.failedCanaries
            left.notices += right.notices
            left.noticesRepeated += right.noticesRepeated
        }
    }

    private static func run(_ seed: UInt64, on kind: TestEngine) async throws -> Seen {
        let world = try await World(seed: seed, on: kind)
        do {
            for action in 1...actionsPerSeed {
                try await world.act()
                if action.isMultiple(of: 20) { try await world.checkAlways() }
            }
            try await world.settle()
            try await world.checkSettled()
        } catch {
            throw SimulationFault("\(kind), seed \(seed): \(error)")
        }
        return Seen(
            kills: world.kills, pauses: world.pauses, breaks: world.breaks, cancels: world.jobs.canceled,
            pacedAttempts: world.jobs.pacedAttempts, failedCanaries: world.jobs.failedCanaries.count,
            notices: world.notices.bodies.count, noticesRepeated: world.notices.repeated)
    }
}
