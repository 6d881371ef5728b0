import HTTPTypes
package import ReenvioEngine
package import ReenvioModel
import ReenvioStore

/// Bulk resends of v2: count, dispatch, follow (`docs/contract.md` 4 and 5).
package struct ResendRoutes: Sendable {
    private static let path = "/v2/payout/notifications/resend"

    private let engine: Engine

    package init(_ engine: Engine) {
        self.engine = engine
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(.post, Self.path, .resendKey, takesBody: true, create),
            Endpoint(.get, Self.path + "/{job_id}", .key(.payoutsRead), limit: .read, show),
        ]
    }

    private func create(_ call: Call) async throws -> Answer {
        let caller = try call.requireCaller()
        let reading = ResendRequest.read(call.body)
        var faults = reading.faults
        let merchant = try await merchant(reading.merchantID, for: caller, &faults)
        guard faults.isEmpty, let request = reading.request, let merchant else { throw Problem.invalid(faults) }
        if request.dryRun {
            let total = try await engine.store.countMatching(request)
            return .json { $0.member("total", total) }
        }
        var generator = EntropyGenerator(engine.entropy)
        let opening = ResendOpening(
            accountID: merchant.accountID, jobID: Resend.newJobID(using: &generator), requestedBy: caller.actor,
            requestID: call.requestID, address: call.address?.description
        )
        guard let resend = try await engine.store.openResend(request, opening, now: engine.clock.wall) else {
            throw Problem.conflict("A resend job is already running for this merchant and time range.")
        }
        engine.runner.doorbell.ring()
        return .json(202) { writer in
            writer.member("job_id", resend.jobID)
            writer.member("total", resend.total)
        }
    }

    /// A foreign merchant is a fault of the field; unknown and foreign ids look alike (`docs/contract.md` 4.1).
    private func merchant(_ named: Int64?, for caller: Caller, _ faults: inout Faults) async throws -> Merchant? {
        guard let named else { return nil }
        if let merchant = try await engine.store.merchant(id: named, accountID: caller.accountID) { return merchant }
        var ordered = Faults("merchant_id", "The merchant_id is not associated with your account.")
        ordered.add(faults)
        faults = ordered
        return nil
    }

    private func show(_ call: Call) async throws -> Answer {
        let caller = try call.requireCaller()
        let jobID = call.parameter("job_id")
        guard let resend = try await engine.store.resend(jobID: jobID), resend.isShown(now: engine.clock.wall) else {
            throw Problem.notFound("Resend job not found or expired.")
        }
        if let accountID = caller.accountID, accountID != resend.accountID {
            throw Problem(status: 403, message: "You do not have access to this resend job.")
        }
        return .json(headers: ["Cache-Control": "no-store"]) { resend.writeMembers(into: &$0) }
    }
}

extension Resend {
    /// The job state of `docs/contract.md` 5; `reason` exists only when the job failed.
    package func writeMembers(into writer: inout JSONWriter) {
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
}
