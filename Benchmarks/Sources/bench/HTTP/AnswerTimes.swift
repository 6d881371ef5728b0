import Synchronization

/// When each change was answered.
final class AnswerTimes: Sendable {
    private let times = Mutex<[Int: ContinuousClock.Instant]>([:])

    func note(_ payoutID: Int) {
        times.withLock { $0[payoutID] = .now }
    }

    /// From the answer to a change until its webhook came, in ms, the shortest first; 0 where the webhook was faster.
    func waits(until arrivals: [Int: ContinuousClock.Instant]) -> [Double] {
        let answered = times.withLock { $0 }
        return arrivals.map { id, arrived in
            answered[id].map { max(0, (arrived - $0).seconds * 1_000) } ?? 0
        }.sorted()
    }
}
