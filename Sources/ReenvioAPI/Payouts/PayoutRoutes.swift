import HTTPTypes
package import ReenvioEngine
package import ReenvioModel
import ReenvioStore

/// Payouts in: create, read, and the status changes that the platform reports (`docs/contract.md` 2).
package struct PayoutRoutes: Sendable {
    private let engine: Engine
    private let people: PeopleShown

    package init(_ engine: Engine, audit: CollapsedAudit) {
        self.engine = engine
        people = PeopleShown(engine, audit: audit)
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(.post, "/v2/payout/payments", .key(.payoutsWrite), takesBody: true, create),
            Endpoint(.get, "/v2/payout/payments/{id}", .key(.payoutsRead), limit: .read, show),
            Endpoint(.post, "/v2/payout/payments/{id}/cancel", .key(.payoutsWrite), cancel),
            Endpoint(
                .post, "/v2/payout/payments/{id}/transition", .operatorKey(.payoutsReport), takesBody: true,
                transition),
            Endpoint(.post, "/v2/payout/transitions", .operatorKey(.payoutsReport), takesBody: true, transitions),
        ]
    }

    private func create(_ call: Call) async throws -> Answer {
        let caller = try call.requireCaller()
        let claim = try call.claim()
        if let claim {
            switch try await engine.store.idempotencyState(claim, now: engine.clock.wall) {
            case .new: break
            case .made(let id): return try await replay(payoutID: id, for: caller)
            case .otherBody: throw Problem.idempotencyKeyReused
            }
        }
        let reading = PayoutDraft.read(call.body, policy: engine.options.policy)
        var faults = reading.faults
        let occurredAt = caller.isOperator ? occurredAt(call, &faults) : nil
        let merchant = try await merchant(reading.merchantID, for: caller, &faults)
        if merchant?.closedAt != nil { throw Problem.accountClosed }
        guard faults.isEmpty, let draft = reading.draft, let merchant else { throw Problem.invalid(faults) }
        let new = IntakeBatch.NewPayout(
            draft: draft, merchantID: merchant.id, claim: claim, createdAt: occurredAt)
        let result = try await engine.intake.submit(IntakeBatch(creates: [new]))
        switch result.creates.first {
        case .payout(let id):
            let payout = Payout(id: id, draft: draft, merchant: merchant, createdAt: occurredAt ?? result.at)
            return .json(201) { payout.writeMembers(into: &$0) }
        case .replayed(let id): return try await replay(payoutID: id, for: caller)
        case .keyReused: throw Problem.idempotencyKeyReused
        case .invoiceTaken, nil:
            throw Problem.invalid(Faults("invoice", "The invoice has already been used for this merchant."))
        }
    }

    /// The platform may date the creation; of a merchant it is an unknown field (`docs/contract.md` 2.1).
    private func occurredAt(_ call: Call, _ faults: inout Faults) -> Timestamp? {
        var fields = FieldReader(call.body)
        let given = fields.pastTime("occurred_at", now: engine.clock.wall)
        faults.add(fields.faults)
        return given?.moment
    }

    /// The first answer again, as the payout was then (`docs/contract.md` 13.8).
    private func replay(payoutID: Int64, for caller: Caller) async throws -> Answer {
        guard let payout = try await engine.store.payout(id: payoutID, for: caller) else {
            throw Problem.payoutNotFound
        }
        return .json(201, headers: Answer.replayed) { payout.atCreation.writeMembers(into: &$0) }
    }

    /// The merchant meant: the one named, or the account's only one. Unknown and foreign ids look alike.
    private func merchant(_ named: Int64?, for caller: Caller, _ faults: inout Faults) async throws -> Merchant? {
        if faults["merchant_id"] != nil { return nil }
        if let named {
            if let merchant = try await engine.store.merchant(id: named, for: caller) {
                return merchant
            }
            faults.add("merchant_id", "The merchant_id is not associated with your account.")
        } else {
            if let only = try await engine.store.onlyMerchant(for: caller) { return only }
            faults.add("merchant_id", "The merchant_id field is required.")
        }
        return nil
    }

    private func show(_ call: Call) async throws -> Answer {
        let id = try call.id("id", orThrow: .payoutNotFound)
        return try await answer(200, payoutID: id, for: call.requireCaller())
    }

    private func answer(_ status: Int, payoutID: Int64, for caller: Caller) async throws -> Answer {
        guard let payout = try await engine.store.payout(id: payoutID, for: caller) else {
            throw Problem.payoutNotFound
        }
        let shown = people.payout(payout, for: caller)
        return .json(status) { shown.writeMembers(into: &$0) }
    }

    private func transition(_ call: Call) async throws -> Answer {
        let id = try call.id("id", orThrow: .payoutNotFound)
        let change: StatusChangeRequest
        do {
            change = try StatusChangeRequest.parse(call.body, payoutID: id)
        } catch {
            // A path that names nothing is 404 whatever the body says.
            guard try await engine.store.payout(id: id, accountID: nil) != nil else { throw Problem.payoutNotFound }
            throw error
        }
        return try await apply(change, for: try call.requireCaller())
    }

    private func apply(_ change: StatusChangeRequest, for caller: Caller) async throws -> Answer {
        let result = try await engine.intake.submit(IntakeBatch(changes: [change], shown: [change.payoutID]))
        if case .refused(let refusal) = result.changes.first { throw Problem(refusal) }
        guard let payout = try engine.store.payout(change.payoutID, in: result) else { throw Problem.payoutNotFound }
        let shown = people.payout(payout, for: caller)
        return .json { shown.writeMembers(into: &$0) }
    }
}

extension PayoutRoutes {
    /// The merchant's own cancel: only from Awaiting or Received; already Canceled is 200 without a change.
    private func cancel(_ call: Call) async throws -> Answer {
        let caller = try call.requireCaller()
        let id = try call.id("id", orThrow: .payoutNotFound)
        // A payout never changes its merchant, so who may see it can be asked before the commit.
        guard try await engine.store.payout(id: id, for: caller) != nil else {
            throw Problem.payoutNotFound
        }
        var change = StatusChangeRequest(payoutID: id, status: .canceled)
        change.canceledBy = call.requester
        return try await apply(change, for: caller)
    }
}

// MARK: - Batches

extension PayoutRoutes {
    /// One item of a batch: a change to apply, or what is wrong with it.
    private enum Item {
        case change(StatusChangeRequest)
        case faulty(id: Int64, Faults)
    }

    private func transitions(_ call: Call) async throws -> Answer {
        let items = try Self.items(call.body)
        let changes = items.compactMap { item in
            if case .change(let change) = item { change } else { nil }
        }
        let result = try await engine.intake.submit(IntakeBatch(changes: changes))
        var outcomes = result.changes[...]
        return .json { writer in
            writer.array("results") { writer in
                for item in items {
                    switch item {
                    case .faulty(let id, let faults): Self.write(.refused(.invalid(faults)), id: id, into: &writer)
                    case .change(let change):
                        guard let outcome = outcomes.popFirst() else { continue }
                        Self.write(outcome, id: change.payoutID, into: &writer)
                    }
                }
            }
        }
    }

    /// The whole is 422 only when there is no list, or an element that cannot even be named (`docs/contract.md` 2.4).
    private static func items(_ body: JSONObject) throws -> [Item] {
        let limit = Limits.transitionsPerRequest
        guard let value = body["transitions"], value != .null else {
            throw Problem.invalid(Faults("transitions", "The transitions field is required."))
        }
        guard case .array(let elements) = value, !elements.isEmpty, elements.count <= limit else {
            throw Problem.invalid(
                Faults("transitions", "The transitions field must be an array of 1 to \(limit) items."))
        }
        var faults = Faults()
        var items: [Item] = []
        for (index, element) in elements.enumerated() {
            guard case .object(let object) = element, case .number(let number) = object["id"], let id = number.integer
            else {
                faults.add("transitions.\(index).id", "The transitions.\(index).id field must be an integer.")
                continue
            }
            do {
                items.append(.change(try StatusChangeRequest.parse(object, payoutID: id)))
            } catch {
                items.append(.faulty(id: id, error))
            }
        }
        guard faults.isEmpty else { throw Problem.invalid(faults) }
        return items
    }

    private static func write(_ outcome: IntakeResult.Changed, id: Int64, into writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("id", id)
            switch outcome {
            case .applied: writer.member("result", "applied")
            case .unchanged: writer.member("result", "unchanged")
            case .refused(let refusal):
                let problem = Problem(refusal)
                writer.member("result", "refused")
                writer.member("code", problem.status)
                writer.member("message", problem.message)
                if !problem.errors.isEmpty { writer.member("errors") { problem.errors.write(into: &$0) } }
            }
        }
    }
}

extension Problem {
    /// What a refused status change answers (`docs/contract.md` 1.2, 2.4).
    init(_ refusal: StatusFlow.Refusal) {
        switch refusal {
        case .notFound: self = .payoutNotFound
        case .notAllowed, .laterStatusRecorded: self = .conflict(refusal.message)
        case .invalid(let faults): self = .invalid(faults)
        }
    }
}
