import Foundation

/// One dispatched job, watched until all of it is enqueued.
struct ResendJob: Sendable {
    var began: ContinuousClock.Instant
    var enqueued: ContinuousClock.Instant

    private struct Dispatched: Decodable {
        var job_id: String
        var total: Int
    }

    private struct Status: Decodable {
        var status: String
        var queued: Int
        var failed: Int
    }

    private static let path = "/v2/payout/notifications/resend"

    /// Its status is asked for after every `pause`.
    static func dispatch(
        _ body: String, of total: Int, to server: ServerUnderTest, every pause: Duration = .milliseconds(5)
    ) async throws -> ResendJob {
        let caller = try await Caller.connect(to: server.address)
        let began = ContinuousClock.now
        let answer = try await caller.call(Request(path: path, headers: server.headers(), body: body))
        guard answer.status == 202 else {
            throw Failure("the dispatch was answered with \(answer.status): \(answer.body)")
        }
        let job = try JSONDecoder().decode(Dispatched.self, from: Data(answer.body.utf8))
        guard job.total == total else { throw Failure("the job matches \(job.total) payouts, not \(total)") }
        let status = Request(path: "\(path)/\(job.job_id)", headers: server.headers())
        let enqueued = try await eventually("the job to be enqueued", within: .seconds(120), every: pause) {
            let answer = try await caller.call(status)
            guard answer.status == 200 else { throw Failure("the status was answered with \(answer.status)") }
            let state = try JSONDecoder().decode(Status.self, from: Data(answer.body.utf8))
            guard state.failed == 0, state.status != "failed" else { throw Failure("the job failed: \(answer.body)") }
            return state.queued == total ? ContinuousClock.now : nil
        }
        try await caller.close()
        return ResendJob(began: began, enqueued: enqueued)
    }
}
