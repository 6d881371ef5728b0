import Metrics
import NIOCore
import Synchronization

/// What all pools share: the register of pools, the dialer, and the count of what is open.
final class Wire: Sendable {
    private struct Register {
        var pools: [ConnectionPool.Key: ConnectionPool] = [:]
        var isClosing = false
        var sweeper: RepeatedTask?
        var leaving: [CheckedContinuation<Void, Never>] = []
    }

    let limits: WireLimits
    let dialer: Dialer
    let group: any EventLoopGroup
    let clock: any TimeSource
    /// Requests sent again although the receiver may have got them.
    let repeats: Counter?
    let shortages: ShortageLog?
    /// Idle connections over all pools.
    let idle = Atomic(0)
    /// Connections and dials over all pools.
    private let open = Atomic(0)
    /// Whether something was lacking since the last sweep.
    private let isShort = Atomic(false)
    private let register = Mutex(Register())

    init(
        limits: WireLimits, dialer: Dialer, group: any EventLoopGroup, clock: any TimeSource, repeats: Counter?,
        shortages: ShortageLog?
    ) {
        self.limits = limits
        self.dialer = dialer
        self.group = group
        self.clock = clock
        self.repeats = repeats
        self.shortages = shortages
    }

    var openConnections: Int { open.load(ordering: .sequentiallyConsistent) }
    var poolsKept: Int { register.withLock { $0.pools.count } }

    /// Starts looking for late requests and tired connections, until `close`.
    func startSweeping() {
        let every = TimeAmount(limits.sweepEvery)
        let task = group.next().scheduleRepeatedTask(initialDelay: every, delay: every) { [weak self] task in
            guard let self else { return task.cancel() }
            self.sweep(now: .now)
        }
        register.withLock { $0.sweeper = task }
    }

    /// The pool for `key`; nil when the wire is closing.
    func pool(for key: ConnectionPool.Key) -> ConnectionPool? {
        register.withLock { register in
            if let pool = register.pools[key] { return pool }
            guard !register.isClosing else { return nil }
            let pool = ConnectionPool(key: key, wire: self)
            register.pools[key] = pool
            return pool
        }
    }

    /// Forgets a retired pool, so that memory does not grow with the number of hosts ever seen.
    func strike(_ pool: ConnectionPool) {
        register.withLock { register in
            if register.pools[pool.key] === pool { register.pools[pool.key] = nil }
        }
    }

    func connectionOpens() {
        open.add(1, ordering: .sequentiallyConsistent)
    }

    func connectionClosed() {
        guard open.subtract(1, ordering: .sequentiallyConsistent).newValue == 0 else { return }
        let leaving = register.withLock { register in
            guard register.isClosing else { return [CheckedContinuation<Void, Never>]() }
            defer { register.leaving.removeAll() }
            return register.leaving
        }
        for continuation in leaving { continuation.resume() }
    }

    /// Closes every pool and returns when no connection and no dial is left; both are bounded by the exchange clock.
    func close() async {
        let (pools, sweeper) = register.withLock { register in
            register.isClosing = true
            defer { register.sweeper = nil }
            return (Array(register.pools.values), register.sweeper)
        }
        sweeper?.cancel()
        for pool in pools { pool.close() }
        await withCheckedContinuation { continuation in
            // A connection counts from inside its pool's lock, so after `pool.close()` the count only falls.
            let isEmpty = register.withLock { register in
                guard openConnections > 0 else { return true }
                register.leaving.append(continuation)
                return false
            }
            if isEmpty { continuation.resume() }
        }
    }

    /// An attempt lacked something of this machine: it is counted, and what idles gives its descriptors and ports back.
    func note(_ shortage: SenderShortage) {
        shortages?.note(shortage)
        isShort.store(true, ordering: .relaxed)
    }

    /// The more connections are idle, the shorter each may be: at the limit, none.
    private func sweep(now: ContinuousClock.Instant) {
        shortages?.say(now: now)
        let isShort = isShort.exchange(false, ordering: .relaxed)
        let free = isShort ? 0 : max(0, limits.idleConnections - idle.load(ordering: .relaxed))
        let idleLimit = limits.idleConnection / max(1, limits.idleConnections) * free
        for pool in register.withLock({ Array($0.pools.values) }) {
            pool.sweep(now: now, idleLimit: idleLimit)
        }
    }
}
