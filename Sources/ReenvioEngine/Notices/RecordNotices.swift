import ReenvioModel
import ReenvioStore

extension OperatorNotice {
    /// What a commit of outcomes has to tell: breakers that opened or closed, deliveries that were given up.
    static func of(_ records: [AttemptRecord], _ events: [ReceiverEvent], at now: Timestamp) -> [OperatorNotice] {
        let receivers = events.compactMap { event -> OperatorNotice? in
            switch event.what {
            case .opened(let reason):
                OperatorNotice(
                    .receiverBroken(receiverID: event.receiverID, merchantID: event.merchantID, reason: reason), at: now
                )
            case .closed(let duration):
                OperatorNotice(
                    .receiverRecovered(
                        receiverID: event.receiverID, merchantID: event.merchantID, brokenFor: duration), at: now)
            case .held: nil
            }
        }
        let exhausted = records.compactMap { record -> OperatorNotice? in
            guard record.next == .end(.exhausted) else { return nil }
            let claimed = record.claimed
            var payoutID: Int64?
            if case .payout(let id, _, _) = claimed.message { payoutID = id }
            return OperatorNotice(
                .deliveryExhausted(
                    webhookID: claimed.webhookID, receiverID: claimed.queue.receiverID, merchantID: claimed.merchantID,
                    payoutID: payoutID, attempts: claimed.attempt, reason: record.outcome?.reason), at: now)
        }
        return receivers + exhausted
    }
}
