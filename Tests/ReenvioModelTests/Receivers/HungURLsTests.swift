import ReenvioModel
import Testing

/// `docs/contract.md` 3.4: live deliveries overtake those that wait for a URL that hangs.
struct HungURLsTests {
    private static let start = Timestamp(seconds: 1_774_339_200)
    private let candidate = Turns.Candidate(merchantID: 303, queue: QueueID(receiverID: 7, lane: .live))

    private func hung(_ urls: inout HungURLs, at now: Timestamp) -> [HungURLs.Overtaking] {
        urls.overtaking(at: now) { $0 == candidate }
    }

    @Test("a URL hangs once attempts to it have been under way for half a second without a quick end")
    func patience() {
        var urls = HungURLs()
        for _ in 0..<16 { urls.began(1, of: 7, merchantID: 303, at: Self.start) }
        #expect(hung(&urls, at: Self.start + .milliseconds(400)).isEmpty)
        let found = hung(&urls, at: Self.start + .milliseconds(600))
        #expect(found.map(\.candidate) == [candidate])
        #expect(found.map(\.hung) == [[1]])
        #expect(found.map(\.room) == [HungURLs.aheadMax])
        #expect(found.first?.after == nil)
    }

    @Test("quick ends, of whatever kind, keep it from hanging; slow ones and those that were not sent do not")
    func progress() {
        for (duration, hangs) in [(Duration.milliseconds(3), false), (.seconds(5), true), (nil, true)] {
            var urls = HungURLs()
            for _ in 0..<3 { urls.began(1, of: 7, merchantID: 303, at: Self.start) }
            urls.ended(1, of: 7, delivery: 10, took: duration, at: Self.start + .milliseconds(400))
            #expect(
                hung(&urls, at: Self.start + .milliseconds(700)).isEmpty != hangs, "\(String(describing: duration))")
        }
    }

    @Test("one that was slow hangs at once when attempts to it begin again, for half a minute")
    func remembered() {
        var urls = HungURLs()
        urls.began(1, of: 7, merchantID: 303, at: Self.start)
        urls.ended(1, of: 7, delivery: 10, took: .seconds(5), at: Self.start + .seconds(5))
        #expect(hung(&urls, at: Self.start + .seconds(6)).isEmpty, "nothing is under way")
        urls.began(1, of: 7, merchantID: 303, at: Self.start + .seconds(7))
        #expect(hung(&urls, at: Self.start + .seconds(7)).count == 1)
        var later = urls
        urls.ended(1, of: 7, delivery: 11, took: .milliseconds(2), at: Self.start + .seconds(8))
        urls.began(1, of: 7, merchantID: 303, at: Self.start + .seconds(8))
        #expect(hung(&urls, at: Self.start + .seconds(8) + .milliseconds(200)).isEmpty, "a quick end forgives it")
        later.ended(1, of: 7, delivery: 11, took: nil, at: Self.start + .seconds(8))
        later.began(1, of: 7, merchantID: 303, at: Self.start + .seconds(60))
        #expect(hung(&later, at: Self.start + .seconds(60)).isEmpty)
    }

    @Test("at most eight go ahead at once, and the next look goes on where the last one ended, or from the beginning")
    func bounds() {
        var urls = HungURLs()
        let later = Self.start + .seconds(2)
        urls.began(1, of: 7, merchantID: 303, at: Self.start)
        #expect(hung(&urls, at: later).first?.after == nil)
        let place = HungURLs.Place(due: Self.start, id: 99)
        urls.overtook([20: 2, 21: 2, 22: 2], of: 7, lookedTo: place)
        for _ in 0..<3 { urls.began(2, of: 7, merchantID: 303, at: later) }
        let next = hung(&urls, at: later + .milliseconds(10)).first
        #expect(next?.room == HungURLs.aheadMax - 3)
        #expect(next?.after == place)
        urls.overtook([23: 2, 24: 2, 25: 2, 26: 2, 27: 2], of: 7, lookedTo: place)
        #expect(hung(&urls, at: later + .milliseconds(20)).isEmpty)
        var hanging = urls
        #expect(hung(&hanging, at: later + .seconds(2)).first?.room == HungURLs.aheadMax, "that URL hangs, too")
        hanging.overtook(Dictionary(uniqueKeysWithValues: (100..<132).map { ($0, 2) }), of: 7, lookedTo: nil)
        #expect(hung(&hanging, at: later + .seconds(2)).isEmpty, "there is an end to it")
        urls.ended(2, of: 7, delivery: 20, took: .milliseconds(2), at: later + .milliseconds(1_900))
        let last = hung(&urls, at: later + .milliseconds(2_150)).first
        #expect(last?.room == 1)
        #expect(last?.after == nil, "what came in behind that place is met as well")
    }

    @Test("without more live work than slots nothing goes ahead")
    func notBacklogged() {
        var urls = HungURLs()
        urls.began(1, of: 7, merchantID: 303, at: Self.start)
        #expect(urls.overtaking(at: Self.start + .seconds(2)) { _ in false }.isEmpty)
    }
}
