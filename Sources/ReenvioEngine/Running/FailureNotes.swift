import ReenvioStore

/// What a loop does about steps that fail: a pause that grows, and one line a minute for what repeats.
package struct FailureNotes {
    private struct Note {
        var saidAt: ContinuousClock.Instant
        var unsaid = 0
    }

    private static let sayEvery: Duration = .seconds(60)
    private static let pauseAtFirst: Duration = .seconds(1)
    private static let pauseAtMost: Duration = .seconds(30)
    /// Different errors that are remembered.
    private static let notesMax = 100

    private var pause = pauseAtFirst
    private var notes: [String: Note] = [:]

    package init() {}

    /// How long to wait before the next step, and how many equal failures to report in a line now; nil for no line.
    package mutating func failed(
        _ error: any Error, now: ContinuousClock.Instant
    ) -> (pause: Duration, count: Int?) {
        (pauseAfter(error), failed("\(error)", now: now))
    }

    package mutating func succeeded() {
        pause = Self.pauseAtFirst
    }

    /// A store that cannot be used now may be back in a second; what failed otherwise mostly fails again.
    private mutating func pauseAfter(_ error: any Error) -> Duration {
        switch error {
        case StoreError.unavailable, StoreError.locked:
            succeeded()
            return Self.pauseAtFirst
        default: break
        }
        defer { pause = min(Self.pauseAtMost, pause * 2) }
        return pause
    }

    /// How many equal failures to report in a line now; nil for no line.
    package mutating func failed(_ text: String, now: ContinuousClock.Instant) -> Int? {
        guard var note = notes[text], now - note.saidAt < Self.sayEvery else {
            let count = (notes[text]?.unsaid ?? 0) + 1
            if notes.count >= Self.notesMax { notes.removeAll() }
            notes[text] = Note(saidAt: now)
            return count
        }
        note.unsaid += 1
        notes[text] = note
        return nil
    }
}
