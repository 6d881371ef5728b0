package import NIOCore
import ReenvioModel
import Synchronization

/// Wakes one waiting loop. A ring while nobody waits is remembered; many rings are one. A hint only: whoever waits also
/// wakes by itself in time.
package final class Doorbell: Sendable {
    private struct State {
        var hasRung = false
        var waiter: CheckedContinuation<Void, Never>?
        var visit = 0
    }

    private let state = Mutex(State())

    package init() {}

    package func ring() {
        let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
            guard let waiter = state.waiter else {
                state.hasRung = true
                return nil
            }
            state.waiter = nil
            return waiter
        }
        waiter?.resume()
    }

    /// Returns at the next ring, or after `timeout`, measured by the event loop. One waiter at a time.
    package func wait(atMost timeout: Duration, on eventLoop: any EventLoop) async {
        let visit = state.withLock { state in
            state.visit += 1
            return state.visit
        }
        let alarm = eventLoop.scheduleTask(in: .microseconds(max(0, timeout.microseconds))) { self.endVisit(visit) }
        await withCheckedContinuation { continuation in
            let hasRung = state.withLock { state in
                if state.hasRung {
                    state.hasRung = false
                    return true
                }
                state.waiter = continuation
                return false
            }
            if hasRung { continuation.resume() }
        }
        alarm.cancel()
    }

    private func endVisit(_ visit: Int) {
        let isCurrent = state.withLock { $0.visit == visit }
        if isCurrent { ring() }
    }
}
