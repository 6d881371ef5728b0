import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// What merchants set up for themselves: their signing secret (`docs/contract.md` 13.12).
package struct MerchantRoutes: Sendable {
    private let engine: Engine

    package init(_ engine: Engine) {
        self.engine = engine
    }

    package var endpoints: [Endpoint] {
        [Endpoint(.post, "/v2/merchants/{id}/webhook-secret/rotate", .key(.secretsWrite), takesBody: true, rotate)]
    }

    private func rotate(_ call: Call) async throws -> Answer {
        let unknown = Problem.notFound("Merchant not found.")
        let id = try call.id("id", orThrow: unknown)
        let caller = try call.requireCaller()
        guard try await engine.store.merchant(id: id, accountID: caller.accountID) != nil else { throw unknown }
        var fields = FieldReader(call.body)
        let hours = fields.integer("overlap_hours") ?? Limits.overlapHoursDefault
        if !(0...Limits.overlapHoursMax).contains(hours) {
            let max = Limits.overlapHoursMax
            fields.fault("overlap_hours", "The overlap_hours field must be between 0 and \(max).")
        }
        let replacesCompatKey = fields.boolean("compat_key") ?? false
        try fields.throwFaults()
        var generator = EntropyGenerator(engine.entropy)
        let rotation = SecretRotation(
            merchantID: id, secret: SigningSecret(using: &generator), overlap: .seconds(hours * 3_600),
            replacesCompatKey: replacesCompatKey)
        let end = try await engine.store.rotateSecret(
            rotation, accountID: caller.accountID, by: call.requester, now: engine.clock.wall)
        guard let end else { throw unknown }
        return .json(headers: ["Cache-Control": "no-store"]) { writer in
            writer.member("merchant_id", id)
            writer.member("signing_secret", rotation.secret.text)
            writer.member("overlap_ends_at", TimeText.zulu(end))
        }
    }
}
