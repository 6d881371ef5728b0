import Synchronization

/// The connection of one thread and the transactions on it. A connection that was lost is made again when it is needed,
/// with growing pauses while that fails; what needs it meanwhile fails at once.
final class PostgresSession {
    /// How often a transaction is begun that the server gives up for another one.
    private static let attemptsMax = 5
    private static let firstPause: Duration = .milliseconds(50)
    private static let pauseMax: Duration = .seconds(2)

    private let address: PostgresAddress
    private let shared: PostgresShared
    private let plans: PostgresPlans
    private var connection: PostgresConnection?
    private var pause = firstPause
    private var refusal: (until: ContinuousClock.Instant, error: StoreError)?

    init(_ address: PostgresAddress, _ shared: PostgresShared, plans: PostgresPlans) {
        self.address = address
        self.shared = shared
        self.plans = plans
    }

    /// One transaction, run again where the server gave it up for another: nothing of it was committed then.
    func write<T>(_ begin: String, _ body: (any SQLConnection) throws -> T) throws -> T {
        var attempt = 1
        while true {
            let connection = try begun(begin)
            do {
                let result = try body(connection)
                try commit(connection)
                return result
            } catch {
                let isConflict = connection.failure?.isConflict == true
                rollBack(connection)
                if isConflict { shared.conflicts.add(1, ordering: .relaxed) }
                guard isConflict, attempt < Self.attemptsMax else { throw error }
                attempt += 1
            }
        }
    }

    /// A snapshot, or a statement without one where `begin` is nil. Reading may be repeated, so it is, once, where the
    /// connection was lost.
    func read<T>(_ begin: String?, _ body: (any SQLConnection) throws -> T) throws -> T {
        var isRepeated = false
        while true {
            let connection = try begin.map { try begun($0) } ?? connected()
            do {
                let result = try body(connection)
                if begin != nil { _ = try connection.command("COMMIT") }
                return result
            } catch {
                let isWorthRepeating = connection.isBroken || connection.failure?.isConflict == true
                if begin == nil { dropIfBroken(connection) } else { rollBack(connection) }
                guard isWorthRepeating, !isRepeated else { throw error }
                isRepeated = true
            }
        }
    }

    /// Whether the commit took place is unknown where the connection is lost before the answer.
    private func commit(_ connection: PostgresConnection) throws {
        let outcome: String
        do {
            outcome = try connection.command("COMMIT")
        } catch {
            guard connection.isBroken else { throw error }
            throw StoreError.unavailable("the connection was lost during a commit; whether it took place is unknown")
        }
        guard outcome == "COMMIT" else {
            throw StoreError.failed("a transaction was rolled back at its end: a failure in it was overlooked")
        }
    }

    private func rollBack(_ connection: PostgresConnection) {
        if !connection.isBroken { _ = try? connection.command("ROLLBACK") }
        dropIfBroken(connection)
    }

    private func dropIfBroken(_ connection: PostgresConnection) {
        if connection.isBroken { self.connection = nil }
    }

    /// A connection inside a new transaction. One that was cut while it was idle is noticed here, and made again.
    private func begun(_ begin: String) throws -> PostgresConnection {
        let wasOpen = connection != nil
        let connection = try connected()
        do {
            _ = try connection.command(begin)
            return connection
        } catch {
            rollBack(connection)
            guard wasOpen, self.connection == nil else { throw error }
            let fresh = try connected()
            _ = try fresh.command(begin)
            return fresh
        }
    }

    private func connected() throws -> PostgresConnection {
        if let connection { return connection }
        if let refusal, ContinuousClock.now < refusal.until { throw refusal.error }
        do {
            let made = try PostgresConnection(address, shared, plans: plans)
            connection = made
            pause = Self.firstPause
            refusal = nil
            return made
        } catch {
            let error = (error as? PostgresError)?.storeError ?? (error as? StoreError) ?? .unavailable("\(error)")
            refusal = (ContinuousClock.now + pause, error)
            pause = min(pause * 2, Self.pauseMax)
            throw error
        }
    }
}
