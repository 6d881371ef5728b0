import NIOCore
import ReenvioModel

/// Connects to the first of several judged addresses that takes the connection (RFC 8305): the next attempt starts a
/// moment after the one before, or at once when that one fails; the first to connect wins, and the others are closed.
/// Lives on its event loop.
final class AddressRace {
    typealias Open = (IPAddress, Contender) -> EventLoopFuture<any Channel>

    /// One attempt, which a faster one cancels.
    final class Contender {
        private var channel: (any Channel)?
        private var race: AddressRace?
        private(set) var isCanceled = false

        /// The attempt's socket, from before it connects.
        func adopt(_ channel: any Channel) {
            self.channel = channel
            if isCanceled { channel.close(promise: nil) }
        }

        /// An attempt that is a race of its own: for the addresses of a proxy.
        func adopt(_ race: AddressRace) {
            self.race = race
            if isCanceled { race.cancel() }
        }

        func cancel() {
            isCanceled = true
            channel?.close(promise: nil)
            race?.cancel()
        }
    }

    private let loop: any EventLoop
    private let stagger: Duration
    private let open: Open
    private let promise: EventLoopPromise<any Channel>
    private var waiting: ArraySlice<IPAddress>
    private var underWay: [Contender] = []
    private var failure: DialFailure?
    private var timer: Scheduled<Void>?
    private var isOver = false

    /// At most the first `limit` of the addresses are tried, in the order of `interleaved`.
    init(
        _ addresses: [IPAddress], atMost limit: Int, every stagger: Duration, on loop: any EventLoop,
        open: @escaping Open
    ) {
        waiting = Self.interleaved(addresses).prefix(limit)
        self.loop = loop
        self.stagger = stagger
        self.open = open
        promise = loop.makePromise()
    }

    /// Fails with `DialFailure` only.
    func run() -> EventLoopFuture<any Channel> {
        startNext()
        return promise.futureResult
    }

    func cancel() {
        end(.failure(DialFailure(reason: .connectionFailed)))
    }

    /// The families in turn, beginning with that of the first address; within a family the order stays. The system's
    /// resolver has sorted them by what this machine can reach.
    static func interleaved(_ addresses: [IPAddress]) -> [IPAddress] {
        guard let first = addresses.first else { return [] }
        let same = addresses.filter { $0.bytes.count == first.bytes.count }
        let other = addresses.filter { $0.bytes.count != first.bytes.count }
        return (0..<max(same.count, other.count)).flatMap { place in
            [same, other].compactMap { $0.indices.contains(place) ? $0[place] : nil }
        }
    }

    private func startNext() {
        timer?.cancel()
        timer = nil
        guard !isOver else { return }
        guard let address = waiting.popFirst() else {
            if underWay.isEmpty { end(.failure(failure ?? DialFailure(reason: .nameNotResolved))) }
            return
        }
        let contender = Contender()
        underWay.append(contender)
        if !waiting.isEmpty {
            timer = loop.assumeIsolated().scheduleTask(in: TimeAmount(stagger)) { self.startNext() }
        }
        open(address, contender).assumeIsolated().whenComplete { result in self.ended(contender, result) }
    }

    private func ended(_ contender: Contender, _ result: Result<any Channel, any Error>) {
        underWay.removeAll { $0 === contender }
        switch result {
        case .success(let channel):
            if isOver { return channel.close(promise: nil) }
            end(.success(channel))
        case .failure(let error):
            let failed = DialFailure(error)
            // The peer is not the address that was judged: try nothing else.
            if failed.reason == .addressForbidden { return end(.failure(failed)) }
            if failed.says(moreThan: failure) { failure = failed }
            startNext()
        }
    }

    private func end(_ result: Result<any Channel, DialFailure>) {
        guard !isOver else { return }
        isOver = true
        timer?.cancel()
        timer = nil
        for contender in underWay { contender.cancel() }
        promise.completeWith(result.mapError { $0 })
    }
}

/// Why no connection came about.
struct DialFailure: Error {
    var reason: AttemptFailure
    /// Set where this machine lacked something: nothing was learned of the receiver.
    var shortage: SenderShortage?

    init(reason: AttemptFailure) {
        self.reason = reason
    }

    init(_ shortage: SenderShortage) {
        reason = .connectionFailed
        self.shortage = shortage
    }

    init(_ error: any Error) {
        switch error {
        case let error as DialFailure: self = error
        case let error as SenderShortage: self.init(error)
        default: self.init(reason: WireFailure.connectReason(of: error))
        }
    }

    /// What the attempt comes to.
    var result: WireResult {
        shortage.map { .shortage($0) } ?? .failed(reason)
    }

    /// Of several addresses: a shortage here leaves open what the others would have said, and `connection_failed` (no
    /// route, no such family) says less than what another address answered.
    fileprivate func says(moreThan other: DialFailure?) -> Bool {
        guard let other else { return true }
        if other.shortage != nil { return false }
        return shortage != nil || other.reason == .connectionFailed
    }
}
