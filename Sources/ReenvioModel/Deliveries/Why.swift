/// The answer to "why was this payout's webhook (not) sent?" (`docs/contract.md` 13.15): would a window match it, what
/// was sent, what answered, what is next and when.
package struct Why: Sendable, Equatable {
    package var payoutID: Int64
    package var facts: WindowMatch.Facts
    package var isErased: Bool
    /// Whether the address rules of today refuse its URL.
    package var isURLRefused: Bool
    package var window: ResendWindow?
    /// Newest first.
    package var log: [LoggedNotification]
    package var receiver: Receiver?
    /// Why its delivery is passed over: damage in the store; nil where it is not.
    package var setAside: String?

    package init(
        payoutID: Int64, facts: WindowMatch.Facts, isErased: Bool, isURLRefused: Bool = false, window: ResendWindow?,
        log: [LoggedNotification], receiver: Receiver?, setAside: String? = nil
    ) {
        self.payoutID = payoutID
        self.facts = facts
        self.isErased = isErased
        self.isURLRefused = isURLRefused
        self.window = window
        self.log = log
        self.receiver = receiver
        self.setAside = setAside
    }

    /// Nil where no window was asked about.
    package var misses: [WindowMiss]? { window.map { WindowMatch.misses(facts, $0) } }

    /// What a resend of it would answer now; nil where one sends it.
    package var refusal: ResendRefusal? {
        ResendRefusal(isNotified: !log.isEmpty, isErased: isErased, isURLRefused: isURLRefused)
    }

    /// When something is tried next, by its schedule; nil when nothing is open.
    package var nextAttemptAt: Timestamp? {
        log.flatMap(\.deliveries).filter { $0.state == .waiting }.compactMap(\.nextAttemptAt).min()
    }

    /// The whole story, a sentence each.
    package var explanation: [String] {
        windowSentences + sentSentences + nextSentences
    }

    private var windowSentences: [String] {
        guard let window, let misses else { return [] }
        let span =
            "\(TimeText.plain(Timestamp(seconds: window.startSeconds))) to "
            + "\(TimeText.plain(Timestamp(seconds: window.endSeconds)))"
        if misses.isEmpty {
            let failed = refusal.map { " It would count as failed there: \($0.message)" } ?? ""
            return ["A resend of \(span) would match it.\(failed)"]
        }
        return ["A resend of \(span) would not match it."] + misses.map { $0.sentence(facts) }
    }

    private var sentSentences: [String] {
        guard let latest = log.first else { return ["No webhook was ever due for it."] }
        var sentences = ["The latest webhook is \(latest.webhookID), for \(latest.status.name)."]
        if let at = latest.acknowledgedAt {
            sentences.append("It was acknowledged at \(TimeText.zulu(at)).")
        } else {
            sentences.append("It has not been acknowledged.")
        }
        let attempts = latest.deliveries.flatMap(\.attempts).sorted { $0.at < $1.at }
        if let last = attempts.last {
            let answer = last.statusCode.map { "answered \($0)" } ?? "failed: \(last.reason ?? "unknown")"
            sentences.append(
                "\(attempts.count) attempts so far, the last at \(TimeText.zulu(last.at)) \(answer).")
        } else {
            sentences.append("It was never attempted.")
        }
        if let given = latest.deliveries.first(where: { $0.reason == AttemptFailure.receiverBroken.rawValue }) {
            let kind = given.isResend ? "resend" : "live"
            sentences.append(
                "The \(kind) delivery was given up behind the receiver's open breaker (\(given.reason ?? "")).")
        }
        return sentences
    }

    private var nextSentences: [String] {
        if let setAside { return ["Something in the store is damaged: \(setAside)."] }
        let open = log.flatMap(\.deliveries).filter { $0.state == .waiting || $0.state == .inFlight }
        if open.contains(where: { $0.state == .inFlight }) { return ["An attempt is under way."] }
        guard let next = nextAttemptAt else { return ["Nothing more is planned; \(resendSentence)."] }
        switch receiver?.health {
        case .paused: return ["It waits: the receiver is paused since \(since)."]
        case .broken: return ["It waits: the receiver is broken since \(since); probes go out until it answers."]
        default: return ["The next attempt is due at \(TimeText.zulu(next))."]
        }
    }

    /// What a resend would do, where nothing is open.
    private var resendSentence: String {
        if let refusal { return "a resend of it would be refused (409): \(refusal.message.dropLast())" }
        return switch receiver?.health {
        case .paused: "a resend would wait: the receiver is paused since \(since)"
        case .broken: "a resend would wait: the receiver is broken since \(since)"
        default: "a resend sends it again"
        }
    }

    private var since: String { receiver.map { TimeText.zulu($0.since) } ?? "" }

    package func writeMembers(into writer: inout JSONWriter) {
        writer.member("payout_id", payoutID)
        writer.object("status") { writer in
            writer.member("id", facts.status.id)
            writer.member("name", facts.status.name)
        }
        writer.member("updated_at", TimeText.zulu(facts.updatedAt))
        writer.member("matches", misses.map(\.isEmpty))
        writer.array("why_not") { writer in
            for miss in misses ?? [] { writer.value(miss.rawValue) }
        }
        writer.object("resend") { writer in
            writer.member("status", refusal == nil ? Int64(202) : 409)
            writer.member("message", refusal?.message)
            writer.member("would_fail", refusal?.reason?.rawValue)
        }
        writer.member("next_attempt_at", nextAttemptAt.map(TimeText.zulu))
        writer.member("receiver") { writer in
            if let receiver {
                writer.object { receiver.writeMembers(into: &$0) }
            } else {
                writer.value(nil as String?)
            }
        }
        writer.array("explanation") { writer in
            for sentence in explanation { writer.value(sentence) }
        }
        writer.array("notifications") { writer in
            for notification in log { notification.write(into: &writer) }
        }
    }
}
