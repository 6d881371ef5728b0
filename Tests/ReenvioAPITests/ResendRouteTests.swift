import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// `docs/contract.md` 4 and 5 over HTTP.
struct ResendRouteTests {
    private static let path = "/v2/payout/notifications/resend"

    private static func body(
        merchantID: Int64 = 303, start: String = "2026-03-24 07:00:00", end: String = "2026-03-24 10:00:00",
        extra: String = ""
    ) -> String {
        #"{"merchant_id":\#(merchantID),"start_time":"\#(start)","end_time":"\#(end)"\#(extra)}"#
    }

    private static func paidPayouts(_ count: Int, _ api: APIFixture) async throws {
        let ids = try await api.store.createPayouts(count)
        try await api.store.report(.paid, ids, at: api.clock.wall)
    }

    private static func jobID(_ reply: APIFixture.Reply) -> String {
        String(reply.body.dropFirst(#"{"job_id":""#.count).prefix(32))
    }

    @Test("a dry run counts and stores nothing")
    func dryRun() async throws {
        try await APIFixture.run { api async throws in
            try await Self.paidPayouts(3, api)
            let reply = try await api.call(.post, Self.path, Self.body(extra: #","dry_run":true"#))
            #expect(reply.status == 200)
            #expect(reply.body == #"{"total":3}"#)
            let filtered = try await api.call(
                .post, Self.path, Self.body(extra: #","dry_run":true,"status_ids":[6,6]"#))
            #expect(filtered.body == #"{"total":0}"#)
            #expect(try await api.store.number("SELECT count(*) FROM resends") == 0)
        }
    }

    @Test("dispatch is 202, a second one 409 until the job has ended, and a dry run respects no lock")
    func dispatchAndLock() async throws {
        try await APIFixture.run { api async throws in
            try await Self.paidPayouts(3, api)
            let accepted = try await api.call(.post, Self.path, Self.body())
            #expect(accepted.status == 202)
            let job = Self.jobID(accepted)
            #expect(accepted.body == #"{"job_id":"\#(job)","total":3}"#)
            #expect(Hex.bytes(job)?.count == 16)
            let refused = try await api.call(.post, Self.path, Self.body(end: "2026-03-24 09:00:00"))
            #expect(refused.status == 409)
            #expect(
                refused.body
                    == #"{"message":"A resend job is already running for this merchant and time range."}"#)
            #expect(try await api.call(.post, Self.path, Self.body(extra: #","dry_run":true"#)).status == 200)
            try await api.advanceResends()
            #expect(try await api.call(.post, Self.path, Self.body()).status == 202)
        }
    }

    @Test("the state has the published keys in order, and is not to be stored")
    func state() async throws {
        try await APIFixture.run { api async throws in
            try await Self.paidPayouts(3, api)
            let job = Self.jobID(try await api.call(.post, Self.path, Self.body()))
            let running = try await api.call(.get, "\(Self.path)/\(job)")
            #expect(running.status == 200)
            #expect(running.header("Cache-Control") == "no-store")
            #expect(
                running.body == #"{"status":"processing","merchant_id":303,"start_time":"2026-03-24 07:00:00","#
                    + #""end_time":"2026-03-24 10:00:00","total":3,"queued":0,"failed":0,"#
                    + #""started_at":"2026-03-24T08:00:00+00:00","updated_at":"2026-03-24T08:00:00+00:00"}"#)
            api.clock.advance(by: .seconds(5))
            try await api.advanceResends()
            let ended = try await api.call(.get, "\(Self.path)/\(job)", as: .operatorKey)
            #expect(ended.body.hasPrefix(#"{"status":"completed""#))
            #expect(ended.body.contains(#""total":3,"queued":3,"failed":0"#))
            #expect(ended.body.contains(#""updated_at":"2026-03-24T08:00:05+00:00""#))
            #expect(!ended.body.contains("reason"))
        }
    }

    @Test("a job is shown for 24 hours after its end, then 404, though its row stays")
    func expiry() async throws {
        try await APIFixture.run { api async throws in
            try await Self.paidPayouts(1, api)
            let job = Self.jobID(try await api.call(.post, Self.path, Self.body()))
            api.clock.advance(by: .seconds(90_000))
            #expect(try await api.call(.get, "\(Self.path)/\(job)").status == 200, "a running job does not expire")
            try await api.advanceResends()
            api.clock.advance(by: .seconds(86_399))
            #expect(try await api.call(.get, "\(Self.path)/\(job)").status == 200)
            api.clock.advance(by: .seconds(1))
            let gone = try await api.call(.get, "\(Self.path)/\(job)")
            #expect(gone.status == 404)
            #expect(gone.body == #"{"message":"Resend job not found or expired."}"#)
            #expect(try await api.store.resend(jobID: job) != nil)
        }
    }

    @Test("a failed job says why, and keeps its counts")
    func failed() async throws {
        try await APIFixture.run { api async throws in
            try await Self.paidPayouts(1, api)
            let job = Self.jobID(try await api.call(.post, Self.path, Self.body()))
            let resend = try #require(try await api.store.resend(jobID: job))
            try await api.store.failResend(id: resend.id, reason: "Connection refused", now: api.clock.wall)
            let reply = try await api.call(.get, "\(Self.path)/\(job)")
            #expect(reply.body.hasPrefix(#"{"status":"failed""#))
            #expect(reply.body.hasSuffix(#""reason":"Connection refused"}"#))
            #expect(try await api.call(.post, Self.path, Self.body()).status == 202, "the lock is free")
        }
    }

    @Test("unknown and malformed jobs are 404, another account's 403")
    func access() async throws {
        try await APIFixture.run { api async throws in
            try await Self.paidPayouts(1, api)
            let job = Self.jobID(try await api.call(.post, Self.path, Self.body()))
            for name in [String(repeating: "0", count: 32), "x", job.uppercased(), "1"] where name != job {
                let reply = try await api.call(.get, "\(Self.path)/\(name)")
                #expect(reply.status == 404)
                #expect(reply.body == #"{"message":"Resend job not found or expired."}"#)
            }
            let foreign = try await api.call(.get, "\(Self.path)/\(job)", as: .otherKey)
            #expect(foreign.status == 403)
            #expect(foreign.body == #"{"message":"You do not have access to this resend job."}"#)
        }
    }

    @Test("a foreign merchant is a fault of the field, together with all others")
    func faults() async throws {
        try await APIFixture.run { api async throws in
            let reply = try await api.call(
                .post, Self.path, Self.body(merchantID: 404, end: "2026-03-24 10:00:01", extra: #","status_ids":[2,3]"#)
            )
            #expect(reply.status == 422)
            #expect(
                reply.body == #"{"message":"Validation error.","errors":{"#
                    + #""merchant_id":["The merchant_id is not associated with your account."],"#
                    + #""end_time":["The time range must not exceed 3 hours."],"#
                    + #""status_ids.0":["The selected status is not notifiable."]}}"#)
            let operatorReply = try await api.call(
                .post, Self.path, Self.body(merchantID: 404, extra: #","dry_run":true"#), as: .operatorKey)
            #expect(operatorReply.status == 200)
        }
    }

    @Test("who asked is kept")
    func requestedBy() async throws {
        try await APIFixture.run { api async throws in
            try await Self.paidPayouts(1, api)
            let job = Self.jobID(try await api.call(.post, Self.path, Self.body()))
            let resend = try #require(try await api.store.resend(jobID: job))
            #expect(resend.requestedBy.hasPrefix("key:"))
            let rows = try await api.store.number(
                "SELECT count(*) FROM audit WHERE action = 'resend.create' AND actor = $1", [.text(resend.requestedBy)])
            #expect(rows == 1)
        }
    }
}
