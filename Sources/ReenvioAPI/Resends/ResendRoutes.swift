import HTTPTypes
package import ReenvioEngine
package import ReenvioModel
import ReenvioStore

/// Bulk resends of v2: count, dispatch, follow (`docs/contract.md` 4 and 5).
package struct ResendRoutes: Sendable {
    private static let path = "/v2/payout/notifications/resend"
    /// A key that may dispatch jobs may also follow them (`docs/contract.md` 5, 9).
    static let readers = Access.keyWithOne(of: [.payoutsRead, .resendWrite])

    private let engine: Engine
    private let publicURL: PublicURL

    package init(_ engine: Engine, publicURL: PublicURL) {
        self.engine = engine
        self.publicURL = publicURL
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(.post, Self.path, .resendKey, takesBody: true, create),
            Endpoint(.get, Self.path, Self.readers, limit: .read, list),
            Endpoint(.get, Self.path + "/{job_id}", .anyKey, limit: .read, show),
            Endpoint(.delete, Self.path + "/{job_id}", .key(.resendWrite), limit: .write, cancel),
        ]
    }

    private func create(_ call: Call) async throws -> Answer {
        let caller = try call.requireCaller()
        let isDryRun = call.body["dry_run"] == .bool(true)
        let claim = isDryRun ? nil : try call.claim()
        if let claim {
            switch try await engine.store.idempotencyState(claim, now: engine.clock.wall) {
            case .new: break
            case .made(let id): return try await replay(resendID: id, for: caller)
            case .otherBody: throw Problem.idempotencyKeyReused
            }
        }
        let reading = ResendRequest.read(call.body)
        var faults = reading.faults
        let merchant = try await merchant(reading.merchantID, for: caller, &faults)
        guard faults.isEmpty, let request = reading.request, let merchant else { throw Problem.invalid(faults) }
        if request.dryRun { return try await count(request) }
        var generator = EntropyGenerator(engine.entropy)
        let opening = ResendOpening(
            accountID: merchant.accountID, jobID: Resend.newJobID(using: &generator), requester: call.requester,
            claim: claim, trace: Traces.current
        )
        switch try await engine.store.openResend(request, opening, now: engine.clock.wall) {
        case .opened(let resend):
            engine.runner.doorbell.ring()
            return Self.dispatched(resend)
        case .replayed(let id): return try await replay(resendID: id, for: caller)
        case .keyReused: throw Problem.idempotencyKeyReused
        case .alreadyRunning:
            throw Problem.conflict("A resend job is already running for this merchant and time range.")
        }
    }

    /// A dry run, which explains itself where that is asked for (`docs/contract.md` 13.7).
    private func count(_ request: ResendRequest) async throws -> Answer {
        guard request.explains else {
            let total = try await engine.store.countMatching(request)
            return .json { $0.member("total", total) }
        }
        let explanation = try await engine.store.explain(request, engine.explainRules)
        return .json { writer in
            writer.member("total", explanation.total)
            explanation.write(into: &writer)
        }
    }

    private static func dispatched(_ resend: Resend, headers: [String: String] = [:]) -> Answer {
        .json(202, headers: headers) { resend.writeDispatch(into: &$0) }
    }

    /// The first answer again (`docs/contract.md` 13.8).
    private func replay(resendID: Int64, for caller: Caller) async throws -> Answer {
        guard let resend = try await engine.store.resend(id: resendID), caller.sees(resend) else {
            throw Self.unknown
        }
        return Self.dispatched(resend, headers: Answer.replayed)
    }

    /// A foreign merchant is a fault of the field; unknown and foreign ids look alike (`docs/contract.md` 4.1).
    private func merchant(_ named: Int64?, for caller: Caller, _ faults: inout Faults) async throws -> Merchant? {
        guard let named else { return nil }
        if let merchant = try await engine.store.merchant(id: named, for: caller) { return merchant }
        var ordered = Faults("merchant_id", "The merchant_id is not associated with your account.")
        ordered.add(faults)
        faults = ordered
        return nil
    }

    private func show(_ call: Call) async throws -> Answer {
        let caller = try call.requireCaller()
        let jobID = call.parameter("job_id")
        var reader = QueryReader(call.query, known: nil)
        let include = reader.choice("include", ["outcome"])
        try reader.throwFaults()
        if include != nil {
            guard let details = try await engine.store.resendDetails(jobID: jobID) else { throw Self.unknown }
            try check(caller, mayRead: details.resend)
            return .json(headers: ["Cache-Control": "no-store"]) { details.writeMembers(into: &$0) }
        }
        guard let resend = try await engine.store.resend(jobID: jobID), resend.isShown(now: engine.clock.expiry) else {
            throw Self.unknown
        }
        try check(caller, mayRead: resend)
        return .json(headers: ["Cache-Control": "no-store"]) { resend.writeState(into: &$0) }
    }

    static let unknown = Problem.notFound("Resend job not found or expired.")
    static let foreign = Problem(status: 403, message: "You do not have access to this resend job.")

    private func check(_ caller: Caller, mayRead resend: Resend) throws {
        if !caller.sees(resend) { throw Self.foreign }
    }

    /// Stops a job (`docs/contract.md` 13.2).
    private func cancel(_ call: Call) async throws -> Answer {
        let caller = try call.requireCaller()
        if caller.merchants != nil, let job = try await engine.store.resend(jobID: call.parameter("job_id")) {
            try check(caller, mayRead: job)
        }
        let canceled = try await engine.cancelResend(
            jobID: call.parameter("job_id"), accountID: caller.accountID, by: call.requester)
        switch canceled {
        case .canceled(let resend):
            return .json(headers: ["Cache-Control": "no-store"]) { resend.writeState(into: &$0) }
        case .notFound: throw Self.unknown
        case .foreign: throw Self.foreign
        case .alreadyEnded: throw Problem.conflict("The resend job has already ended.")
        }
    }

    /// Jobs of the caller's merchants (`docs/contract.md` 13.3).
    private func list(_ call: Call) async throws -> Answer {
        let caller = try call.requireCaller()
        var reader = QueryReader(call.query, known: ["merchant_id", "status", "include"] + QueryReader.pageNames)
        let merchantID = reader.integer("merchant_id")
        let states: [Resend.State] = [.processing, .completed, .failed]
        let state = reader.choice("status", states.map(\.rawValue)).flatMap(Resend.State.init)
        let includesOutcome = reader.choice("include", ["outcome"]) != nil
        let page = reader.page()
        if let merchantID, try await engine.store.merchant(id: merchantID, for: caller) == nil {
            reader.faults.add("merchant_id", "The merchant_id is not associated with your account.")
        }
        try reader.throwFaults()
        let filter = ResendFilter(
            accountID: caller.accountID, merchantID: merchantID ?? caller.onlyMerchantID,
            merchants: caller.merchants, state: state)
        let found = try await engine.store.listResends(filter, page)
        return .json(headers: ["Cache-Control": "no-store"]) { writer in
            writer.array("data") { writer in
                for job in found.jobs {
                    writer.object { writer in
                        if includesOutcome { job.writeRow(into: &writer) } else { job.resend.writeRow(into: &writer) }
                    }
                }
            }
            writer.member(
                "next",
                publicURL.next(
                    Self.path, call, cursor: found.next, filters: ["merchant_id", "status", "include"]))
        }
    }
}
