/// How a v2 job looks outside: over HTTP and in the CLI.
extension Resend {
    /// The answer to a dispatch (`docs/contract.md` 4.3).
    package func writeDispatch(into writer: inout JSONWriter) {
        writer.member("job_id", jobID)
        writer.member("total", total)
    }

    /// The job state of `docs/contract.md` 5; `reason` exists only when the job failed.
    package func writeState(into writer: inout JSONWriter) {
        writer.member("status", state.rawValue)
        writer.member("merchant_id", merchantID)
        writer.member("start_time", TimeText.plain(Timestamp(seconds: window.startSeconds)))
        writer.member("end_time", TimeText.plain(Timestamp(seconds: window.endSeconds)))
        writer.member("total", total)
        writer.member("queued", queued)
        writer.member("failed", failed)
        writer.member("started_at", TimeText.offset(startedAt))
        writer.member("updated_at", TimeText.offset(updatedAt))
        if state == .failed, let reason { writer.member("reason", reason) }
    }

    /// A row of a list of jobs (`docs/contract.md` 13.3).
    package func writeRow(into writer: inout JSONWriter) {
        writer.member("job_id", jobID)
        writeState(into: &writer)
    }
}
