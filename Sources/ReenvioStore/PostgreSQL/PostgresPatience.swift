import Synchronization

/// How long a node waits for its database before it says so.
package struct PostgresPatience: Sendable, Equatable {
    /// From a call to its answer, with the wait for a connection; of reads, which may be long, the latter alone.
    package var call: Duration
    /// The wait for a connection of what runs by itself.
    package var background: Duration
    /// A server from which nothing has been heard for so long, on any connection, is silent.
    package var silence: Duration
    /// How long a write waits for a row that somebody else has locked.
    package var lock: Duration
    /// Calls that wait for a connection; more are refused at once.
    package var line: Int

    package init(call: Duration, background: Duration, silence: Duration, lock: Duration, line: Int = 4_000) {
        self.line = line
        self.call = call
        self.background = background
        self.silence = silence
        self.lock = lock
    }

    /// Of a server, whose callers have other things to do.
    package static let serving = PostgresPatience(
        call: .milliseconds(4_500), background: .seconds(30), silence: .seconds(3), lock: .seconds(1))
    /// Of a command, for which nobody waits but who called it.
    package static let unhurried = PostgresPatience(
        call: .seconds(60), background: .seconds(120), silence: .seconds(15), lock: .seconds(10))
}

/// When something was heard from the server last, on whatever connection of an engine.
final class PostgresPulse: Sendable {
    let silence: Duration
    private let start = ContinuousClock.now
    private let heardAt = Atomic<Int64>(0)

    init(silence: Duration) {
        self.silence = silence
    }

    func heard() {
        heardAt.store((ContinuousClock.now - start).inMilliseconds, ordering: .relaxed)
    }

    var quietFor: Duration {
        ContinuousClock.now - start - .milliseconds(heardAt.load(ordering: .relaxed))
    }

    /// Whether somebody who has waited for so long need not go on: others have heard nothing either.
    func isSilent(afterWaiting waited: Duration) -> Bool { waited >= silence && quietFor >= silence }

    /// Whether somebody who has waited for so long should ask for a sign of life.
    func isDoubtful(afterWaiting waited: Duration) -> Bool { waited >= silence / 2 && quietFor >= silence / 2 }
}

extension Duration {
    var inMilliseconds: Int64 {
        let parts = components
        return parts.seconds * 1_000 + parts.attoseconds / 1_000_000_000_000_000
    }
}
