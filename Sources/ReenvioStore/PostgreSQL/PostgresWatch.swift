import Dispatch
import Synchronization

/// Looks after the calls of one engine from a thread of its own, while there are any: answers those whose time is over,
/// whatever the threads with the connections wait for, and asks a server for a sign of life that has been quiet while
/// somebody waits.
final class PostgresWatch: Sendable {
    private static let look: DispatchTimeInterval = .milliseconds(100)

    private let pools: [PostgresThreads]
    private let pulse: PostgresPulse
    private let startThread: SystemThread.Start
    /// Connects, which is the sign of life.
    private let ask: @Sendable () -> Void
    private let bell = DispatchSemaphore(value: 0)
    private let isAwake = Atomic<Bool>(false)
    private let isAsking = Atomic<Bool>(false)
    private let isStopped = Atomic<Bool>(false)

    /// - Throws: `StoreError.unavailable` where the system has no thread.
    init(
        _ pools: [PostgresThreads], _ pulse: PostgresPulse, startThread: @escaping SystemThread.Start,
        ask: @escaping @Sendable () -> Void
    ) throws {
        self.pools = pools
        self.pulse = pulse
        self.startThread = startThread
        self.ask = ask
        try SystemThread.startNeeded("reenvio watch", by: startThread) { self.work() }
    }

    /// There are calls.
    func wake() {
        if !isAwake.exchange(true, ordering: .acquiringAndReleasing) { bell.signal() }
    }

    func stop() {
        isStopped.store(true, ordering: .releasing)
        bell.signal()
    }

    private func work() {
        while !isStopped.load(ordering: .acquiring) {
            if isAwake.load(ordering: .acquiring) {
                _ = bell.wait(timeout: .now() + Self.look)
                look()
            } else {
                bell.wait()
            }
        }
    }

    private func look() {
        let now = ContinuousClock.now
        for pool in pools { pool.sweep(pulse, now: now) }
        guard let since = busySince(now) else {
            isAwake.store(false, ordering: .releasing)
            // Whoever came in between may have found it awake.
            if busySince(now) != nil { isAwake.store(true, ordering: .releasing) }
            return
        }
        if pulse.isDoubtful(afterWaiting: now - since) { askForSign() }
    }

    private func busySince(_ now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        pools.compactMap { $0.busySince(now: now) }.min()
    }

    private func askForSign() {
        guard !isAsking.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let isStarted = startThread { [self] in
            ask()
            isAsking.store(false, ordering: .releasing)
        }
        if !isStarted { isAsking.store(false, ordering: .releasing) }
    }
}
