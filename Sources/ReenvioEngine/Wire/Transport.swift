package import ReenvioModel

/// One HTTP request that a delivery wants made: everything but the connection.
package struct WireRequest: Sendable {
    /// Where it goes; its origin and `merchantID` choose the connection pool, which tenants never share.
    package var url: ReceiverURL
    package var merchantID: Int64
    /// Header lines beside `host` and `content-length`, which the wire writes itself.
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    /// Not begun by then (monotonic clock): answered `.notStarted`, nothing is sent.
    package var startBy: ContinuousClock.Instant

    package init(
        url: ReceiverURL, merchantID: Int64, headers: [(name: String, value: String)], body: [UInt8],
        startBy: ContinuousClock.Instant
    ) {
        self.url = url
        self.merchantID = merchantID
        self.headers = headers
        self.body = body
        self.startBy = startBy
    }
}

/// What came back: the status code of the response head, and as much of the body as is kept.
package struct WireAnswer: Sendable, Equatable {
    package var statusCode: Int
    /// The `Retry-After` header as it was sent, if there was one.
    package var retryAfter: String?
    /// The first `Limits.answerBytesKept` bytes of the body.
    package var body: [UInt8]

    package init(statusCode: Int, retryAfter: String? = nil, body: [UInt8] = []) {
        self.statusCode = statusCode
        self.retryAfter = retryAfter
        self.body = body
    }
}

package enum WireResult: Sendable, Equatable {
    case answered(WireAnswer)
    case failed(AttemptFailure)
    /// No connection was free before `startBy`; not an attempt.
    case notStarted
}

/// Makes HTTP exchanges. The engine knows nothing of sockets; tests and the simulation script this protocol.
package protocol Transport: Sendable {
    /// Starts one exchange and returns at once. `then` is called exactly once, on any thread, with the result and the
    /// time the exchange itself took (waiting for a free connection excluded).
    func send(_ request: WireRequest, then: @escaping @Sendable (WireResult, Duration) -> Void)
    /// Ends idle connections, lets running exchanges end, and returns when none is left.
    func shutdown() async
}
