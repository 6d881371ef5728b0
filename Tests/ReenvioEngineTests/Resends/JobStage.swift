import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// What tests of a job have in common.
extension EngineFixture {
    static let requester = Requester(actor: "key:test")

    /// Paid and acknowledged payouts, and a job over all of them, not begun.
    func job(_ count: Int, _ options: ResendOptions = ResendOptions()) async throws -> Resend {
        let ids = try await store.createPayouts(count, now: clock.wall)
        try await store.report(.paid, ids, at: clock.wall, due: clock.engine)
        try await deliver { _ in 200 }
        return try await dispatchJob(options)
    }

    /// A job over what was paid in the hour before or is in the hour after, not begun.
    func dispatchJob(
        _ options: ResendOptions = ResendOptions(), named name: Character = "a", startingBefore seconds: Int64 = 3_600
    ) async throws -> Resend {
        let second = clock.wall.seconds
        let request = ResendRequest(
            merchantID: Fixtures.merchantID,
            window: ResendWindow(startSeconds: second - seconds, endSeconds: second + 3_600), statuses: [.paid],
            options: options)
        let opening = ResendOpening(
            accountID: 1, jobID: String(repeating: name, count: 32), requester: Self.requester)
        return try #require(try await store.openResend(request, opening, now: clock.wall).resend)
    }

    /// Resends one payout again and again, so that its receiver gets that many attempts of resends at once and more.
    func warmUp(_ count: Int, payoutID: Int64 = 1) async throws {
        for number in 0..<count {
            let request = OneResend(
                payoutID: payoutID, accountID: nil, publicID: "warm-\(number)", requester: Self.requester)
            guard case .enqueued = try await engine.resendOne(request) else { throw Fixtures.Missing() }
            try await deliver { _ in 200 }
        }
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
