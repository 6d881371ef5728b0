import ReenvioModel
import Testing

/// The breaker and the slots of a receiver (`docs/contract.md` 3.4).
struct BreakerTests {
    private static let start = Timestamp(seconds: 1_000_000)

    @Test("probes go after 5 s, 10 s, ... 5 min")
    func waits() throws {
        var breaker = Breaker(openedAt: Self.start)
        var now = breaker.nextProbe
        var waits = [now - Self.start]
        for _ in 0..<8 {
            breaker = try #require(breaker.after(probeAcknowledged: false, now: now))
            waits.append(breaker.nextProbe - now)
            now = breaker.nextProbe
        }
        #expect(waits == [5, 10, 20, 40, 80, 160, 300, 300, 300].map { .seconds($0) })
        #expect(breaker.openedAt == Self.start)
    }

    @Test("two acknowledgements in a row close it, the second probe goes at once; one is not enough")
    func closing() throws {
        let open = Breaker(openedAt: Self.start)
        let once = try #require(open.after(probeAcknowledged: true, now: open.nextProbe))
        #expect(once.nextProbe == open.nextProbe)
        #expect(once.after(probeAcknowledged: true, now: open.nextProbe) == nil)
        let again = try #require(once.after(probeAcknowledged: false, now: open.nextProbe))
        #expect(again.nextProbe - open.nextProbe == .seconds(10))
        let fresh = try #require(again.after(probeAcknowledged: true, now: again.nextProbe))
        #expect(fresh.after(probeAcknowledged: true, now: again.nextProbe) == nil)
    }

    @Test("it is broken after 10 failures in a row, never on fewer; an acknowledgement begins anew")
    func tenInARow() {
        var load = ReceiverLoad(ceiling: 128)
        let failures: [AttemptOutcome] = [
            .failed(.timedOut), .answered(statusCode: 500, retryAfter: nil),
            .answered(statusCode: 404, retryAfter: nil), .failed(.addressForbidden),
            .answered(statusCode: 201, retryAfter: nil),
        ]
        for number in 0..<9 { load.note(failures[number % failures.count]) }
        #expect(!load.isBroken)
        load.note(.acknowledged)
        for number in 0..<9 { load.note(failures[number % failures.count]) }
        #expect(!load.isBroken)
        load.note(.failed(.connectionRefused))
        #expect(load.isBroken)
    }
}

struct ReceiverLoadTests {
    @Test("slots grow with each acknowledgement up to the ceiling")
    func growth() {
        var load = ReceiverLoad(ceiling: 40)
        #expect(load.slots == 16)
        for _ in 0..<10 { load.note(.acknowledged) }
        #expect(load.slots == 26)
        for _ in 0..<100 { load.note(.acknowledged) }
        #expect(load.slots == 40)
    }

    @Test(
        "time-outs, lost connections, 5xx and 429 halve them, down to one; other answers do not",
        arguments: [
            (AttemptOutcome.failed(.timedOut), true), (.failed(.connectionReset), true),
            (.failed(.connectionRefused), true), (.answered(statusCode: 500, retryAfter: nil), true),
            (.answered(statusCode: 503, retryAfter: "3"), true), (.answered(statusCode: 429, retryAfter: nil), true),
            (.answered(statusCode: 404, retryAfter: nil), false), (.answered(statusCode: 410, retryAfter: nil), false),
            (.answered(statusCode: 201, retryAfter: nil), false), (.failed(.tlsExpired), false),
            (.failed(.addressForbidden), false),
        ])
    func halving(_ outcome: AttemptOutcome, _ isStrained: Bool) {
        var load = ReceiverLoad(ceiling: 128)
        var seen: [Int] = []
        for _ in 0..<40 {
            load.note(outcome)
            if seen.last != load.slots { seen.append(load.slots) }
        }
        #expect(seen == (isStrained ? [16, 8, 4, 2, 1] : [16]))
    }

    @Test("a stray failure among many acknowledgements costs nothing; a tenth of them does")
    func tolerance() {
        var load = ReceiverLoad(ceiling: 100, slots: 100)
        for round in 0..<10 {
            for _ in 0..<19 { load.note(.acknowledged) }
            load.note(.failed(.timedOut))
            #expect(load.slots == 100, "round \(round)")
        }
        for _ in 0..<10 { load.note(.failed(.timedOut)) }
        #expect(load.slots == 50)
    }

    @Test("a round is halved once, not once for each attempt that was in flight")
    func onceARound() {
        var load = ReceiverLoad(ceiling: 128, slots: 128)
        for _ in 0..<13 { load.note(.failed(.timedOut)) }
        #expect(load.slots == 64)
        for _ in 0..<6 { load.note(.failed(.timedOut)) }
        #expect(load.slots == 64)
    }

    @Test("slow has some distance between on and off")
    func slow() {
        #expect(!ReceiverLoad(ceiling: 128).isSlow(before: false), "new is not slow")
        #expect(!ReceiverLoad(ceiling: 128, slots: 5).isSlow(before: false))
        #expect(ReceiverLoad(ceiling: 128, slots: 4).isSlow(before: false))
        #expect(ReceiverLoad(ceiling: 128, slots: 15).isSlow(before: true))
        #expect(!ReceiverLoad(ceiling: 128, slots: 16).isSlow(before: true))
    }
}
