import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Breaker, holds, pauses and slots, in real steps of the engine (`docs/contract.md` 3.4, 13.11).
struct ReceiverTests {
    private static let requester = Requester(actor: "key:test")

    static func paid(
        _ count: Int, _ fixture: EngineFixture, url: String = Fixtures.receiverURL, prefix: String = "inv",
        merchantID: Int64 = Fixtures.merchantID
    ) async throws -> [Int64] {
        let ids = try await fixture.store.createPayouts(count, merchantID: merchantID, prefix: prefix, url: url)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: fixture.clock.engine)
        return ids
    }

    static func receiver(_ fixture: EngineFixture, _ id: Int64 = 1) async throws -> Receiver {
        let page = try await fixture.store.listReceivers(merchantID: nil, accountID: nil, CursorPage(limit: 100))
        return try #require(page.receivers.first { $0.id == id })
    }

    /// Answers everything in flight, until nothing is.
    static func answerAll(
        _ fixture: EngineFixture, _ answer: (ScriptedTransport.Exchange) -> Void
    ) async throws -> Int {
        var count = 0
        for _ in 0..<1_000 {
            try await fixture.dispatch()
            let exchanges = fixture.transport.take()
            if exchanges.isEmpty { return count }
            count += exchanges.count
            exchanges.forEach(answer)
        }
        return count
    }

    static func breakIt(_ fixture: EngineFixture) async throws -> [Int64] {
        let ids = try await paid(10, fixture)
        #expect(try await answerAll(fixture) { $0.answer(500) } == 10)
        return ids
    }

    static func attempts(_ fixture: EngineFixture) async throws -> Int64 {
        try await fixture.store.number("SELECT count(*) FROM attempts") ?? -1
    }

    @Test("nine failures in a row leave it open, the tenth parks its queues; nothing is spent meanwhile")
    func opening() async throws {
        let fixture = try await EngineFixture()
        _ = try await Self.paid(9, fixture)
        #expect(try await Self.answerAll(fixture) { $0.answer(500) } == 9)
        #expect(try await Self.receiver(fixture).health != .broken)
        _ = try await Self.paid(1, fixture, prefix: "tenth")
        #expect(try await Self.answerAll(fixture) { $0.answer(500) } == 1)
        let broken = try await Self.receiver(fixture)
        #expect(broken.health == .broken)
        #expect(broken.since == fixture.clock.wall)
        #expect(broken.waiting == 10)
        fixture.clock.advance(by: .milliseconds(4_999))
        try await fixture.dispatch()
        #expect(fixture.transport.count == 0)
        #expect(try await Self.attempts(fixture) == 10, "deferred without spending an attempt")
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine).isEmpty)
    }

    @Test("one probe after 5 s, the next after 10 s, and two acknowledgements let everything through")
    func probing() async throws {
        let fixture = try await EngineFixture()
        _ = try await Self.breakIt(fixture)
        fixture.clock.advance(by: .seconds(6))
        try await fixture.dispatch()
        let first = fixture.transport.take()
        #expect(first.count == 1, "one probe, although ten are due")
        fixture.clock.advance(by: .seconds(4))
        try await fixture.dispatch()
        #expect(fixture.transport.count == 0, "not a second one while it runs")
        first[0].answer(500)
        try await fixture.dispatch()
        fixture.clock.advance(by: .milliseconds(9_999))
        try await fixture.dispatch()
        #expect(fixture.transport.count == 0)
        fixture.clock.advance(by: .milliseconds(1))
        try await fixture.dispatch()
        fixture.transport.take().first?.answer(200)
        try await fixture.dispatch()
        #expect(try await Self.receiver(fixture).health == .broken, "one is not enough")
        let second = fixture.transport.take()
        #expect(second.count == 1, "after an acknowledgement at once")
        second.first?.answer(200)
        try await fixture.dispatch()
        #expect(try await Self.receiver(fixture).health != .broken)
        fixture.clock.advance(by: .seconds(400))
        #expect(try await Self.answerAll(fixture) { $0.answer(200) } == 8)
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 0)
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine).isEmpty)
    }

    @Test("a probe whose result is lost is followed by another when its lease has ended")
    func lostProbe() async throws {
        let fixture = try await EngineFixture()
        _ = try await Self.breakIt(fixture)
        fixture.clock.advance(by: .seconds(6))
        try await fixture.dispatch()
        #expect(fixture.transport.take().count == 1)
        fixture.clock.advance(by: .seconds(29))
        try await fixture.dispatch()
        #expect(fixture.transport.count == 0)
        fixture.clock.advance(by: .seconds(2))
        try await fixture.dispatch()
        #expect(fixture.transport.take().count == 1)
    }

    @Test("an acknowledgement between failures keeps the breaker closed")
    func notInARow() async throws {
        let fixture = try await EngineFixture()
        for round in 0..<4 {
            _ = try await Self.paid(9, fixture, prefix: "r\(round)")
            #expect(try await Self.answerAll(fixture) { $0.answer(502) } == 9)
            _ = try await Self.paid(1, fixture, prefix: "ok\(round)")
            #expect(try await Self.answerAll(fixture) { $0.answer(200) } == 1)
        }
        #expect(try await Self.receiver(fixture).health != .broken)
    }

    @Test("what a breaker deferred for 72 hours is given up; what a pause deferred is not")
    func givingUp() async throws {
        let fixture = try await EngineFixture(schedule: Self.enduring)
        let ids = try await Self.breakIt(fixture)
        let opening = ResendOpening(
            accountID: 1, jobID: String(repeating: "a", count: 32), requester: Self.requester)
        let wall = fixture.clock.wall.seconds
        let request = ResendRequest(
            merchantID: Fixtures.merchantID, window: ResendWindow(startSeconds: wall - 60, endSeconds: wall + 60),
            statuses: [.paid])
        let job = try #require(try await fixture.store.openResend(request, opening, now: fixture.clock.wall).resend)
        while case .again = try await fixture.engine.runner.step(now: fixture.clock.now) {}
        try await Self.failProbes(fixture, for: .seconds(72 * 3_600 - 900))
        _ = try await fixture.engine.janitor.step(now: fixture.clock.now)
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 20)
        try await Self.failProbes(fixture, for: .seconds(1_800))
        let paused = try await fixture.store.pauseReceiver(
            id: 1, accountID: nil, by: Self.requester, now: fixture.clock.wall)
        #expect(paused?.health == .paused)
        _ = try await fixture.engine.janitor.step(now: fixture.clock.now)
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 20, "paused")
        _ = try await fixture.store.resumeReceiver(
            id: 1, accountID: nil, by: Self.requester, now: fixture.clock.wall, engineNow: fixture.clock.engine)
        _ = try await fixture.engine.janitor.step(now: fixture.clock.now)
        #expect(
            try await fixture.store.number("SELECT count(*) FROM deliveries WHERE attempts < 2") == 0,
            "what was not probed in 72 hours")
        let outcome = try #require(try await fixture.store.resendOutcome(id: job.id))
        #expect(outcome.undelivered > 0 && outcome.undelivered + outcome.pending == 10)
        let reasons = try await fixture.store.engine.read { db in
            try db.all("SELECT DISTINCT state, reason FROM settled") { [$0.text(0), $0.text(1)] }
        }
        #expect(reasons == [["exhausted", "receiver_broken"]])
        #expect(ids.count == 10)
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine).isEmpty)
    }

    /// More attempts than there are probes in 72 hours, so that nothing is used up by them.
    private static let enduring = RetrySchedule(waits: [.zero] + Array(repeating: .seconds(1), count: 99))

    /// Lets the time pass, with a probe each time that one is due.
    private static func failProbes(_ fixture: EngineFixture, for span: Duration) async throws {
        let end = fixture.clock.engine + span
        while fixture.clock.engine < end {
            fixture.clock.advance(by: .seconds(300))
            _ = try await answerAll(fixture) { $0.answer(500) }
        }
    }

    @Test("an absence of our own for 72 hours gives nothing up; 72 hours of probes after it do")
    func absence() async throws {
        let fixture = try await EngineFixture(schedule: Self.enduring)
        _ = try await Self.breakIt(fixture)
        // More than there are probes in 72 hours.
        _ = try await Self.paid(1_000, fixture, prefix: "more")
        let givenUp = "SELECT count(*) FROM settled WHERE reason = 'receiver_broken'"
        fixture.clock.advance(by: .seconds(96 * 3_600))
        _ = try await fixture.engine.janitor.step(now: fixture.clock.now)
        #expect(try await fixture.store.number(givenUp) == 0)
        try await Self.failProbes(fixture, for: .seconds(3_600))
        _ = try await fixture.engine.janitor.step(now: fixture.clock.now)
        #expect(try await fixture.store.number(givenUp) == 0)
        try await Self.failProbes(fixture, for: .seconds(72 * 3_600))
        _ = try await fixture.engine.janitor.step(now: fixture.clock.now)
        #expect(try await fixture.store.number(givenUp) ?? 0 > 100)
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries WHERE attempts = 0") == 0)
    }

    @Test("Retry-After holds the whole receiver, at most an hour, and no other")
    func holding() async throws {
        let fixture = try await EngineFixture()
        _ = try await Self.paid(1, fixture)
        _ = try await Self.paid(1, fixture, url: "https://other.example/hook", prefix: "other")
        #expect(
            try await Self.answerAll(fixture) { exchange in
                if exchange.request.url.text.contains("other") {
                    exchange.answer(200)
                } else {
                    exchange.answer(503, retryAfter: "7200")
                }
            } == 2)
        _ = try await Self.paid(3, fixture, prefix: "late")
        _ = try await Self.paid(1, fixture, url: "https://other.example/hook", prefix: "other2")
        try await fixture.dispatch()
        let sent = fixture.transport.take()
        #expect(sent.map(\.request.url.text) == ["https://other.example/hook"])
        sent.first?.answer(200)
        #expect(try await Self.receiver(fixture).health == .slow)
        fixture.clock.advance(by: .seconds(3_599))
        try await fixture.dispatch()
        #expect(fixture.transport.count == 0)
        fixture.clock.advance(by: .seconds(1))
        #expect(try await Self.answerAll(fixture) { $0.answer(200) } == 4)
        #expect(try await Self.receiver(fixture).health == .ok)
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine).isEmpty)
    }

    @Test("what comes while paused waits, for receivers without a queue as well, and goes after the resume")
    func pausing() async throws {
        let fixture = try await EngineFixture()
        _ = try await Self.paid(1, fixture)
        #expect(try await Self.answerAll(fixture) { $0.answer(200) } == 1)
        let foreign = try await fixture.store.pauseReceiver(
            id: 1, accountID: 77, by: Self.requester, now: fixture.clock.wall)
        #expect(foreign == nil)
        let paused = try await fixture.store.pauseReceiver(
            id: 1, accountID: 1, by: Self.requester, now: fixture.clock.wall)
        #expect(paused?.health == .paused)
        _ = try await fixture.store.sweep(
            from: SweepPosition(), retention: .standard, now: fixture.clock.wall)
        _ = try await Self.paid(3, fixture, prefix: "waits")
        let ids = try await fixture.store.createPayouts(1, prefix: "one")
        try await fixture.store.report(
            .paid, ids, at: fixture.clock.wall, due: fixture.clock.engine + .seconds(1_000_000))
        let resent = try await fixture.engine.resendOne(
            OneResend(payoutID: ids[0], accountID: nil, publicID: "x", requester: Self.requester))
        guard case .enqueued = resent else {
            Issue.record("not enqueued")
            return
        }
        fixture.clock.advance(by: .seconds(5 * 3_600))
        try await fixture.dispatch()
        #expect(fixture.transport.count == 0)
        #expect(try await Self.receiver(fixture).waiting == 5)
        _ = try await fixture.store.resumeReceiver(
            id: 1, accountID: 1, by: Self.requester, now: fixture.clock.wall, engineNow: fixture.clock.engine)
        #expect(try await Self.answerAll(fixture) { $0.answer(200) } == 4)
        #expect(try await Self.receiver(fixture).health == .ok)
        let actions = try await fixture.store.listAudit(CursorPage()).rows.map(\.action).prefix(3)
        #expect(actions == ["receiver.resume", "resend.one", "receiver.pause"])
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine).isEmpty)
    }

    @Test("a new receiver gets 16 attempts at once, more with each acknowledgement, few when it is strained")
    func slots() async throws {
        let fixture = try await EngineFixture(schedule: RetrySchedule(waits: [.zero, .seconds(1_000)]))
        _ = try await Self.paid(200, fixture)
        try await fixture.dispatch()
        let first = fixture.transport.take()
        #expect(first.count == 16)
        first.forEach { $0.answer(200) }
        try await fixture.dispatch()
        let second = fixture.transport.take()
        #expect(second.count == 32)
        second.forEach { $0.answer(500) }
        try await fixture.dispatch()
        #expect(fixture.transport.count <= 8)
        #expect(try await Self.receiver(fixture).health != .broken, "it acknowledged something a moment ago")
    }

    @Test("an origin that many merchants share has a ceiling of its own; what it crowds out goes a little later")
    func originCeiling() async throws {
        let fixture = try await EngineFixture()
        let url = "https://shared.example/hook"
        let merchants: [Int64] = [303, 304]
        for merchantID in merchants {
            _ = try await Self.paid(600, fixture, url: url, prefix: "m\(merchantID)", merchantID: merchantID)
        }
        var most = 0
        var sent = 0
        for _ in 0..<200 where sent < 1_200 {
            try await fixture.dispatch()
            most = max(most, fixture.transport.count)
            // Only half are answered each time, so that what is in flight piles up as far as it may.
            let count = fixture.transport.count
            for _ in 0..<max(1, count / 2) {
                guard let exchange = fixture.transport.take(at: 0) else { break }
                exchange.answer(200)
                sent += 1
            }
            fixture.clock.advance(by: .milliseconds(100))
        }
        #expect(most <= Limits.attemptsInFlightPerOrigin)
        #expect(sent == 1_200)
        try await fixture.dispatch()
        #expect(try await fixture.store.number("SELECT count(*) FROM attempts") == 1_200, "crowded out is no attempt")
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine).isEmpty)
    }
}
