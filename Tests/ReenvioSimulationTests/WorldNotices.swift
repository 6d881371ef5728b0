import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting

/// What the operator of a world heard, by the name of each notice.
struct BookedNotices {
    static let url = "https://ops.example/notices"

    private(set) var bodies: [String: [UInt8]] = [:]
    /// How often one was heard again, because of a kill or an answer that got lost.
    private(set) var repeated = 0

    static func isOne(_ exchange: ScriptedTransport.Exchange) -> Bool {
        exchange.request.url.text == url
    }

    /// A name always says the same.
    mutating func hear(_ exchange: ScriptedTransport.Exchange) throws {
        let name = exchange.header("webhook-id")
        if let known = bodies.updateValue(exchange.request.body, forKey: name) {
            repeated += 1
            guard known == exchange.request.body else { throw SimulationFault("\(name) said two things") }
        }
    }

    /// How many say this, e.g. `"ended":"canceled"`.
    func count(_ words: String...) -> Int {
        bodies.values.count { body in
            let text = String(decoding: body, as: UTF8.self)
            return words.allSatisfy(text.contains)
        }
    }
}

extension World {
    static func operatorHook() throws -> OperatorHook.Target {
        OperatorHook.Target(
            url: try ReceiverURL(parsing: BookedNotices.url, policy: AddressPolicy()),
            secret: try Fixtures.signingSecret)
    }

    /// The operator's side fails now and then, but never until the schedule gives up.
    func answerNotice(_ exchange: ScriptedTransport.Exchange) throws {
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<6:
            try notices.hear(exchange)
            exchange.answer(200)
        case 6, 7: exchange.end(.notStarted)
        default:
            exchange.answer((Int(exchange.header("x-webhook-attempt")) ?? 1) < 3 ? 500 : 200)
            try notices.hear(exchange)
        }
    }

    /// Whatever was killed, the operator heard of everything, and of nothing twice under two names.
    func checkNotices() async throws {
        func expect(_ told: Int, _ sql: String, _ what: String) async throws {
            let stored = try await store.number(sql) ?? 0
            guard told == Int(stored) else { throw SimulationFault("told of \(told) of \(stored) \(what)") }
        }
        try await expect(0, "SELECT count(*) FROM notices", "notices left")
        try await expect(
            notices.count("delivery.exhausted"), "SELECT count(*) FROM settled WHERE state = 'exhausted'", "given up")
        try await expect(
            notices.count("receiver.broken") - notices.count("receiver.recovered"),
            "SELECT count(*) FROM receivers WHERE broken_at IS NOT NULL", "breakers open")
        for (jobID, booked) in jobs.all {
            let ends = ["completed", "failed", "canceled"].map { notices.count(jobID, #""ended":"\#($0)""#) }
            let isWhole = ends[0] + ends[1] == 1 || (booked.isCanceled && ends[0] + ends[1] == 0)
            guard isWhole, ends[2] == (booked.isCanceled ? 1 : 0) else {
                throw SimulationFault("the ends of job \(jobID) were told as \(ends)")
            }
        }
    }
}
