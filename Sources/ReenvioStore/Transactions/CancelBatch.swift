package import ReenvioModel

/// What became of a request to stop a batch (`docs/contract.md` 13.17).
package enum BatchStopped: Sendable, Equatable {
    case stopped
    /// There is none, or the caller does not see it.
    case notFound
    /// Nothing of it is pending any more.
    case alreadyEnded
}

extension Store {
    /// Stops a batch: no more jobs are made. Those that exist are canceled one by one by the caller, who finds them
    /// with `openJobs`; asked again, it goes on where it was interrupted.
    package func stopBatch(
        publicID: String, accountID: Int64?, by requester: Requester, now: Timestamp
    ) async throws -> BatchStopped {
        try await engine.write(.intake) { db in
            try db.query("SELECT id FROM resend_batches WHERE public_id = $1 FOR UPDATE", [.text(publicID)]) { _ in }
            guard let found = try Self.findBatch(publicID: publicID, in: db),
                accountID == nil || accountID == found.accountID
            else { return .notFound }
            if found.isOver { return .alreadyEnded }
            if found.state == .canceled { return .stopped }
            try db.run(
                "UPDATE resend_batches SET state = 'canceled', ended_at = coalesce(ended_at, $2) WHERE id = $1",
                [.int(found.id), .time(now)])
            let entry = Audit.Entry(
                at: now, accountID: found.accountID, by: requester, action: "resend.batch-cancel",
                target: "batch \(publicID)")
            try Audit.write(entry, in: db)
            return .stopped
        }
    }

    /// Jobs of a batch after one of them, by id: those that run, and those of which something may be pending.
    package func openJobs(ofBatch publicID: String, after id: Int64) async throws -> [(id: Int64, jobID: String)] {
        try await engine.read { db in
            try db.all(
                """
                SELECT r.id, r.public_id FROM resends r JOIN resend_batches b ON b.id = r.batch_id
                WHERE b.public_id = $1 AND r.id > $2 AND (r.ended IS NULL OR r.ended <> 'canceled')
                ORDER BY r.id LIMIT $3
                """, [.text(publicID), .int(id), .int(Limits.pageSizeMax)]
            ) { ($0.int(0), $0.text(1)) }
        }
    }
}
