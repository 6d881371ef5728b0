package import ReenvioModel

/// One HTTP request that a delivery wants made: everything but the connection.
package struct WireRequest: Sendable {
    /// Where it goes; its origin and `merchantID` choose the connection pool, which tenants never share.
    package var url: ReceiverURL
    package var merchantID: Int64
    /// Whose turn it is among the requests that wait for a connection to the same origin.
    package var lane: Lane
    /// Header lines beside `host` and `content-length`, which the wire writes itself.
    package var headers: [(name: String, value: String)]
    /// Writes the header lines that are made only when the request goes out: signatures and their time. Called on the
    /// event loop that sends, once for each time the request is sent.
    package var lateHeaders: @Sendable (inout HeaderLines) -> Void
    package var body: [UInt8]
    /// Not begun by then (monotonic clock): answered `.notStarted`, nothing is sent.
    package var startBy: ContinuousClock.Instant
    /// Beyond the receiver's connections: it does not wait behind requests that hang.
    package var isAhead: Bool
    /// Asked when a connection is free for it: answered `.notStarted` where it must not begin any more.
    package var mayBegin: @Sendable () -> Bool

    package init(
        url: ReceiverURL, merchantID: Int64, lane: Lane = .live, headers: [(name: String, value: String)],
        lateHeaders: @escaping @Sendable (inout HeaderLines) -> Void = { _ in }, body: [UInt8],
        startBy: ContinuousClock.Instant, isAhead: Bool = false, mayBegin: @escaping @Sendable () -> Bool = { true }
    ) {
        self.url = url
        self.merchantID = merchantID
        self.lane = lane
        self.headers = headers
        self.lateHeaders = lateHeaders
        self.body = body
        self.startBy = startBy
        self.isAhead = isAhead
        self.mayBegin = mayBegin
    }
}

/// What came back: the status code of the response head, and as much of the body as is kept.
package struct WireAnswer: Sendable, Equatable {
    package var statusCode: Int
    /// The `Retry-After` header as it was sent, if there was one.
    package var retryAfter: String?
    /// Where a redirect points, without what may be secret in it.
    package var location: String?
    /// The first `Limits.answerBytesKept` bytes of the body as text.
    package var body: [UInt8]

    package init(statusCode: Int, retryAfter: String? = nil, location: String? = nil, body: [UInt8] = []) {
        self.statusCode = statusCode
        self.retryAfter = retryAfter
        self.location = location
        self.body = body
    }
}

package enum WireResult: Sendable, Equatable {
    case answered(WireAnswer)
    case failed(AttemptFailure)
    /// No connection was free before `startBy`; not an attempt.
    case notStarted
    /// This machine lacked what an attempt needs; not an attempt.
    case shortage(SenderShortage)

    /// What the attempt came to; nil where it was none.
    package var outcome: AttemptOutcome? {
        switch self {
        case .answered(let answer): AttemptOutcome(statusCode: answer.statusCode, retryAfter: answer.retryAfter)
        case .failed(let failure): .failed(failure)
        case .notStarted, .shortage: nil
        }
    }
}

/// Makes HTTP exchanges. The engine knows nothing of sockets; tests and the simulation script this protocol.
package protocol Transport: Sendable {
    /// Starts exchanges and returns at once. Each job is ended exactly once, on any thread, with its result and the
    /// time the exchange itself took (waiting for a free connection excluded).
    func send(_ jobs: [Job])
    /// Ends idle connections, lets running exchanges end, and returns when none is left.
    func shutdown() async
}

extension Transport {
    package func send(_ request: WireRequest, then: @escaping @Sendable (WireResult, Duration) -> Void) {
        send([Job(request: request, then: then)])
    }
}
