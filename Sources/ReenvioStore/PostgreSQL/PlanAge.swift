/// How long the plans of a connection are kept. A plan that was right for a table of one row reads the whole of it, and
/// is wrong once there are thousands: plans are made again after twice as many transactions each time, so that a store
/// which grows has those that are right for it, and after a minute, for others make it grow, too.
struct PlanAge {
    private static let mostTransactions = 4_096
    private static let longest: Duration = .seconds(60)

    private var madeAt = ContinuousClock.now
    private var transactions = 0
    private var most = 2

    /// Counts a transaction, and says whether plans are to be made again before it.
    mutating func isOver() -> Bool {
        transactions += 1
        let now = ContinuousClock.now
        guard transactions > most || now - madeAt > Self.longest else { return false }
        madeAt = now
        most = min(most * 2, Self.mostTransactions)
        transactions = 0
        return true
    }
}
