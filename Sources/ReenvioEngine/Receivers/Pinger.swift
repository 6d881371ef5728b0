package import ReenvioModel
package import ReenvioStore
import Synchronization

/// What came back of a test ping (`docs/contract.md` 13.13).
package struct PingResult: Sendable, Equatable {
    package var webhookID: WebhookID
    package var duration: Duration
    package var statusCode: Int?
    /// Nil when it was acknowledged.
    package var reason: AttemptFailure?
    package var answer: [UInt8]
    /// Where a redirect points.
    package var location: String?
}

/// Sends a signed `ping` over the same wire as deliveries, under the same guard and clock, and waits for what comes
/// back. Nothing is stored and nothing is retried.
package final class Pinger: Sendable {
    package enum Refused: Error, Equatable {
        /// Too many pings are under way.
        case busy
        /// The merchant has no signing secret.
        case unsigned
        /// No connection was free in time, or this machine lacked what one needs.
        case notStarted
    }

    private static let atOnceMax = 32

    private let transport: any Transport
    private let secrets: SecretCache
    private let clock: any TimeSource
    private let entropy: any Entropy
    private let underWay = Atomic<Int>(0)

    package init(transport: any Transport, store: Store, clock: any TimeSource, entropy: any Entropy) {
        self.transport = transport
        self.clock = clock
        self.entropy = entropy
        secrets = SecretCache(store: store, clock: clock)
    }

    /// - Throws: `Refused`, or `StoreError` where the secret cannot be read.
    package func ping(merchantID: Int64, url: ReceiverURL) async throws -> PingResult {
        guard underWay.wrappingAdd(1, ordering: .relaxed).newValue <= Self.atOnceMax else {
            underWay.subtract(1, ordering: .relaxed)
            throw Refused.busy
        }
        defer { underWay.subtract(1, ordering: .relaxed) }
        guard let signer = try await secrets.signers(for: [merchantID])[merchantID] else { throw Refused.unsigned }
        // Row ids begin at 1, so a ping never bears the name of a notification.
        let webhookID = WebhookID(id: 0, nonce: entropy.next())
        let request = request(merchantID, url, signer, webhookID)
        let (result, duration) = await withCheckedContinuation { continuation in
            transport.send(request) { continuation.resume(returning: ($0, $1)) }
        }
        switch result {
        case .notStarted, .shortage: throw Refused.notStarted
        case .failed(let failure):
            return PingResult(
                webhookID: webhookID, duration: duration, statusCode: nil, reason: failure, answer: [])
        case .answered(let wire):
            let outcome = AttemptOutcome(statusCode: wire.statusCode, retryAfter: nil)
            return PingResult(
                webhookID: webhookID, duration: duration, statusCode: wire.statusCode, reason: outcome.reason,
                answer: wire.body, location: wire.location)
        }
    }

    private func request(
        _ merchantID: Int64, _ url: ReceiverURL, _ signer: WebhookSigner, _ webhookID: WebhookID
    ) -> WireRequest {
        let body = Self.body(merchantID, at: clock.wall)
        let clock = clock
        let attemptID = Hex.text(entropy.bytes(16))
        return WireRequest(
            url: url, merchantID: merchantID, headers: [],
            lateHeaders: { lines in
                let timestamp = clock.wall.seconds
                lines.add("content-type", "application/json")
                lines.add("user-agent", Courier.userAgent)
                lines.add("webhook-id", webhookID.description)
                lines.add("webhook-timestamp", timestamp)
                lines.add(
                    "webhook-signature",
                    signer.standard(webhookID: webhookID.description, timestamp: timestamp, body: body))
                lines.add("x-webhook-attempt", Int64(1))
                lines.add("x-webhook-attempt-id", attemptID)
            }, body: body, startBy: .now + .seconds(Limits.responseHeadSeconds))
    }

    /// Without a `status`, so that no receiver takes it for news of a payout.
    private static func body(_ merchantID: Int64, at now: Timestamp) -> [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("type", "ping")
            writer.member("timestamp", TimeText.zulu(now))
            writer.object("data") { $0.member("merchant_id", merchantID) }
        }
        return writer.bytes
    }
}
