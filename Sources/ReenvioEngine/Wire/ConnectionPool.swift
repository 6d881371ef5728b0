import NIOCore
import ReenvioModel
import Synchronization

/// The connections of one merchant to one origin, and the requests that wait for one of them.
///
/// A connection that ends an exchange takes the next request itself, on its own event loop, under this pool's lock:
/// no task, no hop. A connection is opened only for a request that finds neither an idle one nor one to wait for.
///
/// Requests wait by lane, live ones first, and later lanes leave some of the connections to earlier ones
/// (`docs/architecture.md`, rule 5): what was claimed ahead of time never stands in the way of a live change.
final class ConnectionPool: Sendable {
    /// Tenants never share connections, even to the same origin (`docs/architecture.md`, words: receiver).
    struct Key: Hashable {
        var merchantID: Int64
        var scheme: ReceiverURL.Scheme
        var host: ReceiverURL.Host
        var port: UInt16

        init(_ request: WireRequest) {
            merchantID = request.merchantID
            scheme = request.url.scheme
            host = request.url.host
            port = request.url.port
        }
    }

    /// What a connection does after an exchange.
    enum Next {
        case begin(Job)
        case rest
        case close
    }

    private struct Idle {
        var connection: NIOLoopBound<Connection>
        var id: ObjectIdentifier
        var since: ContinuousClock.Instant
    }

    private struct State {
        /// By lane, the longest waiting first.
        var waiting = Lane.allCases.map { _ in CircularBuffer<Job>() }
        /// Last in, first out; so the longest idle stand first.
        var idle: [Idle] = []
        /// Connections and dials: at most `connectionsPerReceiver`.
        var slots = 0
        var isClosing = false
        /// Empty and struck off the register: a request needs a new pool.
        var isRetired = false
        var renewal = Renewal()

        var busy: Int { slots - idle.count }
    }

    /// What is to be done with some jobs, decided under the lock and done outside of it.
    private struct Admission {
        var refused: [Job] = []
        var dials: [Job] = []
        var begins: [(connection: NIOLoopBound<Connection>, job: Job)] = []
        /// Idle connections of before the machine failed.
        var stale: [Idle] = []
    }

    let key: Key
    let wire: Wire
    private let state = Mutex(State())
    /// The most connections that may be busy for a request of each lane to begin.
    private let ceilings: [Int]

    init(key: Key, wire: Wire) {
        let connections = wire.limits.connectionsPerReceiver
        ceilings = Lane.allCases.map { max(1, connections * $0.ceilingPercent / 100) }
        self.key = key
        self.wire = wire
    }

    /// Takes the jobs over, unless the pool is retired.
    func admit(_ jobs: [Job]) -> Bool {
        let admission: Admission? = state.withLock { pool in
            if pool.isRetired { return nil }
            var admission = Admission()
            if pool.isClosing {
                admission.refused = jobs
                return admission
            }
            if pool.renewal.isWaiting, pool.renewal.isDue(now: .now, every: wire.limits.renewEvery) {
                admission.stale = takeIdle(&pool)
                pool.renewal.began(now: .now)
            }
            for job in jobs {
                let lane = job.request.lane
                if pool.busy >= ceilings[lane.rawValue] + (job.request.isAhead ? HungURLs.aheadInAllMax : 0) {
                    pool.waiting[lane.rawValue].append(job)
                } else if let idle = pool.idle.popLast() {
                    admission.begins.append((idle.connection, job))
                } else {
                    pool.slots += 1
                    wire.connectionOpens()
                    admission.dials.append(job)
                }
            }
            return admission
        }
        guard let admission else { return false }
        dismiss(admission.stale)
        for job in admission.refused { job.end(.notStarted, now: .now) }
        for job in admission.dials { dial(job) }
        begin(admission.begins)
        return true
    }

    /// Gives each connection its job, and wakes each event loop once.
    private func begin(_ all: [(connection: NIOLoopBound<Connection>, job: Job)]) {
        if all.isEmpty { return }
        wire.idle.subtract(all.count, ordering: .relaxed)
        for (_, group) in Dictionary(grouping: all, by: { ObjectIdentifier($0.connection.eventLoop) }) {
            group[0].connection.eventLoop.execute {
                let now = ContinuousClock.now
                for (connection, job) in group { connection.value.begin(job, now: now) }
            }
        }
    }

    /// A connection is free: the next request in order, or a place among the idle ones.
    /// `isWell`: its last answer did not speak of a machine in trouble.
    func next(
        for connection: Connection, on loop: any EventLoop, isWell: Bool, now: ContinuousClock.Instant
    ) -> Next {
        var late: [Job] = []
        let next: Next = state.withLock { pool in
            if isWell { pool.renewal.answered() }
            if let job = nextWaiting(&pool, now: now, late: &late) { return .begin(job) }
            guard !pool.isClosing, wire.idle.load(ordering: .relaxed) < wire.limits.idleConnections else {
                return .close
            }
            wire.idle.add(1, ordering: .relaxed)
            pool.idle.append(
                Idle(
                    connection: NIOLoopBound(connection, eventLoop: loop), id: ObjectIdentifier(connection), since: now)
            )
            return .rest
        }
        for job in late { job.end(.notStarted, now: now) }
        return next
    }

    /// The machine failed, or said that it is in trouble; true where the connection is not to be used again. Then the
    /// idle ones close as well: the machine may have moved, and the next dial asks for its name anew.
    @discardableResult
    func noteFailure(now: ContinuousClock.Instant) -> Bool {
        wire.dialer.forgetNames(of: key.host)
        let stale: [Idle]? = state.withLock { pool in
            pool.renewal.failed()
            guard pool.renewal.isDue(now: now, every: wire.limits.renewEvery) else { return nil }
            pool.renewal.began(now: now)
            return takeIdle(&pool)
        }
        if let stale { dismiss(stale) }
        return stale != nil
    }

    private func takeIdle(_ pool: inout State) -> [Idle] {
        defer { pool.idle.removeAll() }
        return pool.idle
    }

    /// Takes an idle connection out; false when a request or a farewell is already on its way to it.
    func forget(_ connection: Connection) -> Bool {
        let found = state.withLock { pool in
            guard let index = pool.idle.lastIndex(where: { $0.id == ObjectIdentifier(connection) }) else {
                return false
            }
            pool.idle.remove(at: index)
            return true
        }
        if found { wire.idle.subtract(1, ordering: .relaxed) }
        return found
    }

    /// A slot is free: the next request dials with it, or it is given up; a pool with none left is struck off.
    func release() {
        let now = ContinuousClock.now
        var late: [Job] = []
        let (job, isRetired) = state.withLock { pool -> (Job?, Bool) in
            if let job = nextWaiting(&pool, now: now, late: &late) {
                wire.connectionOpens()
                return (job, false)
            }
            pool.slots -= 1
            retireIfEmpty(&pool, now: now)
            return (nil, pool.isRetired)
        }
        for job in late { job.end(.notStarted, now: now) }
        if let job { dial(job) }
        if isRetired { wire.strike(self) }
    }

    /// A pool without a connection is forgotten, once it need not remember when it was renewed.
    private func retireIfEmpty(_ pool: inout State, now: ContinuousClock.Instant) {
        let isRemembering = !pool.isClosing && pool.renewal.isRecent(now: now, every: wire.limits.renewEvery)
        if pool.slots == 0, !isRemembering { pool.isRetired = true }
    }

    /// Dials again with the slot of a connection that was lost.
    func redial(_ job: Job) {
        wire.connectionOpens()
        dial(job)
    }

    /// Ends requests that waited beyond `startBy`, and connections that were idle for longer than `idleLimit`.
    func sweep(now: ContinuousClock.Instant, idleLimit: Duration) {
        let (late, tired, isRetired) = state.withLock { pool -> ([Job], [Idle], Bool) in
            var late: [Job] = []
            for lane in pool.waiting.indices where pool.waiting[lane].contains(where: { $0.request.startBy < now }) {
                late += pool.waiting[lane].filter { $0.request.startBy < now }
                pool.waiting[lane].removeAll { $0.request.startBy < now }
            }
            let tired = Array(pool.idle.prefix { $0.since + idleLimit <= now })
            pool.idle.removeFirst(tired.count)
            retireIfEmpty(&pool, now: now)
            return (late, tired, pool.isRetired)
        }
        if isRetired { wire.strike(self) }
        for job in late { job.end(.notStarted, now: now) }
        dismiss(tired)
    }

    /// No further request is taken; what waits is refused, what is idle closes, what runs may end.
    func close() {
        let now = ContinuousClock.now
        let (waiting, idle, isRetired) = state.withLock { pool -> ([Job], [Idle], Bool) in
            pool.isClosing = true
            defer {
                for lane in pool.waiting.indices { pool.waiting[lane].removeAll() }
                pool.idle.removeAll()
            }
            retireIfEmpty(&pool, now: now)
            return (pool.waiting.flatMap { $0 }, pool.idle, pool.isRetired)
        }
        if isRetired { wire.strike(self) }
        for job in waiting { job.end(.notStarted, now: now) }
        dismiss(idle)
    }

    private func dismiss(_ idle: [Idle]) {
        if idle.isEmpty { return }
        wire.idle.subtract(idle.count, ordering: .relaxed)
        for connection in idle.map(\.connection) {
            connection.eventLoop.execute { connection.value.dismiss() }
        }
    }

    private func dial(_ job: Job) {
        let loop = wire.group.next()
        loop.execute { Connection(pool: self, loop: loop).open(for: job) }
    }

    /// The first request that may have the connection, or slot, that was busy until now.
    private func nextWaiting(
        _ pool: inout State, now: ContinuousClock.Instant, late: inout [Job]
    ) -> Job? {
        for lane in pool.waiting.indices where pool.busy <= ceilings[lane] {
            while let job = pool.waiting[lane].popFirst() {
                if job.request.startBy >= now, job.request.mayBegin() { return job }
                late.append(job)
            }
        }
        return nil
    }
}
