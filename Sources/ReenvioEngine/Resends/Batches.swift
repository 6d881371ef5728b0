package import ReenvioModel
package import ReenvioStore

/// Resends over ranges and merchants (`docs/contract.md` 13.17).
extension Engine {
    package func openBatch(
        _ request: ResendBatchRequest, accountID: Int64?, by requester: Requester
    ) async throws -> BatchOpened {
        var generator = EntropyGenerator(entropy)
        let opening = ResendOpening(
            accountID: accountID ?? 0, jobID: Resend.newJobID(using: &generator), requester: requester,
            trace: Traces.current)
        let opened = try await store.openBatch(request, opening, accountID: accountID, now: clock.expiry)
        runner.doorbell.ring()
        return opened
    }

    /// Cancels a batch and its jobs: when this returns, nothing more of it begins here.
    /// - Returns: the batch where something of it was stopped.
    package func cancelBatch(
        publicID: String, accountID: Int64?, by requester: Requester
    ) async throws -> (outcome: BatchStopped, batch: ResendBatch?) {
        let outcome = try await store.stopBatch(
            publicID: publicID, accountID: accountID, by: requester, now: clock.wall)
        guard outcome == .stopped else { return (outcome, nil) }
        var last: Int64 = 0
        while true {
            let jobs = try await store.openJobs(ofBatch: publicID, after: last)
            for job in jobs {
                _ = try await cancelResend(jobID: job.jobID, accountID: nil, by: requester)
                last = job.id
            }
            if jobs.isEmpty { break }
        }
        return (outcome, try await store.batch(publicID: publicID, accountID: accountID))
    }
}
