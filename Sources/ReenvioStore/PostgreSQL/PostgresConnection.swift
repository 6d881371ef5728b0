import CLibPQ
import Foundation
import Synchronization

/// What the connections of one engine share.
final class PostgresShared: Sendable {
    let patience: PostgresPatience
    let pulse: PostgresPulse
    /// Messages sent to the server that were answered.
    let roundTrips = Atomic<Int>(0)
    /// Connections of sessions that were made.
    let connects = Atomic<Int>(0)
    /// Transactions that the server gave up for others.
    let conflicts = Atomic<Int>(0)
    /// Times that sequences were moved beyond the ids that are stored.
    let idRepairs = Atomic<Int>(0)
    /// Which of the servers behind the address may be worked on.
    let servers = PostgresServers()

    init(_ patience: PostgresPatience) {
        self.patience = patience
        pulse = PostgresPulse(silence: patience.silence)
    }
}

/// `SQLConnection` over one connection of libpq with its prepared statements; used by one thread at a time.
final class PostgresConnection: SQLConnection {
    /// Statements kept prepared; a text that is put together of parts may make more.
    private static let statementsMax = 1_000

    let dialect = Dialect.postgres
    /// The failure of a statement since the last `begin` or `command`: then the server takes nothing but a rollback.
    private(set) var failure: PostgresError?
    private let handle: OpaquePointer
    private let link: PostgresLink
    private let pipeline: PostgresPipeline
    private let shared: PostgresShared
    /// Whether the server has answered anything since `begin`.
    private(set) var hasAnswered = false
    private var prepared: [StatementKey: String] = [:]
    private var statements = 0
    private var ids = PostgresIDs()
    /// Which server it is on, where that server says.
    var server: ServerIdentity?
    /// Nil where the server plans as it thinks best.
    private var planAge: PlanAge?

    private struct StatementKey: Hashable {
        var sql: String
        var isEffects = false
    }

    /// Connects, and sets what every connection of ours relies on.
    /// - Parameter plans: when a prepared statement is planned.
    /// - Throws: `PostgresError`.
    init(_ address: PostgresAddress, _ shared: PostgresShared, plans: PostgresPlans = .whenItPays) throws {
        handle = try address.connect()
        link = PostgresLink(handle, shared.pulse)
        pipeline = PostgresPipeline(link)
        self.shared = shared
        planAge = plans == .once ? PlanAge() : nil
        link.deadline = .now + shared.patience.silence
        guard PQserverVersion(handle) >= 130_000 else {
            throw PostgresError(sqlState: nil, message: "the server is older than PostgreSQL 13")
        }
        var encoding = ""
        let isWriter = plans == .once
        try query(
            Self.manners,
            [
                .text(plans.rawValue), .text(isWriter ? "off" : "on"), .text(isWriter ? "10s" : "60s"),
                .text("\(shared.patience.lock.inMilliseconds)ms"),
            ]
        ) { encoding = $0.text(0) }
        guard encoding == "UTF8" else {
            throw PostgresError(sqlState: nil, message: "the database has the encoding \(encoding), not UTF8")
        }
        // Some systems cannot; those that can end what nobody waits for any more.
        if PQserverVersion(handle) >= 140_000 {
            try? query("SELECT set_config('client_connection_check_interval', '2s', false)", []) { _ in }
            failure = nil
        }
        guard !isBroken else { throw PostgresError(nil, handle) }
        link.deadline = nil
    }

    /// Each statement is bounded, and so are the wait for a lock and the time that an open transaction may do nothing:
    /// a node whose machine vanished or stands still holds its locks for seconds. A snapshot of a reader, which may be
    /// handed on row by row, locks nothing and has longer. A server that is set to wait for its standbys to
    /// apply a commit keeps to that; no other setting of its makes a commit less durable than `on`. Plans may not
    /// depend on how large a table was when they were made: everything has an index, and where a plan is made once,
    /// rows find others by it one by one.
    private static let manners = """
        SELECT current_setting('server_encoding'),
            set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false),
            set_config('client_encoding', 'UTF8', false),
            set_config('statement_timeout', '30s', false), set_config('lock_timeout', $4, false),
            set_config('idle_in_transaction_session_timeout', $3, false),
            set_config('tcp_keepalives_idle', '3', false), set_config('tcp_keepalives_interval', '1', false),
            set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '5000', false),
            set_config('enable_seqscan', 'off', false), set_config('jit', 'off', false),
            set_config('enable_mergejoin', $2, false), set_config('enable_hashjoin', $2, false),
            set_config('plan_cache_mode', $1, false)
        """

    /// Not always known to libpq at once: it takes what a server that goes has to say for a good connection.
    var isBroken: Bool { isGivenUp || failure?.endsConnection == true || PQstatus(handle) != CONNECTION_OK }

    /// Whether an answer was waited for in vain: nobody should wait for it once more.
    var isGivenUp: Bool { link.isGivenUp }

    /// When the transaction that begins next is not waited for any more; nil: when the server is silent.
    var deadline: ContinuousClock.Instant? {
        get { link.deadline }
        set { link.deadline = newValue }
    }

    // MARK: SQLConnection

    func run(_ sql: String, _ parameters: [SQLValue]) throws -> Int {
        let text = dialect.rewrite(sql)
        if parameters.isEmpty, !Self.isQuery(text) {
            _ = try command(text)
            return 0
        }
        return try execute(StatementKey(sql: sql), { text }, PostgresParameters(parameters)) { _ in }
    }

    func query(_ sql: String, _ parameters: [SQLValue], _ row: (any SQLRow) throws -> Void) throws {
        _ = try execute(
            StatementKey(sql: sql), { dialect.rewrite(sql) }, PostgresParameters(parameters), row)
    }

    func batch(_ sql: String, _ rows: SQLRows, _ row: (any SQLRow) throws -> Void) throws -> Int {
        if rows.isEmpty { return 0 }
        return try execute(
            StatementKey(sql: sql), { dialect.rewrite(sql, rows: rows.columns) }, PostgresParameters(rows), row)
    }

    func send(_ sql: String, _ rows: SQLRows) throws {
        if rows.isEmpty { return }
        try post(StatementKey(sql: sql), { dialect.rewrite(sql, rows: rows.columns) }, PostgresParameters(rows))
    }

    func effects(_ sql: String, _ rows: SQLRows) throws -> [Bool] {
        var effects = [Bool](repeating: false, count: rows.count)
        if rows.isEmpty { return effects }
        _ = try execute(
            StatementKey(sql: sql, isEffects: true), { dialect.rewrite(sql, rows: rows.columns, .effects) },
            PostgresParameters(rows)
        ) { effects[Int($0.int(0)) - 1] = true }
        return effects
    }

    func nextIDs(_ sequence: IDSequence, _ count: Int) throws -> [Int64] {
        if count == 0 { return [] }
        var ids = self.ids.take(count, of: sequence)
        let missing = Int64(count - ids.count)
        if missing > 0 {
            let block = sequence.blockSize
            var drawn: [Int64] = []
            try query(
                "SELECT nextval('\(sequence.postgresName)') FROM generate_series(1, $1)",
                [.int((missing + block - 1) / block)]
            ) { drawn += $0.int(0)..<$0.int(0) + block }
            ids += drawn.prefix(Int(missing))
            self.ids.put(drawn.dropFirst(Int(missing)), of: sequence)
        }
        return ids.sorted()
    }

    func pass(_ sequence: IDSequence, _ id: Int64) throws {
        let name = sequence.postgresName
        try query(
            "SELECT setval('\(name)', $1) FROM \(name) WHERE last_value < $1 OR (last_value = $1 AND NOT is_called)",
            [.int(id)]
        ) { _ in }
    }

    func idCeiling(_ sequence: IDSequence) throws -> Int64 {
        try first(
            "SELECT CASE WHEN is_called THEN last_value + $1 ELSE last_value END FROM \(sequence.postgresName)",
            [.int(sequence.blockSize)]
        ) { $0.int(0) } ?? 0
    }

    /// Forgets the ids that it has in stock, which others may have stored.
    func dropIDs() {
        ids = PostgresIDs()
    }

    // MARK: libpq

    /// Begins a transaction with the next statement that is waited for.
    func begin(_ statements: [String]) throws {
        failure = nil
        _ = link.takeUnconfirmed()
        hasAnswered = false
        var statements = statements
        // Behind BEGIN, so that it costs no message.
        if planAge?.isOver() == true { statements.append("DISCARD PLANS") }
        for statement in statements { try sending { () throws(PostgresError) in try pipeline.post(statement) } }
    }

    /// Returns what the server did: `COMMIT`, or `ROLLBACK` where a statement before had failed. It goes out with the
    /// last statements, and alone where none was answered: before that the connection may have been lost for hours, and
    /// then nothing was committed for certain.
    func commit() throws -> String {
        if !hasAnswered { try settle() }
        // A server that waits for its standby goes on with that, whoever waits here: more connections would only join
        // this one. Its caller is answered in time all the same.
        link.deadline = nil
        guard pipeline.count > 0 else { return try command("COMMIT") }
        try sending { () throws(PostgresError) in try pipeline.post("COMMIT") }
        let result = try answer()
        defer { PQclear(result) }
        return String(cString: PQcmdStatus(result))
    }

    /// Whether what was committed may be lost, because the server gave up waiting for its standby.
    func takeUnconfirmed() -> Bool { link.takeUnconfirmed() }

    /// From here to the end of the transaction, in the place of what holds for every other.
    func waitForLocks(atMost wait: Duration) throws {
        try sending { () throws(PostgresError) in
            try pipeline.post("SET LOCAL lock_timeout = \(max(1, wait.inMilliseconds))")
        }
    }

    /// Whatever else has failed meanwhile.
    func rollBack() throws {
        PQclear(pipeline.answers().last)
        if !isBroken { _ = try command("ROLLBACK") }
    }

    /// Runs a statement without parameters, not prepared, and returns what the server did.
    func command(_ sql: String) throws -> String {
        try settle()
        failure = nil
        let result = try alone { PQsendQuery(handle, sql) }
        defer { PQclear(result) }
        return String(cString: PQcmdStatus(result))
    }

    var socket: CInt { PQsocket(handle) }

    /// Reads what the server sent by itself, and returns how many notifications were in it.
    /// - Throws: `PostgresError` where the connection is lost.
    func takeNotifications() throws -> Int {
        guard PQconsumeInput(handle) == 1 else { throw PostgresError(nil, handle) }
        var count = 0
        while let notification = PQnotifies(handle) {
            PQfreemem(notification)
            count += 1
        }
        return count
    }

    private static func isQuery(_ sql: String) -> Bool {
        ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains { sql.hasPrefix($0) }
    }

    /// Prepares where it is new, executes, hands over the rows, and returns how many were changed or read.
    private func execute(
        _ key: StatementKey, _ text: () -> String, _ parameters: PostgresParameters, _ row: (any SQLRow) throws -> Void
    ) throws -> Int {
        let result: OpaquePointer
        if pipeline.count > 0 {
            try post(key, text, parameters)
            result = try answer()
        } else {
            let name = try prepared[key] ?? prepare(key, text(), parameters.types)
            result = try alone {
                parameters.withPointers { count, values, lengths, formats in
                    PQsendQueryPrepared(handle, name, count, values, lengths, formats, 1)
                }
            }
        }
        defer { PQclear(result) }
        for index in 0..<PQntuples(result) { try row(PostgresRow(result: result, index: index)) }
        return Int(String(cString: PQcmdTuples(result))) ?? 0
    }

    private func post(_ key: StatementKey, _ text: () -> String, _ parameters: PostgresParameters) throws {
        let name = try prepared[key] ?? prepare(key, text(), parameters.types)
        try sending { () throws(PostgresError) in try pipeline.post(prepared: name, parameters) }
    }

    private func prepare(_ key: StatementKey, _ text: String, _ types: [Oid]) throws -> String {
        try settle()
        if prepared.count >= Self.statementsMax {
            _ = try command("DEALLOCATE ALL")
            prepared = [:]
        }
        statements += 1
        let name = "s\(statements)"
        PQclear(try alone { PQsendPrepare(handle, name, text, CInt(types.count), types) })
        prepared[key] = name
        return name
    }

    /// Waits for whatever was sent.
    private func settle() throws {
        if pipeline.count > 0 { PQclear(try answer()) }
    }

    /// The answer to what was sent last.
    private func answer() throws -> OpaquePointer {
        shared.roundTrips.add(1, ordering: .relaxed)
        let (last, failure) = pipeline.answers()
        guard let last else { throw noted(failure ?? PostgresError(nil, handle)) }
        hasAnswered = true
        return last
    }

    private func sending(_ send: () throws(PostgresError) -> Void) throws {
        do { try send() } catch { throw noted(error) }
    }

    /// Sends one statement and waits for its answer.
    private func alone(_ send: () -> CInt) throws -> OpaquePointer {
        shared.roundTrips.add(1, ordering: .relaxed)
        guard send() == 1 else { throw noted(PostgresError(nil, handle)) }
        let result: OpaquePointer?
        do { result = try link.answer() } catch { throw noted(error) }
        if let result, PostgresPipeline.isFine(result) {
            hasAnswered = true
            return result
        }
        let error = PostgresError(result, handle)
        PQclear(result)
        throw noted(error)
    }

    private func noted(_ error: PostgresError) -> StoreError {
        failure = error
        return error.storeError
    }
}

/// When the server plans a prepared statement.
enum PostgresPlans: String {
    /// Once, whatever its parameters: right for statements that find everything by its key, thousands of times. The
    /// server would count what is in the arrays each time, and plan again.
    case once = "force_generic_plan"
    /// As it thinks best: right for those that look into a range, which may hold one row or a million.
    case whenItPays = "auto"
}
