import Synchronization

/// The connection of one thread and the transactions on it. A connection that was lost is made again when it is needed,
/// with growing pauses while that fails; what needs it meanwhile fails at once.
final class PostgresSession {
    /// How often a transaction is begun that the server gives up for another one.
    private static let attemptsMax = 5
    static let firstPause: Duration = .milliseconds(50)
    private static let pauseMax: Duration = .seconds(2)

    private let address: PostgresAddress
    private let shared: PostgresShared
    private let plans: PostgresPlans
    private var connection: PostgresConnection?
    private let firstPause: Duration
    private var pause: Duration
    private var refusal: Refusal?

    /// Why no connection could be made, and until when none is tried. Over as soon as any session of the engine has
    /// connected since: then the server is back for all of them.
    private struct Refusal {
        var until: ContinuousClock.Instant
        var connects: Int
        var error: StoreError
    }

    init(
        _ address: PostgresAddress, _ shared: PostgresShared, plans: PostgresPlans, firstPause: Duration = firstPause
    ) {
        self.address = address
        self.shared = shared
        self.plans = plans
        self.firstPause = firstPause
        pause = firstPause
    }

    /// One transaction, run again where nothing of it was committed for certain: the server gave it up for another, or
    /// the connection had been cut while it was idle.
    /// - Parameter deadline: when nobody waits for it any more; it is not begun then, and what runs is given up.
    func write<T>(
        _ begin: [String], by deadline: ContinuousClock.Instant? = nil, _ body: (any SQLConnection) throws -> T
    ) throws -> T {
        var attempt = 1
        var isRepaired = false
        while true {
            let wasOpen = connection != nil
            let connection = try connected(by: deadline)
            do {
                try connection.begin(begin)
                let result = try body(connection)
                try commit(connection)
                return result
            } catch {
                let isConflict = connection.failure?.isConflict == true
                let duplicate = (error as? DuplicateID) ?? connection.failure?.duplicateID.map(DuplicateID.init)
                let wasCut = wasOpen && !connection.hasAnswered && connection.isBroken
                rollBack(connection)
                if wasCut, !connection.isGivenUp { continue }
                if let duplicate {
                    guard !isRepaired else { throw duplicate.storeError }
                    try repairIDs()
                    isRepaired = true
                    continue
                }
                if isConflict { shared.conflicts.add(1, ordering: .relaxed) }
                guard isConflict, attempt < Self.attemptsMax else { throw error }
                try letOthersPass(attempt)
                attempt += 1
            }
        }
    }

    /// A snapshot, or a statement without one where `begin` is empty. Reading may be repeated, so it is, once, where
    /// the connection was lost.
    func read<T>(
        _ begin: [String], by deadline: ContinuousClock.Instant? = nil, _ body: (any SQLConnection) throws -> T
    ) throws -> T {
        var isRepeated = false
        while true {
            let connection = try connected(by: deadline)
            do {
                try connection.begin(begin)
                let result = try body(connection)
                if !begin.isEmpty { _ = try connection.commit() }
                return result
            } catch {
                let isWorthRepeating = connection.isBroken || connection.failure?.isConflict == true
                if begin.isEmpty { dropIfBroken(connection) } else { rollBack(connection) }
                guard isWorthRepeating, !isRepeated, !connection.isGivenUp else { throw error }
                isRepeated = true
            }
        }
    }

    /// Moves the sequences beyond the stored ids and forgets those in stock, in a transaction of its own.
    private func repairIDs() throws {
        let connection = try connected()
        connection.dropIDs()
        do {
            try connection.begin(["BEGIN ISOLATION LEVEL READ COMMITTED"])
            try connection.passStoredIDs()
            try commit(connection)
        } catch {
            rollBack(connection)
            throw error
        }
        shared.idRepairs.add(1, ordering: .relaxed)
    }

    /// Whether the commit took place is unknown where the connection is lost before the answer.
    private func commit(_ connection: PostgresConnection) throws {
        let outcome: String
        do {
            outcome = try connection.commit()
        } catch {
            guard connection.isBroken, connection.hasAnswered else { throw error }
            throw StoreError.unavailable("the connection was lost during a commit; whether it took place is unknown")
        }
        guard outcome == "COMMIT" else {
            throw StoreError.failed("a transaction was rolled back at its end: a failure in it was overlooked")
        }
        if connection.takeUnconfirmed() {
            throw StoreError.unavailable("a commit was not confirmed by the standby; whether it lasts is unknown")
        }
    }

    /// Whoever the transaction was given up for has only just been woken: begun again at once, it would be there first
    /// and lock it out once more.
    private func letOthersPass(_ attempt: Int) throws {
        _ = try connected().command("SELECT pg_sleep(\(attempt) * 0.01)")
    }

    private func rollBack(_ connection: PostgresConnection) {
        try? connection.rollBack()
        dropIfBroken(connection)
    }

    private func dropIfBroken(_ connection: PostgresConnection) {
        if connection.isBroken { self.connection = nil }
    }

    /// For one transaction: what it waits for, it waits for until `deadline`.
    private func connected(by deadline: ContinuousClock.Instant?) throws -> PostgresConnection {
        let connection = try connected()
        if let deadline, ContinuousClock.now >= deadline {
            throw StoreError.unavailable("no connection to the database was free in time")
        }
        connection.deadline = deadline
        return connection
    }

    private func connected() throws -> PostgresConnection {
        if let connection, shared.servers.isCurrent(connection.server) { return connection }
        connection = nil
        let connects = shared.connects.load(ordering: .relaxed)
        if let refusal, refusal.connects == connects, ContinuousClock.now < refusal.until { throw refusal.error }
        do {
            let made = try shared.servers.connect(address, shared, plans: plans)
            shared.connects.add(1, ordering: .relaxed)
            connection = made
            pause = firstPause
            refusal = nil
            return made
        } catch {
            let error = (error as? PostgresError)?.storeError ?? (error as? StoreError) ?? .unavailable("\(error)")
            refusal = Refusal(until: .now + pause, connects: connects, error: error)
            pause = min(pause * 2, Self.pauseMax)
            throw error
        }
    }
}
