import NIOCore
import ReenvioModel
import Synchronization

/// The connections of one merchant to one origin, and the requests that wait for one of them.
///
/// A connection that ends an exchange takes the next request itself, on its own event loop, under this pool's lock:
/// no task, no hop. A connection is opened only for a request that finds neither an idle one nor one to wait for.
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
        var waiting = CircularBuffer<Job>()
        /// Last in, first out; so the longest idle stand first.
        var idle: [Idle] = []
        /// Connections and dials: at most `connectionsPerReceiver`.
        var slots = 0
        var isClosing = false
        /// Empty and struck off the register: a request needs a new pool.
        var isRetired = false
    }

    private enum Admission {
        case retired, refused, queued, dial
        case use(Idle)
    }

    let key: Key
    let wire: Wire
    private let state = Mutex(State())

    init(key: Key, wire: Wire) {
        self.key = key
        self.wire = wire
    }

    /// Takes the job over, unless the pool is retired.
    func admit(_ job: Job) -> Bool {
        let admission: Admission = state.withLock { pool in
            if pool.isRetired { return .retired }
            if pool.isClosing { return .refused }
            if let idle = pool.idle.popLast() { return .use(idle) }
            guard pool.slots < wire.limits.connectionsPerReceiver else {
                pool.waiting.append(job)
                return .queued
            }
            pool.slots += 1
            wire.connectionOpens()
            return .dial
        }
        switch admission {
        case .retired: return false
        case .queued: break
        case .refused: job.end(.notStarted, now: .now)
        case .dial: dial(job)
        case .use(let idle):
            wire.idle.subtract(1, ordering: .relaxed)
            idle.connection.eventLoop.execute { idle.connection.value.begin(job, now: .now) }
        }
        return true
    }

    /// A connection is free: the next request in order, or a place among the idle ones.
    func next(for connection: Connection, on loop: any EventLoop, now: ContinuousClock.Instant) -> Next {
        var late: [Job] = []
        let next: Next = state.withLock { pool in
            if let job = Self.nextWaiting(&pool, now: now, late: &late) { return .begin(job) }
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
            if let job = Self.nextWaiting(&pool, now: now, late: &late) {
                wire.connectionOpens()
                return (job, false)
            }
            pool.slots -= 1
            pool.isRetired = pool.slots == 0
            return (nil, pool.isRetired)
        }
        for job in late { job.end(.notStarted, now: now) }
        if let job { dial(job) }
        if isRetired { wire.strike(self) }
    }

    /// Dials again with the slot of a connection that was lost.
    func redial(_ job: Job) {
        wire.connectionOpens()
        dial(job)
    }

    /// Ends requests that waited beyond `startBy`, and connections that were idle for longer than `idleLimit`.
    func sweep(now: ContinuousClock.Instant, idleLimit: Duration) {
        let (late, tired) = state.withLock { pool -> ([Job], [Idle]) in
            let late = pool.waiting.filter { $0.request.startBy < now }
            if !late.isEmpty { pool.waiting.removeAll { $0.request.startBy < now } }
            let tired = Array(pool.idle.prefix { $0.since + idleLimit <= now })
            pool.idle.removeFirst(tired.count)
            return (Array(late), tired)
        }
        for job in late { job.end(.notStarted, now: now) }
        dismiss(tired)
    }

    /// No further request is taken; what waits is refused, what is idle closes, what runs may end.
    func close() {
        let (waiting, idle) = state.withLock { pool -> (CircularBuffer<Job>, [Idle]) in
            pool.isClosing = true
            defer {
                pool.waiting.removeAll()
                pool.idle.removeAll()
            }
            return (pool.waiting, pool.idle)
        }
        let now = ContinuousClock.now
        for job in waiting { job.end(.notStarted, now: now) }
        dismiss(idle)
    }

    private func dismiss(_ idle: [Idle]) {
        wire.idle.subtract(idle.count, ordering: .relaxed)
        for connection in idle.map(\.connection) {
            connection.eventLoop.execute { connection.value.dismiss() }
        }
    }

    private func dial(_ job: Job) {
        let loop = wire.group.next()
        loop.execute { Connection(pool: self, loop: loop).open(for: job) }
    }

    private static func nextWaiting(
        _ pool: inout State, now: ContinuousClock.Instant, late: inout [Job]
    ) -> Job? {
        while let job = pool.waiting.popFirst() {
            guard job.request.startBy < now else { return job }
            late.append(job)
        }
        return nil
    }
}
