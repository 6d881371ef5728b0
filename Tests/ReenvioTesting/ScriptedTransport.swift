package import ReenvioEngine
import Synchronization

/// A network of which a test decides every outcome. Requests wait until they are answered; what was heard is kept.
package final class ScriptedTransport: Transport {
    package struct Exchange: Sendable {
        package var request: WireRequest
        /// Every header line, as it stood when the request came.
        package let headers: [(name: String, value: String)]
        private let then: @Sendable (WireResult, Duration) -> Void

        init(_ job: Job) {
            request = job.request
            then = job.then
            var late = HeaderLines()
            request.lateHeaders(&late)
            headers = request.headers + late.pairs
        }

        package func header(_ name: String) -> String {
            headers.first { $0.name == name }?.value ?? ""
        }

        package func answer(_ statusCode: Int, retryAfter: String? = nil) {
            then(.answered(WireAnswer(statusCode: statusCode, retryAfter: retryAfter)), .milliseconds(3))
        }

        package func end(_ result: WireResult, after duration: Duration = .milliseconds(3)) {
            then(result, duration)
        }
    }

    private let waiting = Mutex<[Exchange]>([])
    private let automatic: (@Sendable (Exchange) -> WireResult)?

    /// With `automatic`, every request is answered at once by it.
    package init(automatic: (@Sendable (Exchange) -> WireResult)? = nil) {
        self.automatic = automatic
    }

    package func send(_ jobs: [Job]) {
        for exchange in jobs.map(Exchange.init) {
            if let automatic {
                exchange.end(automatic(exchange))
            } else {
                waiting.withLock { $0.append(exchange) }
            }
        }
    }

    package var count: Int { waiting.withLock(\.count) }

    /// The requests that wait, in the order in which they were sent.
    package var requests: [WireRequest] { waiting.withLock { $0.map(\.request) } }

    /// Hands over every exchange that waits; the test must end each, or forget it like a crash does.
    package func take() -> [Exchange] {
        waiting.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
    }

    /// Hands over the exchange at an index, for tests that answer out of order.
    package func take(at index: Int) -> Exchange? {
        waiting.withLock { waiting in waiting.indices.contains(index) ? waiting.remove(at: index) : nil }
    }

    package func shutdown() async {
        for exchange in take() { exchange.end(.notStarted) }
    }
}
