package import ReenvioModel

/// One row of the audit (`docs/contract.md` 9).
package struct AuditRow: Sendable, Equatable {
    package var id: Int64
    package var at: Timestamp
    package var accountID: Int64?
    package var requester: Requester
    package var action: String
    package var target: String
    package var parameters: String

    package func write(into writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("id", id)
            writer.member("at", TimeText.zulu(at))
            writer.member("account_id", accountID)
            writer.member("actor", requester.actor)
            writer.member("action", action)
            writer.member("target", target)
            writer.member("parameters", parameters)
            writer.member("request_id", requester.requestID)
            writer.member("address", requester.address)
        }
    }
}

extension Store {
    /// The audit, newest first, and the cursor of the next page; nil after the last.
    package func listAudit(_ page: CursorPage) async throws -> (rows: [AuditRow], next: String?) {
        let found = try await engine.read { db in
            try db.all(
                """
                SELECT id, at, account_id, actor, request_id, address, action, target, parameters
                FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2
                """,
                [.int(page.after ?? Int64.max), .int(page.limit + 1)], Self.auditRow)
        }
        let rows = Array(found.prefix(Int(page.limit)))
        return (rows, found.count > rows.count ? rows.last.map { CursorPage.cursor($0.id) } : nil)
    }
    static func auditRow(_ row: any SQLRow) -> AuditRow {
        AuditRow(
            id: row.int(0), at: row.time(1), accountID: row.intIfPresent(2),
            requester: Requester(actor: row.text(3), requestID: row.textIfPresent(4), address: row.textIfPresent(5)),
            action: row.text(6), target: row.text(7), parameters: row.text(8))
    }
}
