/// What `GET /v3/webhooks/resend` asks for (`docs/contract.md` 7.1), checked as a whole.
package struct ResendLogQuery: Equatable, Sendable {
    /// Which way to go from the cursor's row, which is not shown itself.
    package enum Direction: String, Sendable, CaseIterable {
        /// Strictly older rows.
        case next = "NEXT"
        /// Strictly newer rows, the nearest of them.
        case previous = "PREVIOUS"
    }

    /// A place in the list, newest first: the row may be gone, or never have been.
    package struct Cursor: Equatable, Sendable {
        package var createdAt: Timestamp
        package var id: Int64

        package init(createdAt: Timestamp, id: Int64) {
            self.createdAt = createdAt
            self.id = id
        }
    }

    /// All of them hold.
    package struct Filters: Equatable, Sendable {
        package var status: ResendLog.Status?
        package var objectID: Int64?
        package var mirrorID: Int64?

        package init(status: ResendLog.Status? = nil, objectID: Int64? = nil, mirrorID: Int64? = nil) {
            self.status = status
            self.objectID = objectID
            self.mirrorID = mirrorID
        }
    }

    package var filters: Filters
    package var limit: Int64
    package var cursor: Cursor?
    package var direction: Direction

    package init(
        filters: Filters = Filters(), limit: Int64 = Limits.pageSizeDefault, cursor: Cursor? = nil,
        direction: Direction = .next
    ) {
        self.filters = filters
        self.limit = limit
        self.cursor = cursor
        self.direction = direction
    }

    /// Reads decoded query parameters.
    /// - Throws: every fault at once.
    package init(_ parameters: [(name: String, value: String)]) throws(Faults) {
        var reader = QueryReader(
            parameters,
            strictly: [
                "limit", "status", "object_reference_id", "account_mirror_id", "cursor_datetime", "cursor_id",
                "cursor_direction",
            ])
        limit = reader.integer("limit", in: 1...Limits.pageSizeMax) ?? Limits.pageSizeDefault
        let status = reader.choice("status", ResendLog.Status.allCases.map(\.rawValue))
        filters = Filters(
            status: status.flatMap(ResendLog.Status.init),
            objectID: reader.integer("object_reference_id", in: 1 ... .max),
            mirrorID: reader.integer("account_mirror_id"))
        let createdAt = reader.rfc3339("cursor_datetime")
        let id = reader.integer("cursor_id")
        let direction = reader.choice("cursor_direction", Direction.allCases.map(\.rawValue))
        self.direction = direction.flatMap(Direction.init) ?? .next
        reader.requireTogether("cursor_datetime", "cursor_id")
        if self.direction == .previous, !reader.isGiven("cursor_datetime"), !reader.isGiven("cursor_id") {
            reader.faults.add(
                "cursor_direction", "The cursor_direction PREVIOUS requires cursor_datetime and cursor_id.")
        }
        try reader.throwFaults()
        if let createdAt, let id { cursor = Cursor(createdAt: createdAt, id: id) } else { cursor = nil }
    }

    /// The parameters of a link that goes on from a row, in the order of `docs/contract.md` 7.4.
    package func link(from cursor: Cursor, _ direction: Direction) -> [(name: String, value: String)] {
        var parameters = [
            (name: "cursor_datetime", value: TimeText.zulu(cursor.createdAt)),
            (name: "cursor_id", value: String(cursor.id)), (name: "cursor_direction", value: direction.rawValue),
            (name: "limit", value: String(limit)),
        ]
        if let status = filters.status { parameters.append((name: "status", value: status.rawValue)) }
        if let objectID = filters.objectID { parameters.append((name: "object_reference_id", value: String(objectID))) }
        if let mirrorID = filters.mirrorID { parameters.append((name: "account_mirror_id", value: String(mirrorID))) }
        return parameters
    }
}

extension QueryReader {
    /// One of the two without the other is a fault of the missing one.
    fileprivate mutating func requireTogether(_ first: String, _ second: String) {
        for (name, other) in [(first, second), (second, first)] where isGiven(other) && !isGiven(name) {
            faults.add(name, "The \(name) field is required with \(other).")
        }
    }
}
