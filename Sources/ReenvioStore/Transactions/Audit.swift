import ReenvioModel

/// Append-only rows of who did what (`docs/contract.md` 9). No people's data, no secrets.
enum Audit {
    struct Entry {
        var at: Timestamp
        var accountID: Int64?
        var by: Requester
        var action: String
        var target: String
        var parameters = ""
    }

    static func write(_ entry: Entry, in db: any SQLConnection) throws {
        for id in try db.nextIDs(.audit, 1) {
            try db.run(
                """
                INSERT INTO audit (id, at, account_id, actor, action, target, parameters, request_id, address)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                """,
                [
                    .int(id), .time(entry.at), .optional(entry.accountID), .text(entry.by.actor), .text(entry.action),
                    .text(entry.target), .text(entry.parameters), .optional(entry.by.requestID),
                    .optional(entry.by.address),
                ]
            )
        }
    }
}
