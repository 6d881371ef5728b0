package import ReenvioModel

/// A page of a user's resend logs, newest first.
package struct LogPage: Sendable {
    package var logs: [ResendLog]
    /// Whether anything under the same filters is older than the last row, or newer than the first.
    package var hasOlder: Bool
    package var hasNewer: Bool
}

extension Store {
    /// The logs that a user asked for, and nobody else's (`docs/contract.md` 7), in one snapshot. Each page begins at
    /// its place in an index, so that a deep one costs what the first one does.
    package func listLogs(_ query: ResendLogQuery, userID: Int64) async throws -> LogPage {
        try await engine.read { db in
            let list = LogList(query.filters, userID: userID)
            let forward = query.direction == .next
            var logs = try list.rows(query.cursor, query.direction, limit: query.limit + 1, in: db)
            let goesOn = logs.count > query.limit
            logs = Array(logs.prefix(Int(query.limit)))
            if !forward { logs.reverse() }
            // Without a cursor it is the first page, whatever is newer by the time it is read.
            let edge = forward ? logs.first : logs.last
            var isBehind = false
            if let edge, query.cursor != nil {
                let cursor = ResendLogQuery.Cursor(createdAt: edge.createdAt, id: edge.id)
                isBehind = try !list.rows(cursor, forward ? .previous : .next, limit: 1, in: db).isEmpty
            }
            return LogPage(
                logs: logs, hasOlder: forward ? goesOn : isBehind, hasNewer: forward ? isBehind : goesOn)
        }
    }

    /// One log, whoever's it is.
    package func resendLog(id: Int64) async throws -> ResendLog? {
        try await engine.lookup { db in
            try db.first("\(LogList.columns) WHERE id = $1 AND log_status IS NOT NULL", [.int(id)], LogList.log)
        }
    }
}

/// The list under one user's filters: constant texts chosen by what was asked for; every value is a parameter.
///
/// There is an index for each filter, for account and status together, and for none (`Tables.resends`). Few logs are of
/// one object, so with an object that index leads, and the other filters are written so that no index fits them: they
/// only sift what it finds.
package struct LogList {
    private var conditions = "user_id = $1"
    private var parameters: [SQLValue]

    package init(_ filters: ResendLogQuery.Filters, userID: Int64) {
        parameters = [.int(userID)]
        if let id = filters.objectID { add("object_id =", .int(id)) }
        let sifts = filters.objectID != nil
        if let id = filters.mirrorID { add(sifts ? "coalesce(mirror_id, 0) =" : "mirror_id =", .int(id)) }
        if let status = filters.status {
            add(sifts ? "coalesce(log_status, '') =" : "log_status =", .text(status.rawValue))
        }
    }

    private mutating func add(_ condition: String, _ value: SQLValue) {
        parameters.append(value)
        conditions += " AND \(condition) $\(parameters.count)"
    }

    /// Rows beyond the cursor, the nearest first: those of its second, then the others. Two statements, because SQLite
    /// finds the place of `(started_at, id) < (a, b)` in an index by the time alone where `id` is the row's number, and
    /// would step over all rows of that second.
    func rows(
        _ cursor: ResendLogQuery.Cursor?, _ direction: ResendLogQuery.Direction, limit: Int64, in db: any SQLConnection
    ) throws -> [ResendLog] {
        var found: [ResendLog] = []
        for span in cursor.map({ [Span.sameMoment($0), .beyond($0)] }) ?? [.all] {
            let left = limit - Int64(found.count)
            if left == 0 { break }
            let (sql, parameters) = statement(span, direction, limit: left)
            found += try db.all(sql, parameters, Self.log)
        }
        return found
    }

    /// A part of the list.
    package enum Span {
        case all
        /// Rows of the cursor's very time, on the side that is asked for.
        case sameMoment(ResendLogQuery.Cursor)
        /// Rows of other times.
        case beyond(ResendLogQuery.Cursor)
    }

    /// A statement of `rows`.
    package func statement(
        _ span: Span, _ direction: ResendLogQuery.Direction, limit: Int64
    ) -> (sql: String, parameters: [SQLValue]) {
        var parameters = parameters
        let isForward = direction == .next
        let side = isForward ? "<" : ">"
        var place = ""
        switch span {
        case .all: break
        case .sameMoment(let cursor):
            parameters += [.time(cursor.createdAt), .int(cursor.id)]
            place = " AND started_at = $\(parameters.count - 1) AND id \(side) $\(parameters.count)"
        case .beyond(let cursor):
            parameters.append(.time(cursor.createdAt))
            place = " AND started_at \(side) $\(parameters.count)"
        }
        parameters.append(.int(limit))
        let order = isForward ? "DESC" : "ASC"
        let sql = """
            \(Self.columns) WHERE \(conditions)\(place)
            ORDER BY started_at \(order), id \(order) LIMIT $\(parameters.count)
            """
        return (sql, parameters)
    }

    static let columns = """
        SELECT id, kind, log_status, object_id, mirror_id, window_start, window_end, user_id, started_at, updated_at,
            ended_at, reason
        FROM resends
        """

    static func log(_ row: any SQLRow) throws -> ResendLog {
        guard let category = Resend.Kind(rawValue: row.text(1))?.category,
            let status = row.textIfPresent(2).flatMap(ResendLog.Status.init), let userID = row.intIfPresent(7)
        else { throw StoreError.failed("resend \(row.int(0)) is no log") }
        var window: ResendWindow?
        if let start = row.intIfPresent(5), let end = row.intIfPresent(6) {
            window = ResendWindow(startSeconds: start, endSeconds: end)
        }
        return ResendLog(
            id: row.int(0), category: category, status: status, objectID: row.intIfPresent(3),
            mirrorID: row.intIfPresent(4), window: window, userID: userID, createdAt: row.time(8),
            updatedAt: row.time(9), processedAt: row.timeIfPresent(10), errorMessage: row.textIfPresent(11))
    }
}
