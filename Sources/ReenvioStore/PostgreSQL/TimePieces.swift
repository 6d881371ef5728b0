import ReenvioModel

/// A history on PostgreSQL: cut by time into pieces of about a thirtieth of how long it is kept. Besides these there
/// are the piece of everything from before the cutting, and one for rows whose time no piece has (clocks may jump).
struct TimePieces {
    let table: String
    /// The column of the time, in microseconds.
    let time: String
    let key: String
    /// An index besides the key.
    var index: (name: String, text: String)?

    static let settled = TimePieces(
        table: "settled", time: "ended_at", key: "merchant_id, object_id, delivery_id",
        index: (
            "settled_of_resend",
            "(merchant_id, resend_id, object_id, registration_id, delivery_id) WHERE resend_id IS NOT NULL"
        ))
    static let attempts = TimePieces(
        table: "attempts", time: "started_at", key: "merchant_id, delivery_id, number, attempt_id")
    static let all = [settled, attempts]

    private static let dayMicroseconds: Int64 = 86_400_000_000

    /// One piece, from `from` (nil: everything before) to before `until`.
    struct Piece: Equatable {
        var name: String
        var from: Int64?
        var until: Int64
    }

    var rest: String { table + "_rest" }
    private var history: String { table + "_history" }

    // MARK: Cutting

    /// Turns the table that there is into the first piece of a new one, without writing its rows again.
    var cutting: [String] {
        let bound = "greatest(extract(epoch FROM clock_timestamp()) * 1000000, (SELECT max(\(time)) FROM \(history)))"
        let day = Self.dayMicroseconds
        return [
            "ALTER TABLE \(table) RENAME TO \(history)",
            "ALTER TABLE \(history) DROP CONSTRAINT \(table)_pkey",
            index.map { "DROP INDEX \($0.name)" },
            """
            CREATE TABLE \(table) (LIKE \(history) INCLUDING DEFAULTS, PRIMARY KEY (\(key), \(time)))
                PARTITION BY RANGE (\(time))
            """,
            index.map { "CREATE INDEX \($0.name) ON \(table) \($0.text)" },
            """
            DO $$ BEGIN
                EXECUTE format('ALTER TABLE \(table) ATTACH PARTITION \(history) FOR VALUES FROM (MINVALUE) TO (%s)',
                    (floor(\(bound) / \(day))::bigint + 1) * \(day));
            END $$
            """,
            "CREATE TABLE \(rest) PARTITION OF \(table) DEFAULT",
        ].compactMap { $0 }
    }

    // MARK: Pieces

    /// The pieces in order, without `rest`.
    func pieces(in db: any SQLConnection) throws -> [Piece] {
        let found = try db.all(
            """
            SELECT c.relname, pg_get_expr(c.relpartbound, c.oid)
            FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = to_regclass($1)
            """, [.text(table)]
        ) { (name: $0.text(0), bounds: $0.text(1)) }
        return found.compactMap { name, bounds in
            let numbers = bounds.split { !$0.isNumber }.compactMap { Int64($0) }
            guard let until = numbers.last else { return nil }
            return Piece(name: name, from: numbers.count > 1 ? numbers.first : nil, until: until)
        }.sorted { $0.until < $1.until }
    }

    /// How much a piece holds of what is kept for so long.
    static func days(keptSeconds: Int64) -> Int64 { max(1, keptSeconds / 86_400 / 30) }

    /// Rows from before this are deleted one by one: on PostgreSQL those that no piece of time takes with it, and all
    /// where they are kept for a shorter time than a piece is worth.
    static func rowCutoff(_ kind: Retention.Kind, _ retention: Retention, _ now: Timestamp, _ dialect: Dialect)
        -> Timestamp
    {
        let kept = retention.seconds[kind, default: 0]
        let cutoff = retention.cutoff(kind, now: now)
        return dialect.cutsHistories && kept >= 2 * 86_400
            ? cutoff - .seconds(days(keptSeconds: kept) * 86_400) : cutoff
    }

    /// Makes sure that there is a piece for now and one behind it; how many were made.
    func extend(now: Timestamp, keptSeconds: Int64, in db: any SQLConnection) throws -> Int {
        var made = 0
        let width = Self.days(keptSeconds: keptSeconds) * Self.dayMicroseconds
        guard var end = try pieces(in: db).last?.until else { return 0 }
        while end < now.microseconds + width {
            // What no piece had stays where it is, and the next piece begins behind it.
            let stray = try db.first("SELECT max(\(time)) FROM \(rest) WHERE \(time) >= $1", [.int(end)]) {
                $0.intIfPresent(0)
            }
            if let found = stray, let latest = found { end = Self.startOfDay(latest) + Self.dayMicroseconds }
            let until = max(end, Self.startOfDay(now.microseconds)) + width
            let name = "\(table)_\(TimeText.zulu(Timestamp(microseconds: end)).prefix(10).filter { $0 != "-" })"
            let options = HotTables.settings.first { $0.table == table }?.options
            try db.run(
                "CREATE TABLE \(name) (LIKE \(table) INCLUDING DEFAULTS)" + (options.map { " WITH (\($0))" } ?? ""))
            try db.run("ALTER TABLE \(table) ATTACH PARTITION \(name) FOR VALUES FROM (\(end)) TO (\(until))")
            end = until
            made += 1
        }
        return made
    }

    private static func startOfDay(_ microseconds: Int64) -> Int64 {
        microseconds - microseconds % dayMicroseconds
    }
}
