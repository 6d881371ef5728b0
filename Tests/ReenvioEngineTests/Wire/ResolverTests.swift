import Foundation
import NIOCore
import NIOPosix
import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Testing

/// Names, with a name server that a test stops and lets go.
@Suite(.timeLimit(.minutes(5)))
struct ResolverTests {
    /// Answers 127.0.0.1, except that names which begin with "dead" wait until the server lets them go, and names which
    /// begin with "none" have no address.
    private final class NameServer: Sendable {
        struct Log: Sendable {
            var asked: [String: Int] = [:]
            var stuck = 0
            var lookups: Int { asked.values.reduce(0, +) }
        }

        let log = Watched(Log())
        private let gate = DispatchSemaphore(value: 0)

        func answer(_ name: String) throws -> [IPAddress] {
            let isDead = name.hasPrefix("dead")
            log.change { log in
                log.asked[name, default: 0] += 1
                if isDead { log.stuck += 1 }
            }
            if isDead {
                gate.wait()
                log.change { $0.stuck -= 1 }
            }
            if name.hasPrefix("none") { throw NameNotResolved() }
            return [try #require(IPAddress("127.0.0.1"))]
        }

        func letGo() async throws {
            for _ in 0..<log.value.stuck { gate.signal() }
            try await log.wait(for: "no lookup is stuck") { $0.stuck == 0 }
        }
    }

    /// A lookup is overdue after a second; what is known stays known for the whole test.
    private static var hasty: WireLimits {
        var limits = WireLimits()
        limits.lookupWithin = .seconds(1)
        limits.lookupAnswerKept = .seconds(3_600)
        limits.lookupFailureKept = .seconds(3_600)
        limits.lookupsAtOnce = 4
        return limits
    }

    private let server = NameServer()
    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    private func resolver(_ limits: WireLimits = hasty) -> NameResolver {
        NameResolver(limits: limits) { [server] name in try server.answer(name) }
    }

    @Test func `an answer is kept and a lookup is shared`() async throws {
        var limits = Self.hasty
        limits.lookupWithin = .seconds(10)
        let resolver = resolver(limits)
        let waiting = (0..<50).map { _ in resolver.addresses(of: "dead.example", for: 303, on: loop) }
        try await server.log.wait(for: "the lookup is stuck") { $0.stuck == 1 }
        try await server.letGo()
        for future in waiting { #expect(try await future.get().map(\.description) == ["127.0.0.1"]) }
        _ = try await resolver.addresses(of: "dead.example", for: 303, on: loop).get()
        #expect(server.log.value.asked == ["dead.example": 1])
    }

    @Test func `answers and failures go out of date`() async throws {
        var limits = Self.hasty
        limits.lookupWithin = .seconds(10)
        limits.lookupAnswerKept = .zero
        limits.lookupFailureKept = .zero
        let resolver = resolver(limits)
        for _ in 1...3 {
            _ = try await resolver.addresses(of: "a.example", for: 303, on: loop).get()
            await #expect(throws: NameNotResolved.self) {
                _ = try await resolver.addresses(of: "none.example", for: 303, on: loop).get()
            }
        }
        #expect(server.log.value.asked == ["a.example": 3, "none.example": 3])
    }

    @Test func `a failure is kept`() async throws {
        var limits = Self.hasty
        limits.lookupWithin = .seconds(10)
        let resolver = resolver(limits)
        for _ in 1...3 {
            await #expect(throws: NameNotResolved.self) {
                _ = try await resolver.addresses(of: "none.example", for: 303, on: loop).get()
            }
        }
        #expect(server.log.value.asked == ["none.example": 1])
    }

    @Test func `a name whose lookup is stuck fails in time, then at once, and is not asked again`() async throws {
        let resolver = resolver()
        let began = ContinuousClock.now
        await #expect(throws: NameNotResolved.self) {
            _ = try await resolver.addresses(of: "dead.example", for: 303, on: loop).get()
        }
        #expect(ContinuousClock.now - began >= .seconds(1))
        for _ in 1...5 {
            let future = resolver.addresses(of: "dead.example", for: 303, on: loop)
            await #expect(throws: NameNotResolved.self) { _ = try await future.get() }
        }
        #expect(server.log.value.asked == ["dead.example": 1])
        try await server.letGo()
    }

    @Test func `stuck lookups delay no other name for longer than the limit`() async throws {
        var limits = Self.hasty
        // Beside a thousand other tests a prompt lookup may take a while.
        limits.lookupWithin = .seconds(10)
        limits.lookupAnswerKept = .zero
        let resolver = resolver(limits)
        _ = try await resolver.addresses(of: "prompt.example", for: 303, on: loop).get()

        let stuck = (0..<3).map { resolver.addresses(of: "dead\($0).example", for: Int64($0), on: loop) }
        try await server.log.wait(for: "three lookups are stuck") { $0.stuck == 3 }
        // Three of four threads are taken: the last one is for names that are known to answer.
        _ = try await resolver.addresses(of: "prompt.example", for: 303, on: loop).get()
        for future in stuck { await #expect(throws: NameNotResolved.self) { _ = try await future.get() } }
        // Overdue lookups are written off, so new names are served, too.
        for name in 0..<5 { _ = try await resolver.addresses(of: "new\(name).example", for: 303, on: loop).get() }
        try await server.letGo()
    }

    @Test func `names known to be slow share half of the threads`() async throws {
        var limits = Self.hasty
        limits.lookupFailureKept = .zero
        limits.lookupAnswerKept = .zero
        let resolver = resolver(limits)
        for round in 1...2 {
            let futures = (1...3).map { resolver.addresses(of: "dead\($0)", for: Int64($0), on: loop) }
            for future in futures { await #expect(throws: NameNotResolved.self) { _ = try await future.get() } }
            // New, they had a thread each; now that they are known to be slow, two of four are theirs.
            #expect(server.log.value.lookups == (round == 1 ? 3 : 5))
            try await server.letGo()
            while resolver.lookupsRunning > 0 { await Task.yield() }
        }
    }

    @Test func `one merchant's new names get a quarter of the threads`() async throws {
        let resolver = resolver()
        let stuck = (1...20).map { resolver.addresses(of: "dead\($0).example", for: 1, on: loop) }
        _ = try await resolver.addresses(of: "new.example", for: 2, on: loop).get()
        for future in stuck { await #expect(throws: NameNotResolved.self) { _ = try await future.get() } }
        _ = try await resolver.addresses(of: "newer.example", for: 2, on: loop).get()
        #expect(server.log.value.stuck == 1)
        try await server.letGo()
    }

    @Test func `the table keeps so many names and no more`() async throws {
        var limits = Self.hasty
        limits.namesKept = 100
        limits.lookupWithin = .seconds(10)
        let resolver = resolver(limits)
        for name in 0..<1_000 {
            _ = try await resolver.addresses(of: "n\(name).example", for: 303, on: loop).get()
            #expect(resolver.namesKept <= 100)
        }
    }

    @Test func `the system knows this machine`() async throws {
        let resolver = NameResolver()
        let found = try await resolver.addresses(of: "localhost", for: 303, on: loop).get()
        #expect(found.contains { $0.description == "127.0.0.1" || $0.description == "::1" })
    }
}
