package import ReenvioEngine
import Synchronization

/// Counts by name.
package final class HeardBodies: Sendable {
    private let kept = Mutex<[String: Int]>([:])

    package init() {}

    package var counts: [String: Int] { kept.withLock { $0 } }

    package func add(_ name: String) {
        kept.withLock { $0[name, default: 0] += 1 }
    }
}

/// What requests of an intake were answered, by their number.
package final class Answers: Sendable {
    private let kept = Mutex<[Int: Bool]>([:])

    package init() {}

    package var refused: [Int] { kept.withLock { $0.filter { !$0.value }.keys.sorted() } }

    package func add(_ number: Int, _ answer: Intake.Answer) {
        let isDone = if case .success = answer { true } else { false }
        kept.withLock { $0[number] = isDone }
    }
}
