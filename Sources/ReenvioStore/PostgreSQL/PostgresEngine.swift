import Synchronization

/// A PostgreSQL that nodes share: readers in snapshots and writers side by side, each on a thread and a connection of
/// its own. Needs PostgreSQL 13 or later, a database in UTF-8, and a session per connection: a pooler in front must not
/// pool transactions.
package final class PostgresEngine: StoreEngine {
    private let readers: PostgresThreads
    private let writers: PostgresThreads
    private let watch: PostgresWatch
    private let shared: PostgresShared
    private let address: PostgresAddress
    private let startThread: SystemThread.Start
    private let announcedAt = Mutex<ContinuousClock.Instant?>(nil)

    /// Connects once, to tell at once what is wrong with the address.
    /// - Parameter firstPause: how long a thread that could not connect fails what needs it, before it tries again.
    /// - Throws: `StoreError.notOurs` for another program's database, `.unavailable` where it cannot be reached or
    ///   this machine has no thread for it.
    package init(
        _ address: PostgresAddress, readers: Int = 4, writers: Int = 4, patience: PostgresPatience = .unhurried,
        firstPause: Duration = PostgresSession.firstPause,
        startThread: @escaping SystemThread.Start = SystemThread.start
    ) throws {
        self.address = address
        self.startThread = startThread
        let shared = PostgresShared(patience)
        self.shared = shared
        do {
            shared.servers.survey(address, shared)
            try Self.refuseForeignDatabase(try shared.servers.connect(address, shared))
        } catch let error as PostgresError {
            throw error.storeError
        }
        let readers = try PostgresThreads(
            "reenvio reader", count: readers, lineMax: patience.line, startThread: startThread
        ) {
            PostgresSession(address, shared, plans: .whenItPays, firstPause: firstPause)
        }
        self.readers = readers
        do {
            self.writers = try PostgresThreads(
                "reenvio writer", count: writers, lineMax: patience.line, keepsOneFree: true, startThread: startThread
            ) {
                PostgresSession(address, shared, plans: .once, firstPause: firstPause)
            }
        } catch {
            readers.stop()
            throw error
        }
        do {
            watch = try PostgresWatch([self.readers, self.writers], shared.pulse, startThread: startThread) {
                _ = try? shared.servers.connect(address, shared)
            }
        } catch {
            readers.stop()
            self.writers.stop()
            throw error
        }
    }

    package var patience: Duration? { shared.patience.call }

    package var dropped: Int { readers.dropped + writers.dropped }

    /// Messages to the server so far, over all connections.
    package var roundTrips: Int { shared.roundTrips.load(ordering: .relaxed) }

    /// Transactions so far that the server gave up for others, mostly to end a deadlock. They were run again.
    package var conflicts: Int { shared.conflicts.load(ordering: .relaxed) }

    package var idRepairs: Int { shared.idRepairs.load(ordering: .relaxed) }

    package func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await run(on: readers, .intake, isBounded: false) { session, _ in
            try session.read(["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"], body)
        }
    }

    package func lookup<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await run(on: readers, .intake) { session, deadline in try session.read([], by: deadline, body) }
    }

    package func write<T: Sendable>(
        _ priority: WritePriority, _ body: @escaping @Sendable (any SQLConnection) throws -> T
    ) async throws -> T {
        let begin = Self.begin(priority)
        let isBounded = [.changes, .intake, .outcomes, .claims].contains(priority)
        return try await run(on: writers, priority, isBounded: isBounded) { session, deadline in
            try session.write(begin, by: deadline, body)
        }
    }

    package var sharing: (any StoreSharing)? { self }

    package func close() throws {
        for threads in [readers, writers] { threads.stop() }
        for threads in [readers, writers] { threads.join() }
        watch.stop()
    }

    deinit {
        // Perhaps on one of their threads, so without waiting for their end.
        for threads in [readers, writers] { threads.stop() }
        watch.stop()
    }

    /// A claim that is lost with a server comes due again by itself, so it need not wait for the disk.
    private static func begin(_ priority: WritePriority) -> [String] {
        let begin = ["BEGIN ISOLATION LEVEL READ COMMITTED"]
        return priority == .claims ? begin + ["SET LOCAL synchronous_commit = off"] : begin
    }

    /// - Parameter isBounded: whether the answer is waited for no longer than for a connection and it together.
    private func run<T: Sendable>(
        on threads: PostgresThreads, _ priority: WritePriority, isBounded: Bool = true,
        _ body: @escaping @Sendable (PostgresSession, ContinuousClock.Instant?) throws -> T
    ) async throws -> T {
        let patience = shared.patience
        let wait = isBounded || threads === readers ? patience.call : patience.background
        return try await withCheckedThrowingContinuation { continuation in
            let caller = PostgresCaller(continuation)
            let beginsBy = ContinuousClock.now + wait
            let endsBy = isBounded ? beginsBy : nil
            let job = PostgresJob(
                priority: priority, beginsBy: beginsBy, endsBy: endsBy,
                run: { session in caller.answer(Result { try body(session, endsBy) }) },
                refuse: { caller.answer(.failure($0)) })
            threads.submit(job)
            watch.wake()
        }
    }

    /// A schema with tables and none of ours is somebody else's.
    private static func refuseForeignDatabase(_ connection: PostgresConnection) throws {
        let found = try connection.first(
            """
            SELECT current_database(), current_schema(), to_regclass('merchant_clocks') IS NOT NULL, (
                SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p'))
            """
        ) { row in
            (database: row.text(0), schema: row.textIfPresent(1), isOurs: row.bool(2), tables: row.int(3))
        }
        guard let found else { return }
        guard found.schema != nil else {
            throw StoreError.unavailable("the database has no schema of its search_path")
        }
        if !found.isOurs, found.tables > 0 { throw StoreError.notOurs(found.database) }
    }
}

extension PostgresEngine: StoreSharing {
    package var serverNews: ServerNews { shared.servers.news }

    /// Others are woken so often at the most; in between they have just looked.
    private static let announcesEvery: Duration = .milliseconds(50)

    package func announce() {
        let now = ContinuousClock.now
        let isDue = announcedAt.withLock { last in
            if let last, now - last < Self.announcesEvery { return false }
            last = now
            return true
        }
        guard isDue else { return }
        // A hint: one that cannot be given is none.
        let beginsBy = now + shared.patience.call
        let job = PostgresJob(
            priority: .intake, beginsBy: beginsBy, endsBy: beginsBy,
            run: { session in
                try? session.read([], by: beginsBy) {
                    try $0.query("SELECT pg_notify(\(PostgresListener.channel), '')", []) { _ in }
                }
            }, refuse: { _ in })
        readers.submit(job)
        watch.wake()
    }

    package func listen(_ ring: @escaping @Sendable () -> Void) throws -> any StoreListening {
        try PostgresListener(address, shared, startThread: startThread, ring)
    }
}
