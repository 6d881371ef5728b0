import CLibPQ

/// What a server or libpq says of a statement that failed. Values stay out of it: only the primary message is taken,
/// never the detail, which quotes rows.
struct PostgresError: Error {
    /// Five characters of the SQL standard; nil where the connection failed rather than the statement.
    var sqlState: String?
    var message: String
    /// The sequence whose id is stored already, where that is what failed.
    var duplicateID: IDSequence?

    init(sqlState: String?, message: String) {
        self.sqlState = sqlState
        self.message = message
    }

    init(_ result: OpaquePointer?, _ connection: OpaquePointer) {
        // The letters are macros of C's character type.
        func field(_ letter: UInt8) -> String? { PQresultErrorField(result, CInt(letter)).map { String(cString: $0) } }
        sqlState = field(UInt8(ascii: "C"))
        message = field(UInt8(ascii: "M")) ?? Self.message(of: connection)
        if sqlState == "23505", let key = field(UInt8(ascii: "n")), key.hasSuffix(Self.keySuffix) {
            duplicateID = IDSequence(keyOf: key.dropLast(Self.keySuffix.count))
        }
    }

    /// How PostgreSQL names the constraint of a primary key, behind the table's name.
    private static let keySuffix = "_pkey"

    /// libpq's own words, in one line.
    static func message(of connection: OpaquePointer) -> String {
        let lines = String(cString: PQerrorMessage(connection)).split(whereSeparator: \.isNewline)
        return lines.isEmpty ? "no reason given" : lines.map { $0.trimmed }.joined(separator: "; ")
    }

    /// The transaction was given up for another one, and may simply be run again.
    var isConflict: Bool { sqlState == "40001" || sqlState == "40P01" }

    /// The server's last words on a connection: it is shut down, it has crashed, or somebody ended the session. What
    /// libpq says by itself, it says of the connection, too.
    var endsConnection: Bool { sqlState.map(["57P01", "57P02", "57P03", "57P05", "25P03"].contains) ?? true }

    var storeError: StoreError {
        guard let sqlState else { return .unavailable(message) }
        let text = "\(message) [\(sqlState)]"
        if sqlState == "55P03" { return .locked(text) }
        // The classes of SQLSTATE: connection, sign-in, conflict, resources, intervention, system; then: read-only (a
        // standby), no such database.
        let isPassing =
            ["08", "28", "40", "53", "57", "58"].contains(sqlState.prefix(2))
            || ["25006", "3D000"].contains(sqlState)
        return isPassing ? .unavailable(text) : .failed(text)
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var text = drop { $0.isWhitespace }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
