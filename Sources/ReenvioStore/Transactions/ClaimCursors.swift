package import ReenvioModel

/// How far the last claim came in each queue with more work than it took. On PostgreSQL everything that was claimed
/// leaves an entry in the index of due work, which cannot be removed while any older transaction runs; at 15,000
/// webhooks a second a claim from the beginning walks over a thousand of them for a hundred deliveries. What comes in
/// late behind a cursor is met by the next look from the beginning: after a moment, or once less is found than was
/// asked for.
package struct ClaimCursors: Sendable {
    /// A position in the order of due work.
    struct Position: Sendable, Equatable {
        var due: Timestamp
        var id: Int64

        static let beginning = Position(due: Timestamp(microseconds: .min), id: .min)
    }

    private struct Cursor {
        var position: Position
        /// When this node last looked from the beginning, engine time.
        var lookedAt: Timestamp
    }

    /// So long work may stay unseen behind a cursor.
    static let lookEvery: Duration = .milliseconds(100)
    /// So many are remembered from one claim to the next.
    private static let keptMax = 1_024

    private var cursors: [Turns.Candidate: Cursor] = [:]

    package init() {}

    /// Where a claim begins at `now`.
    func start(of queue: Turns.Candidate, at now: Timestamp) -> Position {
        cursor(of: queue, at: now)?.position ?? .beginning
    }

    /// A claim met as much as it asked for, the last of it at `position`: there may be more after it.
    mutating func advance(_ queue: Turns.Candidate, to position: Position, at now: Timestamp) {
        let lookedAt = cursor(of: queue, at: now)?.lookedAt ?? now
        if cursors.count >= Self.keptMax { cursors = [:] }
        cursors[queue] = Cursor(position: position, lookedAt: lookedAt)
    }

    /// The next look is from the beginning.
    mutating func rewind(_ queue: Turns.Candidate) {
        cursors[queue] = nil
    }

    private func cursor(of queue: Turns.Candidate, at now: Timestamp) -> Cursor? {
        guard let cursor = cursors[queue] else { return nil }
        let age = now - cursor.lookedAt
        return age >= .zero && age < Self.lookEvery ? cursor : nil
    }
}
