import Metrics
import NIOCore
import NIOSSL
import ReenvioModel

/// One connection, from its dial to its end, and the exchanges on it one after the other (`docs/contract.md` 3.3).
/// Lives on its event loop; `Exchange.swift` has the part that reads answers.
final class Connection {
    enum Phase {
        /// Resolving and connecting; the job is waiting for it.
        case dialing
        /// The request is written (or in TLS's hands until the handshake is done).
        case awaitingHead
        /// The status is read and decides the attempt, whatever happens now.
        case readingHead
        case readingBody
        /// The answer is complete; the next request waits until all that was read is looked at.
        case answered
        case idle
        case closing
        case closed
    }

    let pool: ConnectionPool
    let loop: any EventLoop
    var limits: WireLimits { pool.wire.limits }

    var phase = Phase.dialing
    var channel: (any Channel)?
    /// Where answers arrive and requests leave.
    var network: ChannelHandlerContext?
    private var tls: NIOSSLClientHandler?
    private var job: Job?
    private var openedAt = ContinuousClock.now
    private var exchanges = 0

    /// The slot in the pool that this connection gives back, unless a dial of a retry got it.
    private var holdsSlot = true
    /// The pool took this connection out of the idle ones, and what for is still on its way here.
    private var expectsWord = false

    /// When the running exchange must have a head, then a body.
    private var deadline = ContinuousClock.now
    private var alarm: (at: ContinuousClock.Instant, task: Scheduled<Void>)?

    // What has been read of the running exchange's answer.
    var plain: WireAnswer?
    var reader: AnswerReader
    var keepsAlive = false
    var bytesRead = 0
    var isBodyTimed = false

    init(pool: ConnectionPool, loop: any EventLoop) {
        self.pool = pool
        self.loop = loop
        reader = AnswerReader(limits: pool.wire.limits)
    }

    // MARK: Dialing

    /// The exchange begins here: its clock covers name, connect and TLS.
    func open(for job: Job) {
        let now = ContinuousClock.now
        let url = job.request.url
        openedAt = now
        start(job, now: now)
        phase = .dialing
        guard pool.wire.openConnections <= limits.connections else {
            end(.shortage(.descriptors))
            return gone()
        }
        let dial = pool.wire.dialer.connect(to: url, for: job.request.merchantID, on: loop, by: deadline)
        dial.assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel): self.connected(channel, url: url)
            case .failure(let error):
                self.end(DialFailure(error).result)
                self.gone()
            }
        }
    }

    private func connected(_ channel: any Channel, url: ReceiverURL) {
        self.channel = channel
        channel.closeFuture.assumeIsolated().whenComplete { _ in self.disconnected() }
        // The dial may have come too late for its exchange.
        guard phase == .dialing else { return channel.close(promise: nil) }
        do {
            let pipeline = channel.pipeline.syncOperations
            if url.scheme == .https {
                let tls = try pool.wire.dialer.makeTLSHandler(for: url)
                self.tls = tls
                try pipeline.addHandler(tls)
            }
            try pipeline.addHandler(Exchange(self))
            write()
            try channel.syncOptions?.setOption(.autoRead, value: true)
        } catch {
            fail(error)
        }
    }

    // MARK: Exchanging

    /// The pool's word to an idle connection: a request.
    func begin(_ job: Job, now: ContinuousClock.Instant) {
        expectsWord = false
        guard phase == .idle, !isWornOut(now: now) else {
            // Nothing was sent: a new connection takes it, in this one's slot.
            holdsSlot = false
            pool.redial(job)
            return phase == .closed ? leave() : close()
        }
        start(job, now: now)
        write()
    }

    /// The pool's word to an idle connection: farewell.
    func dismiss() {
        expectsWord = false
        if phase == .closed { leave() } else { close() }
    }

    private func start(_ job: Job, now: ContinuousClock.Instant) {
        var job = job
        let startedAt = job.startedAt ?? now
        job.startedAt = startedAt
        self.job = job
        plain = nil
        reader = AnswerReader(limits: limits)
        keepsAlive = false
        bytesRead = 0
        isBodyTimed = false
        setDeadline(startedAt + limits.headWithin, now: now)
    }

    private func write() {
        guard let network, let job else { return close() }
        guard let bytes = RequestBytes.make(job.request, allocator: network.channel.allocator) else {
            end(.failed(.connectionFailed))
            return close()
        }
        phase = .awaitingHead
        network.writeAndFlush(NIOAny(bytes), promise: nil)
    }

    /// All that was read is looked at, and the answer was the end of it: on to the next request, to rest, or to close.
    /// Only then is the caller told, so that what it sends next finds this connection free.
    func proceed() {
        let now = ContinuousClock.now
        let (ended, result) = (job, result)
        job = nil
        exchanges += 1
        // Of a well machine the pool hears with the next line, under the same lock.
        let isStale = result.outcome?.signal == .machine && pool.noteFailure(now: now)
        if keepsAlive, !isStale, !isWornOut(now: now), isAllWritten {
            switch pool.next(for: self, on: loop, isWell: result.outcome?.signal != .machine, now: now) {
            case .begin(let job):
                start(job, now: now)
                write()
            case .rest: phase = .idle
            case .close: close()
            }
        } else {
            close()
        }
        ended?.end(result, now: now)
    }

    private func isWornOut(now: ContinuousClock.Instant) -> Bool {
        exchanges >= limits.requestsPerConnection || now - openedAt >= limits.connectionAge
    }

    /// False when the answer came before our request was gone: the connection can carry no other.
    private var isAllWritten: Bool {
        (try? channel?.syncOptions?.getOption(.bufferedWritableBytes)) == 0
    }

    // MARK: Ending

    /// What the answer comes to: as much of it as was read.
    private var result: WireResult {
        (plain ?? reader.answer).map { .answered($0) } ?? .failed(.malformedResponse)
    }

    /// Ends the running exchange, if there is one, exactly once.
    func end(_ result: WireResult) {
        guard let job else { return }
        self.job = nil
        let now = ContinuousClock.now
        if result.outcome?.signal == .machine { pool.noteFailure(now: now) }
        if case .shortage(let shortage) = result { pool.wire.note(shortage) }
        job.end(result, now: now)
    }

    /// An error of the connection or of what came over it.
    func fail(_ error: any Error) {
        switch phase {
        case .dialing, .awaitingHead:
            if case NIOSSLError.uncleanShutdown = error { return lose() }
            // The last bytes may have had both: a status, and what broke it.
            if error is UnexpectedBytes {
                end(result)
            } else if let shortage = WireFailure.shortage(behind: error), bytesRead == 0 {
                // Some of the request may have gone out before.
                if phase == .awaitingHead { pool.wire.repeats?.increment() }
                end(.shortage(shortage))
            } else {
                let now = pool.wire.clock.wall
                let reason = WireFailure.reason(of: error, certificate: tls?.peerCertificate, now: now)
                if reason == .connectionReset { return lose() }
                end(.failed(reason))
            }
        case .readingHead, .readingBody, .answered: end(result)
        case .idle: expectsWord = !pool.forget(self)
        case .closing, .closed: break
        }
        close()
    }

    /// The connection went away before the head. A kept-alive one may have been closed as we wrote: if not one byte
    /// came back, the request is sent once more on a new connection, on the same clock. Delivery is at least once.
    private func lose() {
        if let job, exchanges > 0, bytesRead == 0, !job.isRetry, ContinuousClock.now < deadline {
            self.job = nil
            var retry = job
            retry.isRetry = true
            pool.wire.repeats?.increment()
            holdsSlot = false
            pool.redial(retry)
        } else {
            end(.failed(.connectionReset))
        }
        close()
    }

    func close() {
        guard phase != .closed, phase != .closing else { return }
        phase = .closing
        channel?.close(promise: nil)
    }

    /// The channel is gone.
    func disconnected() {
        switch phase {
        case .dialing, .awaitingHead: lose()
        case .readingHead, .readingBody, .answered: end(result)
        case .idle: expectsWord = !pool.forget(self)
        case .closing, .closed: break
        }
        gone()
    }

    private func gone() {
        guard phase != .closed else { return }
        phase = .closed
        alarm?.task.cancel()
        alarm = nil
        network = nil
        channel = nil
        tls = nil
        if !expectsWord { leave() }
    }

    /// The last thing that a connection does: from here on nobody counts it.
    private func leave() {
        if holdsSlot { pool.release() }
        pool.wire.connectionClosed()
    }

    // MARK: The clock

    /// The body's time begins when the head's ends.
    func timeBody() {
        isBodyTimed = true
        let now = ContinuousClock.now
        setDeadline(now + limits.bodyWithin, now: now)
    }

    /// Moves the deadline. The alarm is set anew only if it would ring too late; one that rings too early sets itself
    /// again, so a busy connection sets one every few seconds and not one per request.
    private func setDeadline(_ instant: ContinuousClock.Instant, now: ContinuousClock.Instant) {
        deadline = instant
        if let alarm {
            guard alarm.at > instant else { return }
            alarm.task.cancel()
        }
        let task = loop.assumeIsolated().scheduleTask(in: TimeAmount(max(.zero, instant - now))) { self.rang() }
        alarm = (instant, task)
    }

    private func rang() {
        alarm = nil
        let now = ContinuousClock.now
        switch phase {
        case .dialing, .awaitingHead:
            guard now >= deadline else { return setDeadline(deadline, now: now) }
            end(.failed(.timedOut))
            // A dial ends by itself, by the same deadline, and closes what it opened.
            if phase == .dialing { phase = .closing } else { close() }
        case .readingHead, .readingBody:
            guard now >= deadline else { return setDeadline(deadline, now: now) }
            end(result)
            close()
        case .answered, .idle, .closing, .closed: break
        }
    }
}
