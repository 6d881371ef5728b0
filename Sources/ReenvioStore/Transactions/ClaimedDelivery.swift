package import ReenvioModel

/// Everything one attempt needs, and what its record must know. A reference: it goes through many hands on its way.
package final class ClaimedDelivery: Sendable {
    /// What is sent: a payout's webhook, or an event of v3.
    package enum Message: Sendable {
        case payout(id: Int64, invoice: String, amount: Money)
        case event(Event)
    }

    /// An event on its way to one registration.
    package struct Event: Sendable {
        package var id: Int64
        package var registrationID: Int64
        package var category: EventCategory
        /// The payout or QR code.
        package var objectID: Int64
        /// What the registration asks to be sent along (`docs/contract.md` 6.5).
        package var authorization: String?
        package var functionsKey: String?
    }

    package let merchantID: Int64
    package let id: Int64
    package let token: Int64
    package let queue: QueueID
    /// The number of this attempt, from 1.
    package let attempt: Int
    package let createdAt: Timestamp
    package let message: Message
    package let url: String
    /// That of its URL (`ReceiverURL.fingerprint`).
    package let urlFingerprint: Int64
    package let notificationID: Int64
    package let webhookID: WebhookID
    /// The number of the status change within its payout, or of the event within its object.
    package let sequence: Int64
    /// On the merchant's clock.
    package let changeSeq: Int64
    /// The live delivery of the same notification.
    package let liveDeliveryID: Int64?
    package let body: [UInt8]
    package let resendID: Int64?
    package let resendPublicID: String?
    /// That of whoever reported the change, or of a resend of whoever asked for it; nil where there was none.
    package let trace: TraceParent?
    /// Why it goes through an open breaker; nil where it does not.
    package let probe: Breaker.Occasion?
    /// Its notification had been acknowledged when it was claimed, so that another acknowledgement changes nothing.
    let wasAcknowledged: Bool

    /// A payout's webhook. Nil where the row lost its payout or notification, which is damage.
    init?(
        _ row: any SQLRow, _ queue: Turns.Candidate, token: Int64, _ resend: ClaimedResends.Found?,
        probe: Breaker.Occasion?
    ) {
        if row.isNull(3) || row.isNull(7) { return nil }
        merchantID = queue.merchantID
        id = row.int(0)
        self.token = token
        self.queue = queue.queue
        attempt = Int(row.int(1)) + 1
        message = .payout(
            id: row.int(2), invoice: row.text(3), amount: Money(minor: row.int(4), currency: row.text(5)))
        url = row.text(6)
        urlFingerprint = ReceiverURL.fingerprint(of: url)
        notificationID = row.int(7)
        webhookID = WebhookID(id: row.int(7), nonce: UInt64(bitPattern: row.int(8)))
        sequence = row.int(9)
        body = row.blob(10)
        resendID = row.intIfPresent(11)
        resendPublicID = resend?.name
        trace = resendID == nil ? row.blobIfPresent(20).flatMap(TraceParent.init(bytes:)) : resend?.trace
        self.probe = probe
        createdAt = row.time(12)
        changeSeq = row.int(13)
        liveDeliveryID = row.intIfPresent(14)
        wasAcknowledged = row.bool(19)
    }

    init(_ sealed: SealedEvent, _ event: Event, body: [UInt8]) {
        merchantID = sealed.candidate.merchantID
        id = sealed.deliveryID
        token = sealed.token
        queue = sealed.candidate.queue
        attempt = sealed.attempt
        message = .event(event)
        url = sealed.url
        urlFingerprint = ReceiverURL.fingerprint(of: url)
        notificationID = sealed.notificationID
        webhookID = sealed.webhookID
        sequence = sealed.sequence
        self.body = body
        resendID = sealed.resendID
        resendPublicID = sealed.resendPublicID
        trace = sealed.trace
        probe = sealed.probe
        createdAt = sealed.createdAt
        changeSeq = sealed.changeSeq
        liveDeliveryID = nil
        wasAcknowledged = false
    }

    package var isProbe: Bool { probe != nil }

    /// The event where it is one.
    package var event: Event? {
        if case .event(let event) = message { event } else { nil }
    }

    /// What an ended delivery is filed under: the payout, or the event.
    var settledUnder: Int64 {
        switch message {
        case .payout(let id, _, _): id
        case .event(let event): event.id
        }
    }

    /// A v3 resend has a schedule of its own (`docs/contract.md` 6.4).
    package var isLogResend: Bool { resendID != nil && event != nil }

    var tallyKey: ResendTallies.Key? {
        resendID.map { ResendTallies.Key(merchantID: merchantID, resendID: $0) }
    }

    var candidate: Turns.Candidate { Turns.Candidate(merchantID: merchantID, queue: queue) }
}
