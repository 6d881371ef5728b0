import Foundation
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// A server that says nothing, keeps somebody waiting, or does not stand by what it says.
struct SilenceTests {
    private static let hasty = PostgresPatience(
        call: .seconds(3), background: .seconds(3), silence: .seconds(2), lock: .milliseconds(200), line: 20)

    private static func isUnavailable(_ error: any Error) -> Bool {
        if case StoreError.unavailable = error { true } else { false }
    }

    private static func scratch(_ engine: PostgresEngine) async throws {
        try await engine.write(.bulk) { db in
            try db.run("CREATE TABLE scratch (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)")
            try db.run("INSERT INTO scratch VALUES (1, 0), (2, 0)")
            return ()
        }
    }

    /// Until somebody is answered again.
    private static func healed<T: Sendable>(_ call: () async throws -> T) async throws -> T {
        let end = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < end {
            if let answer = try? await call() { return answer }
            await Task.yield()
        }
        return try await call()
    }

    @Test("calls into a silent server are answered, those that did not begin are dropped, and all is well afterwards")
    func stalled() async throws {
        let relay = try StallingRelay(to: try TestPostgres.shared)
        let (direct, relayed) = try TestPostgres.shared.newSchemas(through: relay)
        let patient = try PostgresEngine(direct, readers: 1, writers: 1)
        let engine = try PostgresEngine(relayed, readers: 1, writers: 2, patience: Self.hasty)
        try await Self.scratch(patient)
        _ = try await Self.healed { try await engine.write(.intake) { try $0.run("UPDATE scratch SET value = 1") } }
        _ = try await Self.healed { try await engine.read { try $0.first("SELECT 1") { $0.int(0) } } }
        relay.stall()
        let answers = await withTaskGroup(of: Bool.self) { calls in
            for number in 0..<30 {
                calls.addTask {
                    do {
                        switch number % 3 {
                        case 0: _ = try await engine.lookup { try $0.first("SELECT 1") { $0.int(0) } }
                        case 1: _ = try await engine.read { try $0.first("SELECT 1") { $0.int(0) } }
                        default:
                            try await engine.write(.intake) { db in
                                try db.run("INSERT INTO scratch VALUES ($1, 0)", [.int(100 + number)])
                                return ()
                            }
                        }
                        return false
                    } catch {
                        return Self.isUnavailable(error)
                    }
                }
            }
            return await calls.reduce(into: [Bool]()) { $0.append($1) }
        }
        #expect(answers.count == 30 && !answers.contains(false))
        #expect(engine.dropped > 0)
        relay.resume()
        let rows = try await Self.healed {
            try await engine.read { try $0.first("SELECT count(*) FROM scratch WHERE id >= 100") { $0.int(0) } }
        }
        #expect(rows == 0, "what was answered with an error had not been committed")
        let changed = try await Self.healed {
            try await engine.write(.intake) { try $0.run("UPDATE scratch SET value = 2") }
        }
        #expect(changed == 2)
    }

    @Test("a line that is too long is refused at once")
    func longLine() async throws {
        let engine = try PostgresEngine(
            try TestPostgres.shared.newSchema(), readers: 1, writers: 1,
            patience: PostgresPatience(
                call: .seconds(120), background: .seconds(120), silence: .seconds(60), lock: .seconds(60), line: 3))
        let gate = Gate()
        async let first: Void = engine.write(.intake) { _ in gate.wait() }
        await gate.isReached()
        await withTaskGroup(of: Bool.self) { calls in
            for _ in 0..<10 {
                calls.addTask { (try? await engine.write(.intake) { _ in () }) == nil }
            }
            var refused = 0
            while refused < 7, let isRefused = await calls.next() { refused += isRefused ? 1 : 0 }
            #expect(refused == 7, "while the others wait")
            gate.open()
        }
        try await first
        #expect(engine.dropped == 7)
    }

    @Test("a commit that the server only warns about is no commit")
    func unconfirmed() async throws {
        let engine = try PostgresEngine(try TestPostgres.shared.newSchema(), readers: 1, writers: 1)
        try await Self.scratch(engine)
        // As PostgreSQL does where a commit is canceled that waits for a standby.
        try await engine.write(.bulk) { db in
            try db.run(
                """
                CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql
                AS 'BEGIN RAISE WARNING ''canceling wait''; RETURN NULL; END'
                """)
            try db.run(
                """
                CREATE CONSTRAINT TRIGGER warns AFTER UPDATE ON scratch DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION warn()
                """)
            return ()
        }
        await #expect {
            _ = try await engine.write(.intake) { try $0.run("UPDATE scratch SET value = $1", [.int(1)]) }
        } throws: { error in
            Self.isUnavailable(error) && "\(error)".contains("unknown")
        }
        #expect(try await engine.write(.intake) { try $0.run("INSERT INTO scratch VALUES ($1, 0)", [.int(3)]) } == 1)
    }

    @Test("a read may take longer than a silence, as long as the server gives other signs of life")
    func longRead() async throws {
        var patience = PostgresPatience.unhurried
        patience.silence = .seconds(2)
        let engine = try PostgresEngine(
            try TestPostgres.shared.newSchema(), readers: 1, writers: 1, patience: patience)
        let slept = try await engine.read { try $0.first("SELECT 1 FROM pg_sleep(3)") { $0.int(0) } }
        #expect(slept == 1)
    }

    @Test("what is locked is told from what is broken, and a transaction may wait for less")
    func locked() async throws {
        let engine = try PostgresEngine(try TestPostgres.shared.newSchema(), readers: 1, writers: 2)
        try await Self.scratch(engine)
        let gate = Gate()
        async let holder: Void = engine.write(.bulk) { db in
            try db.run("SET LOCAL idle_in_transaction_session_timeout = 0")
            try db.run("UPDATE scratch SET value = 1 WHERE id = 1")
            gate.wait()
        }
        await gate.isReached()
        await #expect {
            try await engine.write(.intake) { db in
                try db.waitForLocks(atMost: .milliseconds(50))
                try db.run("UPDATE scratch SET value = 2 WHERE id = 1")
            }
        } throws: { error in
            if case StoreError.locked = error { true } else { false }
        }
        let changed = try await engine.write(.intake) { db in
            try db.run("UPDATE scratch SET value = $1 WHERE id = 2", [.int(2)])
        }
        #expect(changed == 1)
        gate.open()
        try await holder
    }

    @Test("who waits for a row leaves a thread to those that do not")
    func oneIsKept() async throws {
        let engine = try PostgresEngine(try TestPostgres.shared.newSchema(), readers: 1, writers: 3)
        let gate = Gate()
        async let first: Void = engine.write(.intake) { _ in gate.wait() }
        async let second: Void = engine.write(.janitor) { _ in gate.wait() }
        await gate.isReached()
        await gate.isReached()
        async let third: Void = engine.write(.bulk) { _ in () }
        for priority in [WritePriority.changes, .outcomes, .claims] { try await engine.write(priority) { _ in () } }
        gate.open()
        gate.open()
        try await first
        try await second
        try await third
    }

    @Test("a transaction of a node that stands still ends by itself, a writer's soon")
    func settings() async throws {
        let engine = try PostgresEngine(
            try TestPostgres.shared.newSchema(), readers: 1, writers: 1, patience: .serving)
        let names = ["idle_in_transaction_session_timeout", "lock_timeout", "tcp_user_timeout"]
        @Sendable func values(_ db: any SQLConnection) throws -> [String] {
            try names.map { name in try db.first("SELECT current_setting('\(name)')") { $0.text(0) } ?? "" }
        }
        #expect(try await Self.healed { try await engine.write(.intake, values) }.prefix(2) == ["10s", "1s"])
        #expect(try await Self.healed { try await engine.read(values) }.prefix(2) == ["1min", "1s"])
    }
}

/// Where a transaction stands until it is let go.
final class Gate: Sendable {
    private let reached = DispatchSemaphore(value: 0)
    private let opened = DispatchSemaphore(value: 0)

    func wait() {
        reached.signal()
        _ = opened.wait(timeout: .now() + .seconds(120))
    }

    func isReached() async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                _ = self.reached.wait(timeout: .now() + .seconds(120))
                continuation.resume()
            }
        }
    }

    func open() {
        opened.signal()
    }
}
