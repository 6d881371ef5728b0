import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// What tests of a job have in common.
extension EngineFixture {
    static let requester = Requester(actor: "key:test")

    /// Paid and acknowledged payouts, and a job over all of them, not begun.
    func job(_ count: Int) async throws -> Resend {
        let ids = try await store.createPayouts(count, now: clock.wall)
        try await store.report(.paid, ids, at: clock.wall, due: clock.engine)
        try await deliver { _ in 200 }
        let second = clock.wall.seconds
        let request = ResendRequest(
            merchantID: Fixtures.merchantID,
            window: ResendWindow(startSeconds: second - 3_600, endSeconds: second + 3_600), statuses: [.paid])
        let opening = ResendOpening(
            accountID: 1, jobID: String(repeating: "a", count: 32), requester: Self.requester)
        return try #require(try await store.openResend(request, opening, now: clock.wall).resend)
    }

    /// Enqueues everything that running resends cover.
    func advance() async throws {
        while case .again = try await engine.runner.step(now: clock.now) {}
    }

    /// Answers what is sent until nothing is; nil leaves an exchange without an answer.
    func deliver(_ answer: (ScriptedTransport.Exchange) -> Int?) async throws {
        try await dispatch()
        while transport.count > 0 {
            for exchange in transport.take() { answer(exchange).map { exchange.answer($0) } }
            clock.advance(by: .milliseconds(5))
            try await dispatch()
        }
    }
}
