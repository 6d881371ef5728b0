import Foundation
import Logging
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Somebody has locked one merchant's rows: a node that stands still, or a person with a client.
struct LockedMerchantTests {
    /// Holds the clock of merchant 303 while `body` runs.
    private func locking(_ fixture: EngineFixture, _ body: () async throws -> Void) async throws {
        let (reached, opened) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let store = fixture.store
        async let holder: Void = store.engine.write(.bulk) { db in
            try db.run("SET LOCAL idle_in_transaction_session_timeout = 0")
            try db.query("SELECT seq FROM merchant_clocks WHERE merchant_id = 303 FOR UPDATE", []) { _ in }
            reached.signal()
            _ = opened.wait(timeout: .now() + .seconds(120))
        }
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                _ = reached.wait(timeout: .now() + .seconds(120))
                continuation.resume()
            }
        }
        do {
            try await body()
        } catch {
            opened.signal()
            throw error
        }
        opened.signal()
        try await holder
    }

    private func paid(_ id: Int64) -> IntakeBatch {
        IntakeBatch(changes: [StatusChangeRequest(payoutID: id, status: .paid)])
    }

    @Test("changes of the others go on, and its own wait until the lock is gone")
    func changes() async throws {
        let fixture = try await EngineFixture(on: .postgres)
        let intake = fixture.engine.intake
        let locked = try await fixture.store.createPayouts(3)
        let free = try await fixture.store.createPayouts(40, merchantID: 304)
        let answers = Watched<[Int64: Bool]>([:])
        @Sendable func note(_ id: Int64) -> @Sendable (Intake.Answer) -> Void {
            { answer in answers.change { $0[id] = (try? answer.get())?.changes == [.applied] } }
        }
        try await locking(fixture) {
            for round in 0..<3 {
                intake.enqueue(paid(locked[round]), answer: note(locked[round]))
                for id in free[round * 10..<round * 10 + 10] { intake.enqueue(paid(id), answer: note(id)) }
                _ = try await intake.step(now: fixture.clock.now)
                #expect(answers.value.count == 10 * round + 10 && answers.value.values.allSatisfy { $0 })
            }
            let creation = IntakeBatch(
                creates: [.init(draft: try Fixtures.draft(invoice: "own"), merchantID: 303)],
                changes: paid(free[30]).changes)
            intake.enqueue(creation, answer: note(free[30]))
            _ = try await intake.step(now: fixture.clock.now)
            #expect(answers.value[free[30]] == nil, "a request of both waits whole")
        }
        while answers.value.count < 34 { _ = try await intake.step(now: fixture.clock.now) }
        #expect(answers.value.values.allSatisfy { $0 })
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 34)
    }

    @Test("what has waited for too long is answered, and is not written afterwards")
    func late() async throws {
        let fixture = try await EngineFixture(on: .postgres)
        let ids = try await fixture.store.createPayouts(2)
        let deadline = IntakeDeadline(fixture.engine.intake, patience: .zero)
        let failures = Watched(0)
        for id in ids {
            fixture.engine.intake.enqueue(paid(id)) { answer in
                if case .failure(let error) = answer, case StoreError.unavailable = error {
                    failures.change { $0 += 1 }
                }
            }
        }
        _ = try await deadline.step(now: fixture.clock.now)
        #expect(failures.value == 2)
        _ = try await fixture.engine.intake.step(now: fixture.clock.now)
        #expect(try await fixture.store.number("SELECT count(*) FROM notifications") == 0)
        #expect(await fixture.engine.metrics.text().contains("\nreenvio_dropped_calls_total 2\n"))
    }

    @Test("results of the others are written, and its own once the lock is gone")
    func outcomes() async throws {
        let fixture = try await EngineFixture(on: .postgres)
        let locked = try await fixture.store.createPayouts(3)
        let free = try await fixture.store.createPayouts(3, merchantID: 304, url: "https://b.example/hook")
        try await fixture.store.report(.paid, locked + free, at: fixture.clock.wall)
        try await fixture.dispatch()
        let settled = "SELECT count(*) FROM settled WHERE merchant_id = "
        try await locking(fixture) {
            for exchange in fixture.transport.take() { exchange.answer(200) }
            for _ in 0..<10 { _ = try await fixture.engine.dispatcher.step(now: fixture.clock.now) }
            #expect(try await fixture.store.number(settled + "304") == 3)
            #expect(try await fixture.store.number(settled + "303") == 0)
        }
        while try await fixture.store.number(settled + "303") != 3 {
            _ = try await fixture.engine.dispatcher.step(now: fixture.clock.now)
        }
    }
}

struct CommitWatchTests {
    private let start = ContinuousClock.now

    @Test("fails after failures of more than a moment with nothing between, and not for one merchant's locks")
    func failing() {
        let watch = CommitWatch()
        #expect(!watch.isFailing(now: start))
        watch.failed(now: start)
        #expect(!watch.isFailing(now: start), "one may be an accident")
        watch.failed(now: start + .seconds(2))
        #expect(watch.isFailing(now: start + .seconds(2)))
        #expect(!watch.isFailing(now: start + .seconds(30)), "nobody has asked since")
        watch.succeeded()
        #expect(!watch.isFailing(now: start + .seconds(2)))
        for second in 0..<4 { watch.failed(lockingOut: [303], now: start + .seconds(second)) }
        #expect(!watch.isFailing(now: start + .seconds(4)))
        watch.failed(lockingOut: [304], now: start + .seconds(5))
        #expect(watch.isFailing(now: start + .seconds(5)))
    }

    @Test("a probe that was committed clears what was not a lock")
    func probed() {
        let watch = CommitWatch()
        watch.failed(now: start)
        watch.failed(now: start + .seconds(2))
        watch.probed(since: start + .seconds(1))
        #expect(watch.isFailing(now: start + .seconds(2)), "begun before the failure")
        watch.probed(since: start + .seconds(3))
        #expect(!watch.isFailing(now: start + .seconds(3)))
    }
}
