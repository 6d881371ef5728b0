import ReenvioModel
import Testing

/// `docs/contract.md` 10: a bucket of N at once, refilled evenly.
struct RateLimitsTests {
    private static let start = Timestamp(seconds: 1_774_339_200)

    @Test("the default text is the standard; a kind left out keeps its default; off limits nothing")
    func parsing() {
        #expect(RateLimits(RateLimits.defaultText) == .standard)
        let five = RateLimits("resend=5/min")?.perMinute
        #expect(five == [.resend: 5, .read: 600, .write: 120, .signIn: 30, .reveal: 60])
        let all = RateLimits("read=1/min, resend=2/min, reveal=3/min, sign-in=4/min, write=5/min")?.perMinute
        #expect(all == [.resend: 2, .read: 1, .reveal: 3, .signIn: 4, .write: 5])
        #expect(RateLimits("off")?.perMinute == [:])
    }

    @Test(
        "other texts are refused",
        arguments: [
            "", "on", "resend", "resend=5", "resend=0/min", "resend=x/min", "resend=5/s", "writes=5/min",
            "resend=5/min,resend=6/min", "resend=5/min,", "resend=1000001/min",
        ])
    func refused(_ text: String) {
        #expect(RateLimits(text) == nil)
    }

    @Test("N at once, then one each 60/N seconds")
    func bucket() {
        var bucket = TokenBucket(perMinute: 30, now: Self.start)
        for _ in 0..<30 { #expect(bucket.take(now: Self.start) == nil) }
        #expect(bucket.take(now: Self.start) == 2)
        #expect(bucket.take(now: Self.start + .milliseconds(1_999)) == 1)
        #expect(bucket.take(now: Self.start + .seconds(2)) == nil)
        #expect(bucket.take(now: Self.start + .seconds(2)) == 2)
        for _ in 0..<30 { #expect(bucket.take(now: Self.start + .seconds(600)) == nil) }
        #expect(bucket.take(now: Self.start + .seconds(600)) != nil, "never more than N")
    }

    @Test("time that runs backwards gives nothing")
    func backwards() {
        var bucket = TokenBucket(perMinute: 1, now: Self.start)
        #expect(bucket.take(now: Self.start) == nil)
        #expect(bucket.take(now: Self.start - .seconds(600)) == 60)
        #expect(bucket.take(now: Self.start + .seconds(59)) == 1)
        #expect(bucket.take(now: Self.start + .seconds(60)) == nil)
    }

    @Test("a full bucket may be forgotten, a used one not")
    func forgetting() {
        var bucket = TokenBucket(perMinute: 60, now: Self.start)
        #expect(bucket.isFull(now: Self.start))
        _ = bucket.take(now: Self.start)
        _ = bucket.take(now: Self.start)
        #expect(!bucket.isFull(now: Self.start))
        #expect(bucket.isFull(now: Self.start + .seconds(3)))
    }
}
