/// A request on its way through the wire, and whom to tell. It has one owner at a time, a queue or a connection, and
/// whoever ends it lets go of it: that is why `then` is called exactly once.
package struct Job: Sendable {
    package let request: WireRequest
    package let then: @Sendable (WireResult, Duration) -> Void
    /// Set when a connection or a dial takes the job; the clock of `docs/contract.md` 3.3 runs from here.
    var startedAt: ContinuousClock.Instant?
    /// A kept-alive connection was lost under it before a byte came back; this happens once.
    var isRetry = false

    package init(request: WireRequest, then: @escaping @Sendable (WireResult, Duration) -> Void) {
        self.request = request
        self.then = then
    }

    package func end(_ result: WireResult, now: ContinuousClock.Instant) {
        then(result, startedAt.map { now - $0 } ?? .zero)
    }
}
