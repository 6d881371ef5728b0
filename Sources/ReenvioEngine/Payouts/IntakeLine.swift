import ReenvioModel
import ReenvioStore
import Synchronization

/// A request that waits for its commit. It is answered once: after the commit, or when its time is over.
final class IntakeRequest: Sendable {
    let batch: IntakeBatch
    let since = ContinuousClock.now
    private let caller: Mutex<(@Sendable (Intake.Answer) -> Void)?>

    init(_ batch: IntakeBatch, answer: @escaping @Sendable (Intake.Answer) -> Void) {
        self.batch = batch
        caller = Mutex(answer)
    }

    var size: Int { batch.creates.count + batch.changes.count }

    func answer(_ answer: Intake.Answer) {
        let waiting = caller.withLock { caller in
            defer { caller = nil }
            return caller
        }
        waiting?(answer)
    }
}

/// Queues requests in order of arrival. Requests of merchants whose rows are locked wait in queues of their own and are
/// retried one merchant at a time, so that they block nobody else.
struct IntakeLine {
    /// Requests of the same merchants.
    struct Group: Sendable {
        var merchants: Set<Int64>
        var requests: [IntakeRequest]
        fileprivate(set) var retryAt: ContinuousClock.Instant?

        init(merchants: Set<Int64>, requests: [IntakeRequest]) {
            self.merchants = merchants
            self.requests = requests
        }
    }

    private static let retryEvery: Duration = .milliseconds(250)
    /// How long a merchant counts as locked after its last lock timeout.
    private static let lockRemembered: Duration = .seconds(10)

    var isClosed = false
    private var waiting: [IntakeRequest] = []
    private var size = 0
    private var aside: [Group] = []
    private var lockedAt: [Int64: ContinuousClock.Instant] = [:]
    private(set) var inFlight: [IntakeRequest] = []

    var isEmpty: Bool { waiting.isEmpty && aside.isEmpty && inFlight.isEmpty }

    /// False where too much waits.
    mutating func append(_ request: IntakeRequest) -> Bool {
        guard !isClosed, size + request.size <= Limits.changesWaiting else { return false }
        waiting.append(request)
        size += request.size
        return true
    }

    /// Whole requests until the batch holds enough changes; one request is never split.
    mutating func takeBatch() -> [IntakeRequest] {
        let batch = Array(waiting.prefix(Self.count(of: waiting)))
        waiting.removeFirst(batch.count)
        began(batch)
        return batch
    }

    private static func count(of requests: [IntakeRequest]) -> Int {
        var (count, size) = (0, 0)
        while count < requests.count, size < Limits.changesPerCommit {
            let next = requests[count].size
            if count > 0, size + next > Limits.changesPerCommit { break }
            size += next
            count += 1
        }
        return count
    }

    private mutating func began(_ batch: [IntakeRequest]) {
        size -= batch.reduce(0) { $0 + $1.size }
        inFlight = batch
    }

    mutating func ended() {
        inFlight = []
    }

    // MARK: Locks

    /// Whether the merchants of a batch must be looked at before it is written.
    mutating func hasLocks(now: ContinuousClock.Instant) -> Bool {
        if lockedAt.isEmpty { return false }
        lockedAt = lockedAt.filter { now - $0.value < Self.lockRemembered }
        return !lockedAt.isEmpty || !aside.isEmpty
    }

    /// Puts aside those that would meet a lock, behind those of their merchants that wait there; returns the others.
    mutating func passing(_ groups: [Group], now: ContinuousClock.Instant) -> [Group] {
        let locked = Set(lockedAt.keys).union(aside.flatMap(\.merchants))
        var passing: [Group] = []
        for group in groups {
            if locked.isDisjoint(with: group.merchants) {
                passing.append(group)
            } else {
                putAside(group, until: now)
            }
        }
        return passing
    }

    /// Met a lock.
    mutating func locked(_ group: Group, now: ContinuousClock.Instant) {
        for merchant in group.merchants { lockedAt[merchant] = now }
        var group = group
        // They came before those that were put aside meanwhile.
        if let index = aside.firstIndex(where: { $0.merchants == group.merchants }) {
            let later = aside.remove(at: index).requests
            size -= later.reduce(0) { $0 + $1.size }
            group.requests += later
        }
        putAside(group, until: now + Self.retryEvery)
    }

    mutating func unlocked(_ merchants: Set<Int64>) {
        for merchant in merchants { lockedAt[merchant] = nil }
    }

    private mutating func putAside(_ group: Group, until retryAt: ContinuousClock.Instant) {
        size += group.requests.reduce(0) { $0 + $1.size }
        if let index = aside.firstIndex(where: { $0.merchants == group.merchants }) {
            aside[index].requests += group.requests
        } else {
            var group = group
            group.retryAt = retryAt
            aside.append(group)
        }
    }

    /// The merchants whose turn it is once more, with no more than a commit takes.
    mutating func takeRetry(now: ContinuousClock.Instant) -> Group? {
        guard let index = aside.firstIndex(where: { $0.retryAt.map { $0 <= now } ?? true }) else { return nil }
        var group = aside.remove(at: index)
        let count = Self.count(of: group.requests)
        if count < group.requests.count {
            var rest = group
            rest.requests.removeFirst(count)
            aside.append(rest)
            group.requests.removeLast(group.requests.count - count)
        }
        began(group.requests)
        return group
    }

    /// Until something is to be tried again; nil where nothing is.
    func untilRetry(now: ContinuousClock.Instant) -> Duration? {
        aside.map { ($0.retryAt ?? now) - now }.min().map { max(.milliseconds(1), $0) }
    }

    // MARK: Time

    /// Takes out those that came before `since`. What is being written stays: it is only answered.
    mutating func takeLate(_ since: ContinuousClock.Instant) -> (waiting: [IntakeRequest], lockedOut: Set<Int64>) {
        var late: [IntakeRequest] = []
        var lockedOut: Set<Int64> = []
        func isLate(_ request: IntakeRequest) -> Bool { request.since <= since }
        late += waiting.prefix(while: isLate)
        waiting.removeFirst(late.count)
        for index in aside.indices {
            let over = aside[index].requests.filter(isLate)
            if over.isEmpty { continue }
            late += over
            lockedOut.formUnion(aside[index].merchants)
            aside[index].requests.removeAll(where: isLate)
        }
        aside.removeAll(where: \.requests.isEmpty)
        size -= late.reduce(0) { $0 + $1.size }
        return (late, lockedOut)
    }
}
