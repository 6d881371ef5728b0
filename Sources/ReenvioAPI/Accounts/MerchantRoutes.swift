import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// What merchants set up for themselves: their signing secret (`docs/contract.md` 13.12), and a ping to try a URL
/// (13.13).
package struct MerchantRoutes: Sendable {
    private let engine: Engine

    package init(_ engine: Engine) {
        self.engine = engine
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(
                .post, "/v2/merchants/{id}/webhook-secret/rotate", .key(.secretsWrite), takesBody: true,
                limit: .write, rotate),
            Endpoint(
                .post, "/v2/merchants/{id}/ping", .key(.receiversWrite), takesBody: true, limit: .resend, ping),
        ]
    }

    private static let unknown = Problem.notFound("Merchant not found.")

    private func merchantID(_ call: Call) async throws -> Int64 {
        let id = try call.id("id", orThrow: Self.unknown)
        guard try await engine.store.merchant(id: id, for: try call.requireCaller()) != nil else { throw Self.unknown }
        return id
    }

    private func rotate(_ call: Call) async throws -> Answer {
        let id = try await merchantID(call)
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
            rotation, accountID: try call.requireCaller().accountID, by: call.requester, now: engine.clock.expiry)
        guard let end else { throw Self.unknown }
        return .json(headers: ["Cache-Control": "no-store"]) { writer in
            writer.member("merchant_id", id)
            writer.member("signing_secret", rotation.secret.text)
            writer.member("overlap_ends_at", TimeText.zulu(end))
        }
    }

    private func ping(_ call: Call) async throws -> Answer {
        let id = try await merchantID(call)
        var fields = FieldReader(call.body)
        let url = fields.receiverURL("url", required: true, policy: engine.options.policy)
        try fields.throwFaults()
        guard let url else { throw Problem.invalid(fields.faults) }
        let result: PingResult
        do {
            result = try await engine.pinger.ping(merchantID: id, url: url)
        } catch Pinger.Refused.busy {
            throw Problem.tooManyRequests(retryAfterSeconds: 1)
        } catch is Pinger.Refused {
            throw Problem.unavailable
        }
        return .json { writer in
            writer.member("webhook_id", result.webhookID.description)
            writer.member("acknowledged", result.reason == nil)
            writer.member("duration_ms", result.duration.milliseconds)
            writer.member("status_code", result.statusCode)
            writer.member("reason", result.reason?.rawValue)
            writer.member("answer", result.statusCode == nil ? nil : String(decoding: result.answer, as: UTF8.self))
            writer.member("location", result.location)
            PayoutStatus.writeTable(into: &writer)
        }
    }
}
