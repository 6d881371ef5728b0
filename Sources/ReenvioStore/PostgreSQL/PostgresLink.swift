import CLibPQ
import Foundation

/// The way to the server and back over one connection of libpq. No answer is waited for without a bound: a server that
/// says nothing is lost like one that hung up. Used by one thread at a time.
final class PostgresLink {
    /// TLS may have decrypted what no socket shows any more: libpq is asked again so often.
    private static let look: Duration = .milliseconds(100)

    let handle: OpaquePointer
    /// When whoever waits gives up; nil: not before the server is known to be silent.
    var deadline: ContinuousClock.Instant?
    /// Whether somebody gave up: what the server does with what it was sent is not known.
    private(set) var isGivenUp = false
    private let pulse: PostgresPulse
    private let warnings = Warnings()

    /// Whether the server has warned that what it committed may not last.
    private final class Warnings {
        var isUnconfirmed = false
    }

    init(_ handle: OpaquePointer, _ pulse: PostgresPulse) {
        self.handle = handle
        self.pulse = pulse
        _ = PQsetnonblocking(handle, 1)
        PQsetNoticeReceiver(handle, Self.receive, Unmanaged.passUnretained(warnings).toOpaque())
    }

    deinit {
        PQfinish(handle)
    }

    /// PostgreSQL ends a commit that is canceled while it waits for a standby with a mere warning, of its general class
    /// or that of a shutdown: the commit is there, and lost with this machine.
    private static let receive: PQnoticeReceiver = { warnings, notice in
        guard let warnings, let code = PQresultErrorField(notice, CInt(UInt8(ascii: "C"))) else { return }
        guard ["01000", "57P01"].contains(String(cString: code)) else { return }
        Unmanaged<Warnings>.fromOpaque(warnings).takeUnretainedValue().isUnconfirmed = true
    }

    /// Whether the server has warned since the last call that a commit is not where it should be.
    func takeUnconfirmed() -> Bool {
        defer { warnings.isUnconfirmed = false }
        return warnings.isUnconfirmed
    }

    /// Sends what has not gone out, and returns once `PQgetResult` has something to return.
    func wait() throws(PostgresError) {
        var began: ContinuousClock.Instant?
        while true {
            let isWriting = PQflush(handle) > 0
            // What the server said before it hung up is still to be taken.
            if !isWriting && PQisBusy(handle) == 0 || PQsocket(handle) < 0 { return }
            let now = ContinuousClock.now
            let isReadable = try poll(isWriting, now, waited: now - (began ?? now))
            began = began ?? now
            // A second time for what TLS holds back.
            for _ in 0..<(isReadable ? 2 : 1) {
                guard PQconsumeInput(handle) == 1 else { return }
            }
            if isReadable { pulse.heard() }
        }
    }

    private func poll(
        _ isWriting: Bool, _ now: ContinuousClock.Instant, waited: Duration
    ) throws(PostgresError) -> Bool {
        if let deadline, now >= deadline { throw giveUp("the database did not answer in time") }
        if pulse.isSilent(afterWaiting: waited) { throw giveUp("the database is silent") }
        let most = deadline.map { min(Self.look, $0 - now) } ?? Self.look
        var file = pollfd(fd: PQsocket(handle), events: Int16(POLLIN | (isWriting ? POLLOUT : 0)), revents: 0)
        return Foundation.poll(&file, 1, CInt(most.inMilliseconds + 1)) > 0 && file.revents & ~Int16(POLLOUT) != 0
    }

    private func giveUp(_ why: String) -> PostgresError {
        isGivenUp = true
        return PostgresError(sqlState: nil, message: why)
    }

    /// The next result, or the end of those of a statement.
    func result() throws(PostgresError) -> OpaquePointer? {
        try wait()
        return PQgetResult(handle)
    }

    /// The answer to one statement that was sent by itself, which the caller clears; of several, the last one.
    func answer() throws(PostgresError) -> OpaquePointer? {
        var last: OpaquePointer?
        while true {
            let next: OpaquePointer?
            do {
                next = try result()
            } catch {
                PQclear(last)
                throw error
            }
            guard let next else { return last }
            PQclear(last)
            last = next
        }
    }
}
