import ReenvioModel

/// How far a resend is: what the bar shows, and the figures beside it. Enqueued and delivered are two things: the bar
/// speaks of outcomes.
struct Progress {
    static let outcomes = ["delivered", "undelivered", "pending", "skipped"]
    private static let width: Int64 = 1_000

    var total: Int64
    var queued: Int64
    var failed: Int64
    var outcome: [(name: String, count: Int64)]
    /// A word of `ResendPhase`.
    var word: String
    var isOver: Bool
    var waitsForPause: Bool

    /// A job's state with its outcome (`docs/contract.md` 13.1).
    init(_ state: JSONObject) {
        let counts = state["outcome"]?.object
        total = state["total"]?.integer ?? 0
        queued = state["queued"]?.integer ?? 0
        failed = state["failed"]?.integer ?? 0
        outcome = Self.outcomes.map { ($0, counts?[$0]?.integer ?? 0) }
        word = state["phase"]?.text ?? ""
        isOver = state["status"]?.text != "processing" && counts?["pending"]?.integer == 0
        waitsForPause = state["waiting_on"]?.text == "receiver_paused"
    }

    /// Of a v3 log.
    init(_ log: ResendLogDetails) {
        total = log.total
        queued = log.queued
        failed = log.failed
        outcome = [
            ("delivered", log.outcome.delivered), ("undelivered", log.outcome.undelivered),
            ("pending", log.outcome.pending), ("skipped", log.outcome.skipped),
        ]
        word = log.phase.rawValue
        isOver = log.isOver
        waitsForPause = log.waitingOn == "receiver_paused"
    }

    /// The parts of the bar, side by side, in thousandths of its width.
    private var bars: [(name: String, x: Int64, width: Int64)] {
        var before: Int64 = 0
        return (outcome + [("failed", failed)]).map { name, count in
            let from = total == 0 ? 0 : before * Self.width / total
            before += count
            let to = total == 0 ? 0 : min(Self.width, before * Self.width / total)
            return (name, from, max(0, to - from))
        }
    }

    private var texts: [(name: String, text: String)] {
        outcome.map { ($0.name, Shown.number($0.count)) } + [
            ("total", Shown.number(total)), ("queued", Shown.number(queued)), ("failed_items", Shown.number(failed)),
            ("job_state", Shown.word(word)), ("waits", waitsForPause ? "Waits: the receiver is paused." : ""),
            ("sentence", sentence),
        ]
    }

    private var sentence: String {
        let delivered = outcome.first { $0.name == "delivered" }?.count ?? 0
        return "\(delivered) of \(total) delivered"
    }

    func write(into view: inout View) {
        for (name, text) in texts { view.text(name, text) }
        view.text("tone", Shown.tone(word))
        view.list(
            "bars",
            bars.map { bar in
                var view = View()
                view.text("bar", bar.name)
                view.text("x", bar.x)
                view.text("width", bar.width)
                return view
            })
    }

    var event: JSONObject {
        var event = JSONObject()
        event.set("texts", JSONObject.fields(texts))
        event.set("bars", JSONObject.fields(bars.map { ($0.name, "\($0.x) \($0.width)") }))
        event.set("tones", JSONObject.fields([("job_state", Shown.tone(word))]))
        if isOver { event.set("over", .bool(true)) }
        return event
    }
}
