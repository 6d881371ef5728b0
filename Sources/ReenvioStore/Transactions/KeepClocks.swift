package import ReenvioModel

/// What stands in the store of engine time.
package struct StoredEngineTime: Sendable, Equatable {
    /// The highest that was written with a claim; nil before the first.
    package var highest: Timestamp?
    /// How far it was ahead of the wall clock then.
    package var ahead: Duration
    /// Changes whenever a running node answers one that starts.
    package var answer: String?
}

/// Engine time in the store (`docs/decisions/0009-two-clocks.md`): rows of `meta`, written with the claims.
enum EngineTimes {
    static let highest = "engine_time"
    static let ahead = "engine_ahead"
    /// A node that starts asks by a random number; one that runs answers.
    static let question = "engine_asked"
    static let answer = "engine_told"
    static let names = [highest, ahead]

    /// - Parameter ahead: of the wall clock.
    static func note(_ now: Timestamp, ahead span: Duration, in db: any SQLConnection) throws {
        var rows = SQLRows([("name", .text), ("value", .text)])
        rows.append([.text(ahead), .text("\(span.microseconds)")])
        rows.append([.text(highest), .text("\(now.microseconds)")])
        try db.send(save, rows)
    }

    /// Whether anything is open that has a due time.
    static func isNeeded(in db: any SQLConnection) throws -> Bool {
        try db.first("SELECT 1 FROM deliveries ORDER BY merchant_id, id LIMIT 1") { $0.int(0) } != nil
    }

    private static let save = """
        INSERT INTO meta (name, value) SELECT rows.name, rows.value FROM {rows} WHERE true
        ON CONFLICT (name) DO UPDATE SET value = CASE
            WHEN excluded.name = 'engine_time' AND CAST(meta.value AS BIGINT) > CAST(excluded.value AS BIGINT)
            THEN meta.value ELSE excluded.value END
        """

    static func put(_ name: String, _ value: String, in db: any SQLConnection) throws {
        try db.run(
            """
            INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value
            """, [.text(name), .text(value)])
    }

    static func text(_ name: String, in db: any SQLConnection) throws -> String? {
        try db.first("SELECT value FROM meta WHERE name = $1", [.text(name)]) { $0.text(0) }
    }
}

extension Store {
    package func engineTime() async throws -> StoredEngineTime {
        try await engine.lookup { db in
            let highest = try EngineTimes.text(EngineTimes.highest, in: db).flatMap { Int64($0) }
            let ahead = try EngineTimes.text(EngineTimes.ahead, in: db).flatMap { Int64($0) } ?? 0
            return StoredEngineTime(
                highest: highest.map(Timestamp.init(microseconds:)), ahead: .microseconds(ahead),
                answer: try EngineTimes.text(EngineTimes.answer, in: db))
        }
    }

    /// Engine time for a command beside a server, as far ahead of the wall clock as the server last said.
    package func engineNow(wall: Timestamp) async throws -> Timestamp {
        wall + (try await engineTime().ahead)
    }

    /// Asks the running nodes what their engine time is.
    /// - Parameter question: random; not the one asked before.
    package func askEngineTime(_ question: UInt64) async throws {
        try await engine.write(.intake) { db in
            try EngineTimes.put(EngineTimes.question, "\(question)", in: db)
        }
    }

    /// The server's time for engine times to follow, and what a node that starts asks; nil where nodes share no server.
    package func serverMoment() async throws -> (time: Timestamp, question: String?)? {
        guard engine.sharing != nil else { return nil }
        return try await engine.lookup { db in
            try db.dialect.serverTime.flatMap { sql in
                try db.first("\(sql), (SELECT value FROM meta WHERE name = '\(EngineTimes.question)')") {
                    (time: $0.time(0), question: $0.textIfPresent(1))
                }
            }
        }
    }

    /// Answers a node that starts. `now` is engine time.
    package func tellEngineTime(_ now: Timestamp, ahead: Duration) async throws {
        try await engine.write(.intake) { db in
            try EngineTimes.put(EngineTimes.answer, "\(now.microseconds)", in: db)
            try EngineTimes.note(now, ahead: ahead, in: db)
        }
    }

    // MARK: The wall clock

    private static let trusted = "trusted_time"
    /// What a copy to another store takes along.
    static let copiedTimes = EngineTimes.names + [trusted]

    package func trustedTime() async throws -> TrustedTime? {
        try await engine.lookup { db in try EngineTimes.text(Self.trusted, in: db).flatMap { TrustedTime($0) } }
    }

    /// Stores the last good moment of the wall clock. One that an operator accepted meanwhile stays.
    package func keepTrustedTime(_ time: TrustedTime) async throws {
        try await engine.write(.janitor) { db in
            let known = try EngineTimes.text(Self.trusted, in: db).flatMap { TrustedTime($0) }
            if let known, known.acceptances > time.acceptances { return }
            try EngineTimes.put(Self.trusted, time.text, in: db)
        }
    }

    /// An operator says that the wall clock is right; running servers learn it within a minute.
    package func acceptClock(_ reading: ClockReading, by requester: Requester) async throws {
        try await engine.write(.intake) { db in
            let known = try EngineTimes.text(Self.trusted, in: db).flatMap { TrustedTime($0) }
            let accepted = TrustedTime(reading, acceptances: (known?.acceptances ?? 0) + 1)
            try EngineTimes.put(Self.trusted, accepted.text, in: db)
            let entry = Audit.Entry(
                at: reading.wall, accountID: nil, by: requester, action: "clock.accept",
                target: TimeText.zulu(reading.wall),
                parameters: known.map { "last good \(TimeText.zulu($0.reading.wall))" } ?? "")
            try Audit.write(entry, in: db)
        }
    }
}
