import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Webhook registrations of v3 (`docs/contract.md` 6.5).
package struct RegistrationRoutes: Sendable {
    private static let path = "/v3/accounts/api/webhooks"

    private let engine: Engine

    package init(_ engine: Engine) {
        self.engine = engine
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(.post, Self.path, .token, takesBody: true, limit: .write, isSigned: true, create),
            Endpoint(.get, Self.path, .token, limit: .read, list),
            Endpoint(.get, "/v3/accounts/webhooks", .token, limit: .read, list),
            Endpoint(
                .patch, Self.path + "/{webhook_id}", .token, takesBody: true, limit: .write, isSigned: true, update),
            Endpoint(.delete, Self.path + "/{webhook_id}", .token, limit: .write, isSigned: true, delete),
        ]
    }

    private func create(_ call: Call) async throws -> Answer {
        let user = try call.requireUser()
        let (draft, account) = try RegistrationDraft.read(call.body, policy: engine.options.policy)
        let merchant = try await openMirror(account, for: user)
        let made = try Self.saved(
            try await engine.store.createRegistration(
                draft, of: merchant, by: call.requester, now: engine.clock.wall))
        return .json(201) { made.writeMembers(into: &$0) }
    }

    private func list(_ call: Call) async throws -> Answer {
        let user = try call.requireUser()
        let max = Limits.textCharacters
        var reader = QueryReader(
            call.query, strictly: [AccountName.branchKey, AccountName.numberKey, "webhook_id", "type_webhook"])
        for name in [AccountName.branchKey, AccountName.numberKey] where !reader.isGiven(name) { reader.missing(name) }
        let branch = reader.text(AccountName.branchKey, max: max)
        let number = reader.text(AccountName.numberKey, max: max)
        let id = reader.integer("webhook_id")
        let words = EventCategory.allCases.map(\.rawValue) + EventType.allCases.map(\.rawValue)
        let selection = reader.choice("type_webhook", words).flatMap { EventSelection(rawValue: $0) }
        try reader.throwFaults()
        guard let branch, let number else { throw reader.faults }
        let merchant = try await openMirror(AccountName(branch: branch, number: number), for: user)
        let found = try await engine.store.listRegistrations(merchantID: merchant.id, id: id, selection: selection)
        return .json(headers: ["Cache-Control": "no-store"]) { writer in
            writer.array("results") { writer in
                for registration in found { writer.object { registration.writeMembers(into: &$0) } }
            }
        }
    }

    private func update(_ call: Call) async throws -> Answer {
        let registration = try await openRegistration(call)
        let change = try RegistrationChange.read(
            call.body, of: registration.account, policy: engine.options.policy)
        let updated = try Self.saved(
            try await engine.store.updateRegistration(
                id: registration.id, change, by: call.requester, now: engine.clock.wall))
        // What waits follows at once.
        engine.janitor.doorbell.ring()
        return .json { updated.writeMembers(into: &$0) }
    }

    private func delete(_ call: Call) async throws -> Answer {
        let registration = try await openRegistration(call)
        let isGone = try await engine.store.deleteRegistration(
            id: registration.id, by: call.requester, now: engine.clock.wall)
        guard isGone else { throw Self.unknown }
        engine.janitor.doorbell.ring()
        return .json { $0.member("message", "Webhook deleted successfully") }
    }

    private static func saved(_ outcome: RegistrationOutcome) throws -> Registration {
        switch outcome {
        case .saved(let registration): return registration
        case .notFound: throw unknown
        case .alreadyRegistered: throw Faults("url", "The url has already been registered for this type_webhook.")
        case .tooMany:
            throw Faults("url", "An account may have at most \(Limits.registrationsPerMerchant) webhooks.")
        }
    }

    private static let unknown = Problem.notFound("Webhook not found.")

    /// The account that a request names: 404 unless the user has a policy for it, 400 when it is closed.
    private func openMirror(_ account: AccountName, for user: User) async throws -> Merchant {
        let found = try await engine.store.mirror(branch: account.branch, number: account.number, for: user)
        guard let found else { throw Problem.accountNotFound }
        guard found.closedAt == nil else { throw Problem.accountClosed }
        return found
    }

    /// The registration that a path names: unknown and foreign ones look alike.
    private func openRegistration(_ call: Call) async throws -> Registration {
        let user = try call.requireUser()
        let id = try call.id("webhook_id", orThrow: Self.unknown)
        guard let (registration, merchant) = try await engine.store.registration(id: id),
            user.mayUse(merchantID: merchant.id, accountID: merchant.accountID)
        else { throw Self.unknown }
        guard merchant.closedAt == nil else { throw Problem.accountClosed }
        return registration
    }
}
