import ReenvioModel
import Testing

/// What opens a breaker, and what closes it (`docs/contract.md` 3.4).
struct MachineHealthTests {
    private static let start = Timestamp(seconds: 1_000_000)

    static let signals: [(AttemptOutcome, AttemptOutcome.Signal)] =
        [(.acknowledged, .acknowledged)]
        + [
            201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 409, 410, 411, 413, 415,
            417, 418, 421, 422, 423, 424, 426, 428, 431, 451, 499,
        ].map { (.answered(statusCode: $0, retryAfter: nil), .message) }
        + [408, 425, 429, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 529, 599].map {
            (.answered(statusCode: $0, retryAfter: nil), .machine)
        }
        + [
            AttemptFailure.addressForbidden, .nameNotResolved, .connectionRefused, .connectionFailed, .tlsUntrusted,
            .tlsExpired, .tlsWrongHost, .tlsFailed, .timedOut, .connectionReset, .malformedResponse,
        ].map { (.failed($0), .machine) }

    @Test("each outcome speaks of the machine or of the message, never of both", arguments: signals)
    func signal(_ outcome: AttemptOutcome, _ signal: AttemptOutcome.Signal) {
        #expect(outcome.signal == signal)
    }

    /// Runs of outcomes, each a signal, how often, and seconds between them; and what the last one says.
    private enum Run {
        case fails(Int, every: Int64 = 0)
        case refuses(Int)
        case acknowledges(Int)
        case waits(Int64)
    }

    private func verdict(_ runs: [Run]) -> MachineHealth.Verdict {
        var health = MachineHealth()
        var now = Self.start
        var last = MachineHealth.Verdict.nothing
        func note(_ signal: AttemptOutcome.Signal, _ count: Int, every seconds: Int64 = 0) {
            for _ in 0..<count {
                now = now + .seconds(seconds)
                last = health.note(signal, at: now)
            }
        }
        for run in runs {
            switch run {
            case .fails(let count, let seconds): note(.machine, count, every: seconds)
            case .refuses(let count): note(.message, count)
            case .acknowledges(let count): note(.acknowledged, count)
            case .waits(let seconds): now = now + .seconds(seconds)
            }
        }
        return last
    }

    @Test("ten failures of the machine in a row break it, never fewer")
    func tenInARow() {
        #expect(verdict([.fails(9)]) == .nothing)
        #expect(verdict([.fails(10)]) == .broken)
        #expect(verdict([.fails(9), .refuses(1), .fails(9)]) == .nothing)
        #expect(verdict([.fails(9), .refuses(1), .fails(10)]) == .broken)
    }

    @Test("no number of answers about messages breaks it")
    func refusals() {
        #expect(verdict([.refuses(10_000)]) == .nothing)
        #expect(verdict([.fails(9), .refuses(10_000)]) == .nothing)
    }

    @Test("within a minute of an acknowledgement no number of failures breaks it; after that the next one does")
    func proven() {
        #expect(verdict([.acknowledges(1), .fails(10_000)]) == .nothing)
        #expect(verdict([.acknowledges(1), .waits(59), .fails(10)]) == .nothing)
        #expect(verdict([.acknowledges(1), .fails(10), .waits(60), .fails(1)]) == .broken)
        #expect(verdict([.acknowledges(1), .waits(60), .fails(9)]) == .nothing)
        #expect(verdict([.acknowledges(1), .waits(60), .fails(10)]) == .broken)
        #expect(verdict([.acknowledges(1), .fails(12, every: 5)]) == .broken)
    }

    @Test("other nodes are told of an acknowledgement where the machine failed lately, once in 20 s")
    func told() {
        #expect(verdict([.acknowledges(5)]) == .nothing)
        #expect(verdict([.fails(1), .acknowledges(1)]) == .proven)
        #expect(verdict([.fails(1), .acknowledges(2)]) == .nothing)
        #expect(verdict([.fails(1), .acknowledges(1), .waits(20), .acknowledges(1)]) == .proven)
        #expect(verdict([.fails(1), .waits(60), .acknowledges(1)]) == .nothing)
    }
}

struct BreakerTests {
    private static let start = Timestamp(seconds: 1_000_000)

    /// What a scheduled probe of the URL 1 makes of it, with no acknowledgement lately.
    private static func after(_ signal: AttemptOutcome.Signal, _ breaker: Breaker, at now: Timestamp) -> Breaker? {
        breaker.after(signal, of: .schedule, url: 1, isProven: false, now: now)
    }

    @Test("scheduled probes go after 5 s, 10 s, ... 5 min")
    func waits() throws {
        var breaker = Breaker(openedAt: Self.start)
        var now = breaker.nextProbe
        var waits = [now - Self.start]
        for _ in 0..<8 {
            breaker = try #require(Self.after(.machine, breaker, at: now))
            waits.append(breaker.nextProbe - now)
            now = breaker.nextProbe
        }
        #expect(waits == [5, 10, 20, 40, 80, 160, 300, 300, 300].map { .seconds($0) })
        #expect(breaker.openedAt == Self.start)
    }

    @Test("two acknowledgements close it, the second probe goes at once; one is not enough")
    func closing() throws {
        let open = Breaker(openedAt: Self.start)
        let once = try #require(Self.after(.acknowledged, open, at: open.nextProbe))
        #expect(once.nextProbe == open.nextProbe)
        #expect(Self.after(.acknowledged, once, at: open.nextProbe) == nil)
        let failed = try #require(Self.after(.machine, once, at: open.nextProbe))
        #expect(failed.nextProbe - open.nextProbe == .seconds(10))
        let again = try #require(Self.after(.acknowledged, failed, at: failed.nextProbe))
        #expect(Self.after(.acknowledged, again, at: again.nextProbe) == nil)
    }

    @Test("within a minute of an acknowledgement a failure at one URL does not take back what another acknowledged")
    func provenProbes() throws {
        let open = Breaker(openedAt: Self.start)
        let once = try #require(open.after(.acknowledged, of: .arrival, url: 1, isProven: true, now: Self.start))
        let failed = try #require(once.after(.machine, of: .schedule, url: 2, isProven: true, now: Self.start))
        #expect(failed.acknowledgedProbes == 1)
        #expect(failed.after(.acknowledged, of: .arrival, url: 1, isProven: true, now: Self.start) == nil)
    }

    @Test("an answer about the message fails no probe and closes nothing; the next one goes at once")
    func refusedProbe() throws {
        let open = Breaker(openedAt: Self.start)
        var now = open.nextProbe
        var breaker = try #require(Self.after(.machine, open, at: now))
        for _ in 0..<100 {
            now = now + .milliseconds(1)
            breaker = try #require(Self.after(.message, breaker, at: now))
            #expect(breaker.nextProbe == now && breaker.failedProbes == 1 && breaker.acknowledgedProbes == 0)
        }
    }

    @Test("a live delivery that arrives waits a second after the last probe, and as long as the receiver asked for")
    func arrivals() throws {
        var breaker = Breaker(openedAt: Self.start)
        #expect(breaker.nextArrivalProbe == Self.start + .seconds(1))
        breaker.probe(.arrival, at: Self.start + .seconds(1), leaseUntil: Self.start + .seconds(31))
        #expect(breaker.nextArrivalProbe == Self.start + .seconds(2))
        #expect(breaker.nextProbe == Self.start + .seconds(5), "the schedule goes on")
        let failed = try #require(
            breaker.after(.machine, of: .arrival, url: 1, isProven: false, now: Self.start + .seconds(2)))
        #expect(failed.nextProbe == Self.start + .seconds(5) && failed.failedProbes == 0)
        breaker.heldUntil = Self.start + .seconds(90)
        #expect(breaker.nextArrivalProbe == Self.start + .seconds(90))
    }

    private static func candidate(_ id: Int64, _ lane: Lane, due: Int64, url: Int64) -> Breaker.Candidate {
        Breaker.Candidate(id: id, lane: lane, due: start + .seconds(due), url: url)
    }

    @Test("scheduled: another URL than failed last, live before retry before resend, the longest due")
    func scheduled() {
        let breaker = Breaker(openedAt: Self.start, failedURL: 1)
        let failed = [
            Self.candidate(1, .live, due: -9, url: 1), Self.candidate(2, .retry, due: -20, url: 1),
            Self.candidate(3, .live, due: -8, url: 1),
        ]
        #expect(breaker.scheduledProbe(among: [])?.id == nil)
        #expect(breaker.scheduledProbe(among: failed)?.id == 1)
        #expect(breaker.scheduledProbe(among: failed + [Self.candidate(4, .resend, due: 0, url: 2)])?.id == 4)
        let others = [
            Self.candidate(4, .resend, due: -30, url: 2), Self.candidate(5, .retry, due: -20, url: 2),
            Self.candidate(6, .live, due: 0, url: 3), Self.candidate(7, .live, due: -1, url: 2),
        ]
        #expect(breaker.scheduledProbe(among: failed + others)?.id == 7)
        #expect(breaker.scheduledProbe(among: failed + others.prefix(2))?.id == 5)
    }

    @Test("after an acknowledgement: the URL that gave it, so that the second one comes soon")
    func secondProbe() throws {
        let open = Breaker(openedAt: Self.start, failedURL: 1)
        let once = try #require(open.after(.acknowledged, of: .arrival, url: 3, isProven: true, now: Self.start))
        let candidates = [
            Self.candidate(1, .live, due: -9, url: 2), Self.candidate(2, .resend, due: -1, url: 3),
            Self.candidate(3, .retry, due: -5, url: 1),
        ]
        #expect(once.scheduledProbe(among: candidates)?.id == 2)
        #expect(once.scheduledProbe(among: [candidates[0], candidates[2]])?.id == 1)
    }

    @Test("on arrival: of each URL what came last, eight at the most, nothing that arrived before its URL failed")
    func arrivalProbes() {
        var breaker = Breaker(openedAt: Self.start, failedURL: 1)
        let candidates = [
            Self.candidate(1, .live, due: -5, url: 1), Self.candidate(2, .live, due: -4, url: 2),
            Self.candidate(3, .live, due: -3, url: 2), Self.candidate(4, .retry, due: 3, url: 3),
            Self.candidate(5, .resend, due: 3, url: 4), Self.candidate(6, .live, due: 2, url: 1),
        ]
        #expect(breaker.arrivalProbes(among: candidates).map(\.id) == [6, 3])
        breaker.probe(.arrival, at: Self.start + .seconds(3), leaseUntil: Self.start + .seconds(33))
        #expect(breaker.arrivalProbes(among: candidates).map(\.id) == [3])
        let many = (0..<12).map { Self.candidate($0, .live, due: $0, url: 10 + $0) }
        #expect(breaker.arrivalProbes(among: many).map(\.id) == [11, 10, 9, 8, 7, 6, 5, 4])
    }

    @Test("of a URL that is due by schedule and on arrival, one goes: what arrived")
    func scheduleAndArrival() {
        let breaker = Breaker(openedAt: Self.start, failedURL: 1)
        let candidates = [Self.candidate(1, .live, due: 1, url: 1), Self.candidate(2, .live, due: 6, url: 1)]
        func chosen(_ seconds: Int64, _ more: [Breaker.Candidate] = []) -> [Int64: Breaker.Occasion] {
            let all = breaker.probes(among: candidates + more, at: Self.start + .seconds(seconds))
            return Dictionary(uniqueKeysWithValues: all.map { ($0.0.id, $0.1) })
        }
        #expect(chosen(0) == [:])
        #expect(chosen(4) == [2: .arrival])
        #expect(chosen(6) == [2: .schedule])
        #expect(chosen(6, [Self.candidate(3, .retry, due: 0, url: 2)]) == [2: .arrival, 3: .schedule])
    }

    @Test("probes are unbroken while none is far from the one before; a receiver that asks for an hour makes no break")
    func probingSince() {
        var breaker = Breaker(openedAt: Self.start)
        var now = Self.start
        for _ in 0..<20 {
            now = now + .seconds(301)
            breaker.probe(.schedule, at: now, leaseUntil: now + .seconds(30))
        }
        #expect(breaker.probingSince == Self.start)
        breaker.heldUntil = now + .seconds(3_600)
        now = now + .seconds(3_601)
        breaker.probe(.schedule, at: now, leaseUntil: now + .seconds(30))
        #expect(breaker.probingSince == Self.start)
        now = now + .seconds(3_600)
        breaker.probe(.schedule, at: now, leaseUntil: now + .seconds(30))
        #expect(breaker.probingSince == now, "nobody probed for an hour")
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
        "time-outs, lost connections, 5xx, 408, 425 and 429 halve them, down to one; other answers do not",
        arguments: [
            (AttemptOutcome.failed(.timedOut), true), (.failed(.connectionReset), true),
            (.failed(.connectionRefused), true), (.answered(statusCode: 500, retryAfter: nil), true),
            (.answered(statusCode: 503, retryAfter: "3"), true), (.answered(statusCode: 429, retryAfter: nil), true),
            (.answered(statusCode: 408, retryAfter: nil), true), (.answered(statusCode: 425, retryAfter: nil), true),
            (.answered(statusCode: 409, retryAfter: nil), false), (.answered(statusCode: 301, retryAfter: nil), false),
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

    @Test("eight remain while the receiver acknowledges others")
    func provenFloor() {
        var load = ReceiverLoad(ceiling: 128, slots: 64)
        for _ in 0..<1_000 { load.note(.answered(statusCode: 500, retryAfter: nil), isProven: true) }
        #expect(load.slots == 8)
        load = ReceiverLoad(ceiling: 128, slots: 2)
        for _ in 0..<1_000 { load.note(.failed(.timedOut), isProven: true) }
        #expect(load.slots == 2, "none are added")
    }

    @Test("answers about messages cost no slots, and bring back those of a new receiver")
    func refusals() {
        var load = ReceiverLoad(ceiling: 100, slots: 50)
        for _ in 0..<1_000 { load.note(.answered(statusCode: 409, retryAfter: nil)) }
        #expect(load.slots == 50)
        load = ReceiverLoad(ceiling: 100, slots: 1)
        for _ in 0..<1_000 { load.note(.answered(statusCode: 409, retryAfter: nil)) }
        #expect(load.slots == 16)
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
