import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// Group commit (`docs/architecture.md`, rules 1 and 2).
struct IntakeTests {
    private func change(_ id: Int64, _ status: PayoutStatus = .paid) -> StatusChangeRequest {
        StatusChangeRequest(payoutID: id, status: status)
    }

    @Test("requests that wait together are one commit, and each gets its own answers")
    func merges() async throws {
        let counter = WriteCounter()
        let fixture = try await EngineFixture { counter.wrap($0) }
        let ids = try await fixture.store.createPayouts(10)
        let before = counter.count
        let answers = Watched<[Int: [IntakeResult.Changed]]>([:])
        for (index, id) in ids.enumerated() {
            let changes = index == 4 ? [change(999), change(id)] : [change(id)]
            fixture.engine.intake.enqueue(IntakeBatch(changes: changes)) { answer in
                answers.change { $0[index] = (try? answer.get())?.changes }
            }
        }
        #expect(answers.value.isEmpty, "no answer before the commit")
        #expect(try await fixture.engine.intake.step(now: fixture.clock.now) == .again)
        #expect(counter.count - before == 1)
        for index in ids.indices {
            let expected: [IntakeResult.Changed] = index == 4 ? [.refused(.notFound), .applied] : [.applied]
            #expect(answers.value[index] == expected)
        }
    }

    @Test("a batch takes whole requests up to 512 changes; a larger request is never split")
    func batchSize() async throws {
        let counter = WriteCounter()
        let fixture = try await EngineFixture { counter.wrap($0) }
        let ids = try await fixture.store.createPayouts(1_900)
        let before = counter.count
        let answered = Watched(0)
        for range in [0..<300, 300..<600, 600..<700, 700..<1_700, 1_700..<1_900] {
            fixture.engine.intake.enqueue(IntakeBatch(changes: ids[range].map { change($0) })) { _ in
                answered.change { $0 += 1 }
            }
        }
        var perStep: [Int] = []
        while case .again = try await fixture.engine.intake.step(now: fixture.clock.now) {
            perStep.append(answered.value)
        }
        #expect(perStep == [1, 3, 4, 5])
        #expect(counter.count - before == 4)
    }

    @Test("a failed commit answers every request of the batch with the failure, and stores nothing")
    func failedCommit() async throws {
        let holder = EngineHolder()
        let fixture = try await EngineFixture { base in
            let engine = FaultyEngine(base)
            holder.engine = engine
            return engine
        }
        let faulty = try #require(holder.engine)
        let ids = try await fixture.store.createPayouts(2)
        let failures = Watched(0)
        for id in ids {
            fixture.engine.intake.enqueue(IntakeBatch(changes: [change(id)])) { answer in
                if case .failure(let error) = answer, case StoreError.unavailable = error {
                    failures.change { $0 += 1 }
                }
            }
        }
        faulty.fail(atStatement: 9)
        _ = try await fixture.engine.intake.step(now: fixture.clock.now)
        #expect(faulty.hasFired)
        #expect(failures.value == 2)
        faulty.disarm()
        #expect(try await fixture.store.number("SELECT count(*) FROM notifications") == 0)
    }

    @Test("too much waiting is refused at once, and a closed intake commits what it has")
    func bounds() async throws {
        let fixture = try await EngineFixture()
        let ids = try await fixture.store.createPayouts(1)
        let outcomes = Watched<[Bool]>([])
        let changes = Array(repeating: change(ids[0]), count: 1_000)
        for _ in 0..<(Limits.changesWaiting / 1_000 + 1) {
            fixture.engine.intake.enqueue(IntakeBatch(changes: changes)) { answer in
                outcomes.change { $0.append((try? answer.get()) != nil) }
            }
        }
        #expect(outcomes.value == [false], "only the one too many has its answer")
        await fixture.engine.intake.finish()
        #expect(outcomes.value.filter { $0 }.count == Limits.changesWaiting / 1_000)
        await #expect(throws: StoreError.self) {
            try await fixture.engine.intake.submit(IntakeBatch(changes: [change(ids[0])]))
        }
    }

    @Test("the first wait of the schedule holds for new deliveries")
    func firstWait() async throws {
        let fixture = try await EngineFixture(schedule: RetrySchedule(waits: [.seconds(3_600), .seconds(1)]))
        let ids = try await fixture.store.createPayouts(1)
        fixture.engine.intake.enqueue(IntakeBatch(changes: [change(ids[0])])) { _ in }
        _ = try await fixture.engine.intake.step(now: fixture.clock.now)
        let due = try await fixture.store.number("SELECT due_at FROM deliveries")
        #expect(due == (fixture.clock.engine + .seconds(3_600)).microseconds)
    }
}

final class EngineHolder {
    var engine: FaultyEngine?
}

/// Counts write transactions.
final class WriteCounter: Sendable {
    private let writes = Mutex(0)

    var count: Int { writes.withLock { $0 } }

    func wrap(_ base: any StoreEngine) -> any StoreEngine {
        Counting(base: base, counter: self)
    }

    private struct Counting: StoreEngine {
        let base: any StoreEngine
        let counter: WriteCounter

        func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
            try await base.read(body)
        }

        func write<T: Sendable>(
            _ priority: WritePriority, _ body: @escaping @Sendable (any SQLConnection) throws -> T
        ) async throws -> T {
            counter.writes.withLock { $0 += 1 }
            return try await base.write(priority, body)
        }

        func close() throws { try base.close() }
    }
}
