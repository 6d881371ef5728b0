package import ReenvioModel
package import ReenvioStore

extension Store {
    /// Writes logs as rows, as if their resends had come that far; returns their ids. The `id` of a log is not used.
    @discardableResult
    package func insertLogs(_ logs: [ResendLog], merchantID: Int64 = Fixtures.merchantID) async throws -> [Int64] {
        try await engine.write(.bulk) { db in
            let ids = try db.nextIDs(.resend, logs.count)
            for (id, log) in zip(ids, logs) {
                let hasEnded = log.status == .completed || log.status == .failed
                try db.run(
                    """
                    INSERT INTO resends (id, merchant_id, account_id, kind, user_id, requested_by, state, log_status,
                        reason, window_start, window_end, statuses, object_id, mirror_id, frozen_seq, cursor_s,
                        cursor_seq, total, started_at, updated_at, ended_at)
                    VALUES ($1, $2, 1, $3, $4, 'user:' || $4, $5, $6, $7, $8, $9, '', $10, $11, 0, 0, 0, 0, $12, $13,
                        $14)
                    """,
                    [
                        .int(id), .int(merchantID), .text(log.category.resendKind.rawValue), .int(log.userID),
                        .text(hasEnded ? log.status == .failed ? "failed" : "completed" : "processing"),
                        .text(log.status.rawValue), .optional(log.errorMessage),
                        .optional(log.window?.startSeconds), .optional(log.window?.endSeconds),
                        .optional(log.objectID), .optional(log.mirrorID), .time(log.createdAt), .time(log.updatedAt),
                        .optional(log.processedAt),
                    ])
            }
            return ids
        }
    }
}

extension ResendLog {
    /// A log of one object, asked for `second` seconds after the fixtures' start.
    package static func fixture(
        user: Int64 = 246, second: Int64 = 0, status: Status = .pending, object: Int64? = 5, mirror: Int64? = nil
    ) -> ResendLog {
        let at = Fixtures.start + .seconds(second)
        return ResendLog(
            id: 0, category: .cashOut, status: status, objectID: object, mirrorID: mirror, window: nil, userID: user,
            createdAt: at, updatedAt: at)
    }
}
