import ReenvioEngine
import ReenvioModel
import ReenvioStore
import Testing

/// What one bad item of many comes to, and how often a loop that fails says so and tries.
struct ApartTests {
    private static let damage = StoreError.failed("malformed")

    /// Fails wherever one of `bad` is among the items.
    private func write(
        _ count: Int, bad: Set<Int>, stopAt: Int? = nil, merchants: Int = 1
    ) async -> (outcome: Apart.Outcome<Int>, written: [Int], commits: Int) {
        var written: [Int] = []
        var commits = 0
        let outcome = await Apart.write(Array(0..<count), merchant: { Int64($0 % merchants) }) { part in
            commits += 1
            if let stopAt, part.contains(stopAt) { throw StoreError.unavailable("gone") }
            if part.contains(where: bad.contains) { throw Self.damage }
            written += part
        }
        return (outcome, written, commits)
    }

    @Test(
        "every item but the bad ones is written once, in order",
        arguments: [[], [0], [511], [3, 4, 300]] as [Set<Int>])
    func badItems(_ bad: Set<Int>) async {
        let (outcome, written, commits) = await write(512, bad: bad)
        #expect(written == (0..<512).filter { !bad.contains($0) })
        #expect(outcome.bad.map(\.item) == bad.sorted())
        #expect(outcome.left.isEmpty && outcome.error == nil)
        #expect(commits <= 1 + bad.count * 20, "halves, not one by one")
    }

    @Test("a store that is gone in the middle leaves what was not tried")
    func unavailable() async {
        let (outcome, written, _) = await write(64, bad: [1], stopAt: 40)
        #expect(outcome.error as? StoreError == .unavailable("gone"))
        #expect(Set(written + outcome.left + outcome.bad.map(\.item)) == Set(0..<64))
        #expect(written.count + outcome.left.count + outcome.bad.count == 64)
        #expect(outcome.left.contains(40))
    }

    @Test("where nothing of several merchants can be written, no item is to blame")
    func systemic() async {
        let all = Set(0..<16)
        let (outcome, _, _) = await write(16, bad: all, merchants: 2)
        #expect(outcome.left == Array(0..<16) && outcome.bad.isEmpty && outcome.error as? StoreError == Self.damage)
        let (one, _, _) = await write(16, bad: all)
        #expect(one.bad.count == 16 && one.left.isEmpty)
    }

    @Test("items are looked at one by one at the second failure, and at the first for a minute after one was found")
    func suspicion() {
        var suspicion = Suspicion()
        let now = Timestamp(seconds: 100)
        var looks = [suspicion.failed(StoreError.unavailable("full"), now: now)]
        looks.append(suspicion.failed(Self.damage, now: now))
        looks.append(suspicion.failed(Self.damage, now: now))
        #expect(looks == [false, false, true])
        suspicion.succeeded()
        looks = [suspicion.failed(Self.damage, now: now)]
        suspicion.succeeded()
        suspicion.found(now: now)
        looks.append(suspicion.failed(Self.damage, now: now + .seconds(59)))
        suspicion.succeeded()
        looks.append(suspicion.failed(Self.damage, now: now + .seconds(61)))
        #expect(looks == [false, true, false])
    }

    @Test("pauses grow to half a minute, and success ends that")
    func pauses() {
        var notes = FailureNotes()
        let now = ContinuousClock.now
        var pauses: [Duration] = []
        for _ in 0..<7 { pauses.append(notes.failed(Self.damage, now: now).pause) }
        pauses.append(notes.failed(StoreError.unavailable("full"), now: now).pause)
        for _ in 0..<2 { pauses.append(notes.failed(Self.damage, now: now).pause) }
        notes.succeeded()
        pauses.append(notes.failed(Self.damage, now: now).pause)
        #expect(pauses == [1, 2, 4, 8, 16, 30, 30, 1, 1, 2, 1].map { Duration.seconds($0) })
    }

    @Test("equal failures are one line a minute, which counts them; another is said at once")
    func lines() {
        var notes = FailureNotes()
        let now = ContinuousClock.now
        var said = [notes.failed("one", now: now)]
        for second in 1..<60 { said.append(notes.failed("one", now: now + .seconds(second))) }
        said.append(notes.failed("other", now: now + .seconds(30)))
        said.append(notes.failed("one", now: now + .seconds(60)))
        said.append(notes.failed("one", now: now + .seconds(61)))
        #expect(said == [1] + Array(repeating: nil, count: 59) + [1, 60, nil])
    }

    @Test("a batch of requests is split where an item failed it, and never otherwise")
    func split() {
        #expect(BatchSplit.halves([1, 2, 3], after: Self.damage) == [[1], [2, 3]])
        #expect(BatchSplit.halves([1], after: Self.damage) == nil)
        #expect(BatchSplit.halves([1, 2], after: StoreError.unavailable("full")) == nil)
    }
}
