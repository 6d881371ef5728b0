import Crypto

/// Something that an operator wants to be told (`docs/operations.md`).
package struct OperatorNotice: Sendable, Equatable {
    package enum What: Sendable, Equatable {
        case receiverBroken(receiverID: Int64, merchantID: Int64, reason: AttemptFailure?)
        case receiverRecovered(receiverID: Int64, merchantID: Int64, brokenFor: Duration)
        case resendEnded(jobID: String, merchantID: Int64, ended: String, total: Int64, queued: Int64, failed: Int64)
        case deliveryExhausted(
            webhookID: WebhookID, receiverID: Int64, merchantID: Int64, payoutID: Int64?, attempts: Int,
            reason: AttemptFailure?)
    }

    package var what: What
    package var at: Timestamp

    package init(_ what: What, at: Timestamp) {
        self.what = what
        self.at = at
    }

    /// `ended` is `completed`, `failed` or `canceled`.
    package static func ended(_ job: Resend, as ended: String, at now: Timestamp) -> OperatorNotice {
        OperatorNotice(
            .resendEnded(
                jobID: job.jobID, merchantID: job.merchantID, ended: ended, total: job.total, queued: job.queued,
                failed: job.failed), at: now)
    }

    /// The name of a notice at its receiver, the same at each attempt. Its bits come from what it says, so that a store
    /// restored from a backup, whose row ids come again, never names another notice the same.
    package static func webhookID(id: Int64, body: [UInt8]) -> WebhookID {
        let bits = SHA256.hash(data: body).prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return WebhookID(id: id, nonce: bits)
    }

    /// Comes in great numbers where many deliveries are given up; the others are rare.
    package var isFrequent: Bool {
        if case .deliveryExhausted = what { true } else { false }
    }

    package var type: String {
        switch what {
        case .receiverBroken: "receiver.broken"
        case .receiverRecovered: "receiver.recovered"
        case .resendEnded: "resend.ended"
        case .deliveryExhausted: "delivery.exhausted"
        }
    }

    /// `type`, `timestamp` and `data`; ids and words only, nothing of people.
    package var body: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("type", type)
            writer.member("timestamp", TimeText.zulu(at))
            writer.object("data") { write(into: &$0) }
        }
        return writer.bytes
    }

    private func write(into writer: inout JSONWriter) {
        switch what {
        case .receiverBroken(let receiverID, let merchantID, let reason):
            writer.member("receiver_id", receiverID)
            writer.member("merchant_id", merchantID)
            writer.member("reason", reason?.rawValue)
        case .receiverRecovered(let receiverID, let merchantID, let brokenFor):
            writer.member("receiver_id", receiverID)
            writer.member("merchant_id", merchantID)
            writer.member("broken_ms", brokenFor.milliseconds)
        case .resendEnded(let jobID, let merchantID, let ended, let total, let queued, let failed):
            writer.member("job_id", jobID)
            writer.member("merchant_id", merchantID)
            writer.member("ended", ended)
            writer.member("total", total)
            writer.member("queued", queued)
            writer.member("failed", failed)
        case .deliveryExhausted(let webhookID, let receiverID, let merchantID, let payoutID, let attempts, let reason):
            writer.member("webhook_id", webhookID.description)
            writer.member("receiver_id", receiverID)
            writer.member("merchant_id", merchantID)
            writer.member("payout_id", payoutID)
            writer.member("attempts", attempts)
            writer.member("reason", reason?.rawValue)
        }
    }
}
